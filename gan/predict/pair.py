"""From two files to a change map, and to a picture of it over the followup."""

from pathlib import Path

from data import write_map
from data.base.errors import UserError
from gan.pictures.change import save_overlay
from gan.predict.place import overlay_path
from gan.run.change_model import ChangeModel


def predict_files(model: ChangeModel, baseline: Path, followup: Path, output: Path) -> tuple[Path, Path]:
    """Predict one pair and write map and overlay; returns both paths.

    Raises:
        DataError: an image is missing or unreadable.
        UserError: the output cannot be written.
    """
    before, after = model.read(baseline), model.read(followup)
    plane = model(before, after)[0].cpu().numpy()
    change = model.preprocessing.change
    overlay = overlay_path(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_map(output, plane, change, like=followup)
        aspect = after.grid.pixel_aspect
        save_overlay(overlay, after.pixels, plane, signed=change == "signed", aspect=aspect)
    except OSError as error:
        raise UserError(f"--output {output}: {error.strerror}; name a file you may write") from error
    return output, overlay
