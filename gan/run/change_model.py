"""A trained generator that maps what changed between two radiographs, in the followup's own pixels."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from data import Radiograph, fit_to_square, read_radiograph, restore_from_square
from gan.run.handover import ANY, Preprocessing, load_network


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
        """What adversarial training saved as `generator/`.

        Args:
            folder: where it lies.
            device: where it computes.
            trust_remote_code: import the classes that the folder names, also from outside of `networks`.

        Raises:
            UserError: the folder holds no generator, or one of a class that is not trusted.
        """
        generator, preprocessing = load_network(Path(folder), trusted=ANY if trust_remote_code else "")
        return cls(generator.to(device), preprocessing)

    @torch.no_grad()
    def __call__(self, baseline: Radiograph | Path | str, followup: Radiograph | Path | str) -> Tensor:
        """The change map of one pair; the two may differ in size and format.

        Returns:
            `[1, H, W]` of the followup as it is read, upright, on the generator's device, in `[0, 1]` or,
            signed, in `[-1, 1]`.

        Raises:
            DataError: an image is missing or unreadable.
        """
        device = next(self.generator.parameters()).device
        squares = []
        for picture in (self.read(baseline), self.read(followup)):
            geometry = picture.geometry(self.preprocessing.framing)
            pixels = torch.from_numpy(picture.pixels)[None]
            square, _ = fit_to_square(pixels, self.preprocessing.image_size, geometry)
            squares.append(square[None].to(device))
        return restore_from_square(self.generator(*squares)[0].float(), geometry)

    def read(self, picture: Radiograph | Path | str) -> Radiograph:
        """A radiograph in the grey values that the generator was trained on."""
        if isinstance(picture, Radiograph):
            return picture
        return read_radiograph(Path(picture), self.preprocessing.intensity)
