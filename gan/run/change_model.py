"""A trained generator that maps what changed between two radiographs, in the followup's own pixels."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from data import Radiograph, fit_to_square, read_radiograph, restore_from_square
from data.alignment import LEAST_CONFIDENCE, lay, register
from gan.run.exported import load_generator
from gan.run.handover import ANY, Preprocessing

log = logging.getLogger(__name__)
_NOT_ALIGNED = "the baseline is not aligned: no good fit is found (confidence %.2f, at least %.2f is needed)"


@dataclass(frozen=True)
class ChangeModel:
    """A generator in eval mode, and how it must be fed."""

    generator: nn.Module
    """`(baseline, followup) -> change map`; it decides the device."""
    preprocessing: Preprocessing

    @classmethod
    def load(
        cls, folder: Path | str, *, device: torch.device | str = "cpu", trust_remote_code: bool = False
    ) -> "ChangeModel":
        """What adversarial training saved as `generator/`, or `gan.export` made of it.

        Args:
            folder: where it lies; a file that ends in .onnx or .pt2.
            device: where it computes.
            trust_remote_code: import the classes that the folder names, also from outside of `networks`, and
                load a .pt2 file, which can hold any code.

        Raises:
            UserError: there is no generator, or one that is not trusted.
        """
        trusted = ANY if trust_remote_code else ""
        return cls(*load_generator(Path(folder), device=device, trusted=trusted))

    @torch.no_grad()
    def __call__(self, baseline: Radiograph | Path | str, followup: Radiograph | Path | str) -> Tensor:
        """The change map of one pair; the two may differ in size and format.

        Where the baseline is laid on the followup, the map is 0 where it does not reach; without a good fit
        it stays as it is, with a warning.

        Returns:
            `[1, H, W]` of the followup as it is read, upright, on the generator's device, in `[0, 1]` or,
            signed, in `[-1, 1]`.

        Raises:
            DataError: an image is missing or unreadable.
        """
        before, after = self.read(baseline), self.read(followup)
        (old, old_mask), (new, new_mask) = self._square(before), self._square(after)
        known = torch.ones_like(new)
        if self.preprocessing.align:
            alignment = register(old, new, masks=(old_mask, new_mask))
            if alignment.trusted.all():
                old, known = lay(old, new, (old_mask, new_mask), alignment.transform)
            else:
                log.warning(_NOT_ALIGNED, alignment.confidence.item(), LEAST_CONFIDENCE)
        change = self.generator(old, new).float() * known
        return restore_from_square(change[0], after.geometry(self.preprocessing.framing))

    def _square(self, picture: Radiograph) -> tuple[Tensor, Tensor]:
        """What the generator sees of a radiograph and where it lies, `[1, 1, S, S]`."""
        pixels, geometry = (
            torch.from_numpy(picture.pixels)[None],
            picture.geometry(self.preprocessing.framing),
        )
        square, mask = fit_to_square(pixels, self.preprocessing.image_size, geometry)
        device = next(self.generator.parameters()).device
        return square[None].to(device), mask[None].to(device)

    def read(self, picture: Radiograph | Path | str) -> Radiograph:
        """A radiograph in the grey values that the generator was trained on."""
        if isinstance(picture, Radiograph):
            return picture
        return read_radiograph(Path(picture), self.preprocessing.intensity)
