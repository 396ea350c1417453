"""Where a trained generator lies and where its maps go; free of heavy imports."""

from pathlib import Path

from data.base.errors import UserError
from data.files.formats import stem_of
from gan.run.directory import RunDir


def overlay_path(output: Path) -> Path:
    """Where the picture of a predicted map over its followup goes, beside the map."""
    return output.with_name(f"{stem_of(output)}_overlay.png")


def generator_folder(model: Path) -> Path:
    """The folder of a generator: of the run that `model` is, or `model` itself.

    Raises:
        UserError: it is no run of gan.adversarial, or has not finished an epoch yet.
    """
    for folder in (RunDir(model).generator, model):
        if all((folder / name).is_file() for name in ("model.safetensors", "preprocessing.json")):
            return folder
    raise UserError(
        f"{model} holds no generator/ with model.safetensors and preprocessing.json; "
        "name a run of gan.adversarial or its generator/"
    )
