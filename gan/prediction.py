"""From two files to a change map in the followup's own pixels."""

from pathlib import Path

import torch
from torch import Tensor, nn

from data import fit_to_square, read_image, require_equal_sizes, restore_from_square, write_map
from data.errors import UserError
from data.files.formats import stem_of
from gan.config import AdversarialConfig
from gan.models import load_generator
from gan.rundir import RunDir
from gan.visualise import save_overlay


def predict_files(
    run: RunDir, config: AdversarialConfig, baseline: Path, followup: Path, output: Path, *, cpu: bool = False
) -> tuple[Path, Path]:
    """Predict one pair with a run's generator and write map and overlay; returns both paths.

    Raises:
        DataError: an image is missing, unreadable or of another size than the other.
        UserError: the run holds no generator, or the output cannot be written.
    """
    files = {"baseline": baseline, "followup": followup}
    images = {name: read_image(path) for name, path in files.items()}
    require_equal_sizes(files, images)
    device = torch.device("cpu" if cpu or not torch.cuda.is_available() else "cuda")
    generator = load_generator(run, config).to(device)
    change = predict_change(
        generator,
        torch.from_numpy(images["baseline"])[None].to(device),
        torch.from_numpy(images["followup"])[None].to(device),
        image_size=config.data.image_size,
    )
    signed = config.data.change == "signed"
    plane = change[0].cpu().numpy()
    overlay = output.with_name(f"{stem_of(output)}_overlay.png")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_map(output, plane, config.data.change, like=followup)
        save_overlay(overlay, images["followup"], plane, signed=signed)
    except OSError as error:
        raise UserError(f"--output {output}: {error.strerror}; name a file you may write") from error
    return output, overlay


@torch.no_grad()
def predict_change(generator: nn.Module, baseline: Tensor, followup: Tensor, *, image_size: int) -> Tensor:
    """The change map of one pair in the size of its images.

    Args:
        generator: `(baseline, followup) -> change map`, in eval mode.
        baseline: `[1, H, W]` in `[0, 1]`, dense tissue bright.
        followup: the same size.
        image_size: side of the square the generator was trained on, in pixels.

    Returns:
        `[1, H, W]`, in `[0, 1]` or, signed, in `[-1, 1]`.
    """
    pair, _ = fit_to_square(torch.cat([baseline, followup]), image_size)
    change = generator(pair[None, :1], pair[None, 1:])
    return restore_from_square(change[0].float(), *followup.shape[-2:])
