"""Where a trained generator lies: a run, a folder, or the hub; free of heavy imports."""

import re
from pathlib import Path

from data.base.errors import UserError, first_line
from gan.run.directory import RunDir

_FILES = ("config.json", "model.safetensors", "preprocessing.json")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def generator_place(model: Path | str) -> Path:
    """The file of an exported generator, or the folder of any other; see `generator_folder`."""
    return Path(model) if Path(model).is_file() else generator_folder(model)


def generator_folder(model: Path | str) -> Path:
    """The folder of a generator: of the run that `model` is, `model` itself, or a hub id, downloaded.

    `owner/name` is a hub id where there is no folder `owner` here.

    Raises:
        UserError: it is none of them, or a run that has not finished an epoch yet.
    """
    for folder in (RunDir(Path(model)).generator, Path(model)):
        if all((folder / name).is_file() for name in _FILES[1:]):
            return folder
    if _HUB_ID.fullmatch(str(model)) and not Path(model).parent.exists():
        return _downloaded(str(model))
    raise UserError(
        f"{model} holds no generator/ with model.safetensors and preprocessing.json; "
        "name a run of gan.adversarial, its generator/, or a hub id"
    )


def _downloaded(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=list(_FILES)))
    except Exception as error:  # whatever the hub or the network raises
        raise UserError(
            f"{hub_id} is neither here nor to be had from the hub ({first_line(error)}); "
            "name a run of gan.adversarial, its generator/, or a hub id"
        ) from error
    if missing := [name for name in _FILES[1:] if not (folder / name).is_file()]:
        raise UserError(f"{hub_id} on the hub lacks {' and '.join(missing)}; upload a whole generator/")
    return folder
