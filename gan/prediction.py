"""From two files to a change map in the followup's own pixels."""

from pathlib import Path

import torch
from torch import Tensor, nn

from data import Geometry, fit_to_square, read_radiograph, restore_from_square, write_map
from data.datasets import geometry_of
from data.errors import UserError
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
    pictures = [read_radiograph(path, config.data.intensity) for path in (baseline, followup)]
    device = torch.device("cpu" if cpu or not torch.cuda.is_available() else "cuda")
    generator = load_generator(run, config).to(device)
    change = predict_change(
        generator,
        torch.from_numpy(pictures[0].pixels)[None].to(device),
        torch.from_numpy(pictures[1].pixels)[None].to(device),
        geometry_of(pictures[0], config.data),
        geometry_of(pictures[1], config.data),
        image_size=config.data.image_size,
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
    baseline: Tensor,
    followup: Tensor,
    geometry_baseline: Geometry,
    geometry_followup: Geometry,
    *,
    image_size: int,
) -> Tensor:
    """The change map of one pair in the size of its followup.

    Args:
        generator: `(baseline, followup) -> change map`, in eval mode.
        baseline: `[1, H, W]` in `[0, 1]`, dense tissue bright.
        followup: the same, of any size.
        geometry_baseline: how the baseline becomes square, as in training.
        geometry_followup: how the followup does; the map is led back by it.
        image_size: side of the square the generator was trained on, in pixels.

    Returns:
        `[1, H, W]`, in `[0, 1]` or, signed, in `[-1, 1]`.
    """
    square_baseline, _ = fit_to_square(baseline, image_size, geometry_baseline)
    square_followup, _ = fit_to_square(followup, image_size, geometry_followup)
    change = generator(square_baseline[None], square_followup[None])
    return restore_from_square(change[0].float(), geometry_followup)
