"""From two files to a change map in the followup's own pixels."""

from pathlib import Path

import torch
from torch import Tensor, nn

from data import Geometry, Radiograph, fit_to_square, read_radiograph, restore_from_square, write_map
from data.base.errors import UserError
from data.config import Framing
from gan.config import AdversarialConfig
from gan.models import load_generator
from gan.rundir import RunDir, overlay_path
from gan.visualise import save_overlay


def predict_files(
    run: RunDir, config: AdversarialConfig, baseline: Path, followup: Path, output: Path, *, cpu: bool = False
) -> tuple[Path, Path]:
    """Predict one pair with a run's generator and write map and overlay; returns both paths.

    Raises:
        DataError: an image is missing or unreadable.
        UserError: the run holds no generator, or the output cannot be written.
    """
    pictures = (
        read_radiograph(baseline, config.data.intensity),
        read_radiograph(followup, config.data.intensity),
    )
    device = torch.device("cpu" if cpu or not torch.cuda.is_available() else "cuda")
    generator = load_generator(run, config).to(device)
    change = predict_change(
        generator, *pictures, image_size=config.data.image_size, framing=config.data.framing
    )
    signed = config.data.change == "signed"
    plane = change[0].cpu().numpy()
    overlay = overlay_path(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_map(output, plane, config.data.change, like=followup)
        save_overlay(overlay, pictures[1].pixels, plane, signed=signed)
    except OSError as error:
        raise UserError(f"--output {output}: {error.strerror}; name a file you may write") from error
    return output, overlay


@torch.no_grad()
def predict_change(
    generator: nn.Module,
    baseline: Radiograph,
    followup: Radiograph,
    *,
    image_size: int,
    framing: Framing = "pad",
) -> Tensor:
    """The change map of one pair in the followup's own pixels; the two may differ in size.

    Args:
        generator: `(baseline, followup) -> change map`, in eval mode; it decides the device.
        baseline: the earlier radiograph.
        followup: the later one.
        image_size: side of the square the generator was trained on, in pixels.
        framing: how radiographs became square in training.

    Returns:
        `[1, H, W]` on the generator's device, in `[0, 1]` or, signed, in `[-1, 1]`.
    """
    device = next(generator.parameters()).device
    squares = []
    for picture in (baseline, followup):
        height, width = picture.pixels.shape
        geometry = Geometry(height=height, width=width, framing=framing)
        square, _ = fit_to_square(torch.from_numpy(picture.pixels)[None], image_size, geometry)
        squares.append(square[None].to(device))
    return restore_from_square(generator(*squares)[0].float(), geometry)
