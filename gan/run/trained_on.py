"""The data that a generator was trained on, and how images are fed to it; free of torch."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from data.base.commandline import tyro_parse
from data.base.errors import UserError, first_line
from data.config import DataConfig, EmbeddedConfig
from gan.run.commandline import read_yaml, yaml_to_flags
from gan.run.directory import PREPROCESSING, RunDir
from gan.run.generator import require_export_extra

_FED = ("image_size", "framing", "intensity", "change")
_SOURCES = ("path", "prepared", "mix")
# How a run trains on its data, which is nothing to its evaluation.
_TRAINING = ("augment", "labels", "uncertain")


def read_preprocessing(place: Path) -> dict[str, Any]:
    """What `preprocessing.json` says, of a generator's folder or of an exported file, which has it inside.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    try:
        if place.suffix == ".onnx":
            return dict(json.loads(_of_onnx(place)))
        if place.suffix == ".pt2":
            with zipfile.ZipFile(place) as archive:
                name = next(name for name in archive.namelist() if name.endswith(f"/extra/{PREPROCESSING}"))
                return dict(json.loads(archive.read(name)))
        return dict(json.loads((place / PREPROCESSING).read_text()))
    except UserError:
        raise
    except Exception as error:  # whatever a damaged file makes the libraries raise
        raise UserError(
            f"{place} does not say in a {PREPROCESSING} how to feed it ({first_line(error)}); name another"
        ) from error


def _of_onnx(path: Path) -> str:
    require_export_extra()
    import onnx

    model = onnx.load(path, load_external_data=False)
    return str(next(entry.value for entry in model.metadata_props if entry.key == PREPROCESSING))


def how_fed(place: Path) -> dict[str, Any]:
    """The options of the data that say how images reach a generator, and what its maps mean.

    Raises:
        UserError: nothing says so.
    """
    known = read_preprocessing(place)
    if missing := [name for name in _FED if name not in known]:
        raise UserError(f"{place}: {PREPROCESSING} lacks {', '.join(missing)}; name another")
    return {name: known[name] for name in _FED}


def require_alike(fed: Mapping[str, Mapping[str, Any]], names: Sequence[str], remedy: str) -> None:
    """Refuse generators that are fed in other ways, or whose maps mean something else, than the first.

    Args:
        fed: how each is fed, by what it is called.
        names: what must be alike.
        remedy: what to do instead.

    Raises:
        UserError: naming two of them and what differs.
    """
    (first, wanted), *others = fed.items()
    for name in names:
        for other, found in others:
            if found[name] != wanted[name]:
                raise UserError(
                    f"{first} and {other} differ in {name} ({wanted[name]}, {found[name]}); {remedy}"
                )


def data_of(
    run: str, given: DataConfig, argv: Sequence[str], *, prog: str, otherwise: DataConfig | None = None
) -> DataConfig:
    """The data that a run was trained on, where the options name no source of their own.

    Args:
        run: a run; of anything else nobody knows the data.
        given: what the options name.
        argv: the command line, which tells options that were given from defaults.
        prog: the command, for its messages.
        otherwise: what is taken where nobody knows; the default of all options unless it is given.
    """
    source = RunDir(Path(run)).config
    if not source.is_file():
        return otherwise or DataConfig()
    settings = dict(read_yaml(source).get("data", {}))
    for name in _TRAINING:
        settings.pop(name, None)
    embedded = next(item.name for item in fields(DataConfig) if item.type is EmbeddedConfig)
    renders = any(token.startswith(f"--data.{embedded}.") for token in argv)
    if renders or any(getattr(given, name) for name in _SOURCES):
        settings |= dict.fromkeys(_SOURCES)
    named = {name: value for name, value in settings.items() if value not in (None, [])}
    return tyro_parse(DataConfig, yaml_to_flags(named, DataConfig, source), prog=prog)
