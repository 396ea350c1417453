"""Where a trained generator lies: a run, a folder, or the hub; free of heavy imports."""

import re
from importlib.util import find_spec
from pathlib import Path

from data.base.errors import UserError, first_line
from gan.run.directory import PREPROCESSING, SETTINGS, WEIGHTS, RunDir

EXPORTED = (".onnx", ".pt2")
"""What the files of `gan.export` end in."""
FILES = (SETTINGS, WEIGHTS, PREPROCESSING)
"""Those of a generator's folder."""
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def generator_place(model: Path | str) -> Path:
    """Where a generator lies: the folder of the run that `model` is, `model` itself, or a hub id, downloaded.

    A file of `gan.export` stands for itself. `owner/name` is a hub id where there is no folder `owner` here.

    Raises:
        UserError: it is none of them, or a run that has not finished an epoch yet.
    """
    for folder in (RunDir(Path(model)).generator, Path(model)):
        if all((folder / name).is_file() for name in FILES[1:]):
            return folder
    if Path(model).suffix in EXPORTED and Path(model).is_file():
        return Path(model)
    if _HUB_ID.fullmatch(str(model)) and not Path(model).parent.exists():
        return _downloaded(str(model))
    raise UserError(
        f"{model} holds no generator/ with model.safetensors and preprocessing.json; "
        "name a run of gan.adversarial, its generator/, or a hub id"
    )


def require_export_extra() -> None:
    """Refuse to go on without what exported files are read and written with.

    Raises:
        UserError: naming the extra.
    """
    if missing := [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]:
        raise UserError(
            f"{' and '.join(missing)} missing; install it with the extra export: "
            "pip install 'radiograph-change-gan[export]'"
        )


def _downloaded(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=list(FILES)))
    except Exception as error:  # whatever the hub or the network raises
        raise UserError(
            f"{hub_id} is neither here nor to be had from the hub ({first_line(error)}); "
            "name a run of gan.adversarial, its generator/, or a hub id"
        ) from error
    if missing := [name for name in FILES[1:] if not (folder / name).is_file()]:
        raise UserError(f"{hub_id} on the hub lacks {' and '.join(missing)}; upload a whole generator/")
    return folder
