"""The table: rows of options for the stages, seeds, and what to judge on; checked before anything runs."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from data.base.commandline import tyro_parse
from data.base.errors import UserError
from gan.adversarial.options import PRESETS as ADVERSARIAL_PRESETS
from gan.classify.options import PRESETS as CLASSIFY_PRESETS
from gan.evaluate.options import EvaluateConfig
from gan.pretrain.options import PRESETS as PRETRAIN_PRESETS
from gan.run.commandline import parse

PRETRAIN, ADVERSARIAL, CLASSIFY, EVALUATE = "gan.pretrain", "gan.adversarial", "gan.classify", "gan.evaluate"
_PARSERS: Mapping[str, Callable[[Sequence[str]], object]] = {
    PRETRAIN: partial(parse, prog=PRETRAIN, presets=PRETRAIN_PRESETS),
    ADVERSARIAL: partial(parse, prog=ADVERSARIAL, presets=ADVERSARIAL_PRESETS),
    CLASSIFY: partial(parse, prog=CLASSIFY, presets=CLASSIFY_PRESETS),
    EVALUATE: lambda options: tyro_parse(EvaluateConfig, options, prog=EVALUATE),
}
_STAGES = (PRETRAIN, ADVERSARIAL, CLASSIFY)
_OURS = {"--seed", "--run-dir", "--resume", "--overwrite", "--out"}
"""Options that say where a run lives and which of the seeds it has."""
OWN = "own"
"""The source of a table that names none: the test pairs of a run's own data."""


@dataclass(frozen=True)
class Row:
    """One configuration."""

    name: str
    command: str
    """The stage."""
    options: tuple[str, ...]
    pretrained: str | None = None
    """The row whose encoder it starts from, seed by seed."""


@dataclass(frozen=True)
class Table:
    """What is to be run and judged."""

    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    sources: Mapping[str, tuple[str, ...]]
    """Options of `gan.evaluate` by the name of what they judge on."""


def read_table(path: Path) -> Table:
    """Read and check a table.

    Raises:
        UserError: it is no table, an option is none of its command, or a name is there twice.
    """
    content = _load(path)
    try:
        _only(content, "the table", "rows", "seeds", "base", "sources")
        base = {name: _words(value, f"base {name}") for name, value in _mapping(content, "base").items()}
        _only(base, "base", *_PARSERS)
        rows = tuple(_row(name, value, base) for name, value in _mapping(content, "rows").items())
        named = {row.name: row for row in rows}
        seeds = content.get("seeds")
        if not rows:
            raise UserError("no rows; name at least one configuration below rows:")
        if not seeds or not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
            raise UserError("no seeds; give a list of whole numbers, such as seeds: [0, 1, 2]")
        if len(set(seeds)) < len(seeds):
            raise UserError(f"seeds: {seeds} names one twice; name every seed once")
        for row in rows:
            _check(row, named)
        sources = _sources(content, base.get(EVALUATE, ()))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return Table(rows, tuple(seeds), sources)


def _row(name: str, value: Any, base: Mapping[str, tuple[str, ...]]) -> Row:
    """A row is its options, or a mapping of what there is to say of it."""
    said = value if isinstance(value, dict) else {"options": value}
    _only(said, f"row {name}", "command", "options", "pretrained")
    command = said.get("command", ADVERSARIAL)
    if command not in _STAGES:
        raise UserError(f"row {name}: command is {command!r}; it must be one of {', '.join(_STAGES)}")
    options = (*base.get(command, ()), *_words(said.get("options"), f"row {name}"))
    return Row(_file_name(name), command, options, said.get("pretrained"))


def _check(row: Row, named: Mapping[str, Row]) -> None:
    if row.pretrained is not None:
        encoders = [name for name, other in named.items() if other.command == PRETRAIN]
        if row.command == PRETRAIN or row.pretrained not in encoders:
            raise UserError(
                f"row {row.name}: pretrained: {row.pretrained} is no row of {PRETRAIN} to start from; "
                f"there are {', '.join(encoders) or 'none'}"
            )
        if any(option.split("=")[0] == "--pretrained" for option in row.options):
            raise UserError(f"row {row.name}: pretrained and --pretrained exclude each other; drop one")
    _parse(row.command, row.options, f"row {row.name}")


def _sources(content: Mapping[str, Any], base: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found = _mapping(content, "sources") or {OWN: None}
    sources = {_file_name(name): (*base, *_words(value, f"source {name}")) for name, value in found.items()}
    for name, options in sources.items():
        _parse(EVALUATE, options, f"source {name}")
    return sources


def _parse(command: str, options: tuple[str, ...], what: str) -> None:
    for option in options:
        if option.split("=")[0] in _OURS:
            raise UserError(f"{what}: {option} is what gan.ablate itself decides; drop it")
    try:
        _PARSERS[command](options)
    except UserError as error:
        raise UserError(f"{what}: {command}: {error}") from error


def _words(value: Any, what: str) -> tuple[str, ...]:
    """Options as one text, as a shell would take it, or as a list of words."""
    if isinstance(value, str):
        return tuple(shlex.split(value))
    if value is None or isinstance(value, list):
        return tuple(map(str, value or ()))
    raise UserError(f"{what}: {value!r} are no options; write them as on a command line")


def _mapping(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, dict):
        raise UserError(f"{key} is {value!r}; it must be a mapping of names to options")
    return {str(name): of for name, of in value.items()}


def _only(found: Mapping[str, Any], what: str, *legal: str) -> None:
    for key in found:
        if key not in legal:
            raise UserError(f"{what}: unknown key {key}; legal ones are {', '.join(legal)}")


def _file_name(name: str) -> str:
    """A name, which is that of a folder as well."""
    if "/" in name or name.startswith(".") or not name.strip():
        raise UserError(f"{name!r} cannot be the name of a folder; use no / in it and no dot before it")
    return name


class _Loader(yaml.SafeLoader):
    """Refuses a name that is there twice, of which YAML's own takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise UserError(
                    f"line {key.start_mark.line + 1}: {key.value} is there twice; rename one of them"
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a table of gan.ablate") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no mapping; write rows: and seeds: into it")
    return content
