"""Options of commands that judge generators: which are meant, and on what data where none is named."""

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from data.base.commandline import tyro_parse
from data.base.errors import UserError
from data.config import DataConfig, EmbeddedConfig
from gan.run.commandline import read_yaml, yaml_to_flags
from gan.run.directory import RunDir
from gan.run.generator import generator_folder

_FED = ("image_size", "framing", "intensity", "change")
_SOURCES = ("path", "prepared", "mix")
# How a run trains on its data, which is nothing to its evaluation.
_TRAINING = ("augment", "labels", "uncertain")


class Judged(Protocol):
    """A dataclass of options with these two among them."""

    runs: tuple[str, ...]
    data: DataConfig


ConfigT = TypeVar("ConfigT", bound=Judged)


def parse_judged(
    options: type[ConfigT], argv: Sequence[str], *, prog: str
) -> tuple[ConfigT, dict[str, Path]]:
    """The options, with the data of the first run where they name none, and the folder of every generator.

    Images are fed as the first run was trained, whatever the data.

    Raises:
        UserError: an option is not what it should be, or a run has no generator.
    """
    given = tyro_parse(options, argv, prog=prog)
    if not given.runs:
        raise UserError("missing: RUN; name runs of gan.adversarial, their generator/ folders, or hub ids")
    if repeated := [run for run in given.runs if given.runs.count(run) > 1]:
        raise UserError(f"{repeated[0]} is named twice; name every run once")
    folders = {run: generator_folder(run) for run in given.runs}
    fed = {run: _how_fed(folder) for run, folder in folders.items()}
    _require_alike(fed)
    default = options()
    default.data = replace(_data_of(given, argv, prog), **fed[given.runs[0]])
    config = tyro_parse(options, argv, prog=prog, default=default)
    if config.data.change != default.data.change:
        raise UserError(
            f"--data.change {config.data.change}: {config.runs[0]} makes {default.data.change} maps; "
            "name a run of that kind, or drop the option"
        )
    return config, folders


def _how_fed(folder: Path) -> dict[str, Any]:
    try:
        known = json.loads((folder / "preprocessing.json").read_text())
        return {name: known[name] for name in _FED}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder}/preprocessing.json does not say how to feed it ({error}); name another run"
        ) from error


def _require_alike(fed: dict[str, dict[str, Any]]) -> None:
    """Refuse runs whose maps do not compare; a size of their own is no hindrance."""
    (first, wanted), *others = fed.items()
    for name in ("change", "framing", "intensity"):
        for other, found in others:
            if found[name] != wanted[name]:
                raise UserError(
                    f"{first} and {other} differ in {name} ({wanted[name]}, {found[name]}); "
                    "evaluate them one by one"
                )


def _data_of(given: Judged, argv: Sequence[str], prog: str) -> DataConfig:
    """The data that the first run was trained on, where the options name no source of their own."""
    source = RunDir(Path(given.runs[0])).config
    settings = dict(read_yaml(source).get("data", {})) if source.is_file() else {}
    for name in _TRAINING:
        settings.pop(name, None)
    embedded = next(item.name for item in fields(DataConfig) if item.type is EmbeddedConfig)
    renders = any(token.startswith(f"--data.{embedded}.") for token in argv)
    if renders or any(getattr(given.data, name) for name in _SOURCES):
        settings |= dict.fromkeys(_SOURCES)
    named = {name: value for name, value in settings.items() if value not in (None, [])}
    return tyro_parse(DataConfig, yaml_to_flags(named, DataConfig, source), prog=prog)
