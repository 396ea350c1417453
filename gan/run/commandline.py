"""Command line and YAML to a validated configuration; a mistake becomes one line.

A YAML file is turned into the same flags a user would type and put before them, so that there is one
place where values are converted and checked, and what stands on the command line wins.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import yaml

from data.base.commandline import tyro_parse
from data.base.errors import UserError
from gan.run.options import Preset, StageConfig

ConfigT = TypeVar("ConfigT", bound=StageConfig)

# What says how to start, not what to run: never written to config.yaml.
_START_FIELDS = ("config", "run_dir", "overwrite", "resume", "trust_remote_code")


# Options by which a config.yaml is known for another stage's.
_STAGES = {"mask": "gan.pretrain", "generator": "gan.adversarial", "frozen": "gan.classify"}


def parse(argv: Sequence[str], *, prog: str, presets: Mapping[Preset, ConfigT]) -> ConfigT:
    """The configuration that `argv` asks for.

    Order of precedence: flags, then `--config` (or the resumed run's config.yaml), then the preset.

    Raises:
        UserError: an unknown or impossible option, an unreadable YAML file.
    """
    early = _early_options(argv)
    flags = list(argv)
    if "--help" in argv or "-h" in argv:
        shown = presets[cast(Preset, early["preset"] if early["preset"] in get_args(Preset) else "tiny")]
        return tyro_parse(type(shown), flags, prog=prog, default=shown)
    given = {token.partition("=")[0] for token in argv}
    for other in sorted({"--config", "--run-dir", "--overwrite"} & given if early["resume"] else ()):
        raise UserError(f"--resume and {other} exclude each other: a resumed run goes on where and as it was")
    source = (
        Path(early["resume"]) / "config.yaml"
        if early["resume"]
        else early["config"] and Path(early["config"])
    )
    settings: dict[str, Any] = {}
    if early["resume"] and source and not source.is_file():
        raise UserError(f"--resume {early['resume']} is not a run directory: it has no config.yaml")
    if source:
        settings = read_yaml(source)
        flags = [*yaml_to_flags(settings, type(presets["tiny"]), source), *flags]
    name = (
        early["preset"]
        or settings.get("preset")
        or preset_for_hardware(cpu="--cpu" in given or bool(settings.get("cpu")))
    )
    if name not in get_args(Preset):
        raise UserError(f"--preset is {name}; choose one of {', '.join(get_args(Preset))}")
    if early["preset"] and settings.get("preset", name) != name:
        raise UserError(
            f"--preset {name} contradicts preset: {settings['preset']} in {source}; drop one of them"
        )
    default = presets[cast(Preset, name)]
    return tyro_parse(type(default), flags, prog=prog, default=default)


def preset_for_hardware(*, cpu: bool) -> Preset:
    """Tiny without a GPU, base from 40 GiB of GPU memory on, small in between."""
    if cpu:
        return "tiny"
    import torch

    if not torch.cuda.is_available():
        return "tiny"
    gib = torch.cuda.get_device_properties(0).total_memory / 2**30
    return "base" if gib >= 40 else "small"


def to_yaml(config: StageConfig) -> str:
    """Everything needed to repeat the run, as the text of config.yaml."""
    return yaml.safe_dump(settings_of(config), sort_keys=False)


def settings_of(config: StageConfig) -> dict[str, Any]:
    """What config.yaml holds of the options."""
    return {key: value for key, value in _plain(config).items() if key not in _START_FIELDS}


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by the names they have on the command line, for whoever takes no nested ones."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = " ".join(map(str, value)) if isinstance(value, list) else value
    return found


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping.

    Raises:
        UserError: the file is missing, unreadable or not a mapping.
    """
    try:
        loaded = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name the config.yaml of a run") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not YAML ({str(error).splitlines()[0]}); give a config.yaml of a run"
        ) from None
    if not isinstance(loaded, dict):
        raise UserError(f"{path} is not a mapping of options to values; give a config.yaml of a run")
    return loaded


def yaml_to_flags(settings: dict[str, Any], config: Any, source: Path, prefix: str = "") -> list[str]:
    """The flags that say what a YAML mapping says.

    Raises:
        UserError: a key that is no option; the legal ones are named.
    """
    legal = {field.name: field for field in dataclasses.fields(config)}
    flags: list[str] = []
    for key, value in settings.items():
        if key not in legal or (not prefix and key in _START_FIELDS):
            names = ", ".join(name for name in legal if prefix or name not in _START_FIELDS)
            other = _STAGES.get(key, "") if not prefix else ""
            hint = f"it belongs to {other}; " if other else ""
            raise UserError(f"{source}: unknown key {prefix}{key}; {hint}legal ones are {names}")
        name = f"{prefix}{key}"
        flag = f"--{name}".replace("_", "-")
        if dataclasses.is_dataclass(legal[key].type):
            if not isinstance(value, dict):
                raise UserError(f"{source}: {name} is {value!r}; it must be a mapping")
            flags += yaml_to_flags(value, legal[key].type, source, f"{name}.")
        elif isinstance(value, bool):
            flags.append(flag if value else f"--{_negated(name)}")
        elif isinstance(value, list):
            flags += [flag, *map(str, value)]
        else:
            flags += [flag, str(value)]
    return flags


def _negated(name: str) -> str:
    *groups, last = name.split(".")
    return ".".join([*groups, f"no-{last}"]).replace("_", "-")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _early_options(argv: Sequence[str]) -> dict[str, str | None]:
    """The options that decide which defaults the parser starts from."""
    found: dict[str, str | None] = {"preset": None, "config": None, "resume": None}
    for name in found:
        for position, token in enumerate(argv):
            if token == f"--{name}":
                if position + 1 == len(argv) or argv[position + 1].startswith("--"):
                    raise UserError(f"--{name} needs a value")
                found[name] = argv[position + 1]
            elif token.startswith(f"--{name}="):
                found[name] = token.split("=", 1)[1]
    return found
