"""A trained generator that maps what changed between two radiographs, in the followup's own pixels."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from data import Radiograph, read_radiograph, restore_from_square
from gan.run.exported import load_generator
from gan.run.feeding import feed, fit_pair, not_aligned
from gan.run.generator import generator_place
from gan.run.handover import ANY, Preprocessing
from gan.run.tiles import map_in_tiles

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChangeModel:
    """A generator in eval mode, and how it must be fed."""

    generator: nn.Module
    """`(baseline, followup) -> change map`; it decides the device."""
    preprocessing: Preprocessing

    @classmethod
    def load(
        cls, model: Path | str, *, device: torch.device | str = "cpu", trust_remote_code: bool = False
    ) -> "ChangeModel":
        """What adversarial training made, or `gan.export` made of it.

        Args:
            model: a run, its `generator/`, a hub id, or a file that ends in .onnx or .pt2.
            device: where it computes.
            trust_remote_code: import the classes that the folder names, also from outside of `networks`, and
                load a .pt2 file, which can hold any code.

        Raises:
            UserError: there is no generator, or one that is not trusted.
        """
        trusted = ANY if trust_remote_code else ""
        return cls(*load_generator(generator_place(model), device=device, trusted=trusted))

    @torch.no_grad()
    def __call__(
        self, baseline: Radiograph | Path | str, followup: Radiograph | Path | str, *, tiles: int = 1
    ) -> Tensor:
        """The change map of one pair; the two may differ in size and format.

        Where the baseline is laid on the followup, the map is 0 where it does not reach; without a good fit
        it stays as it is, with a warning.

        Args:
            baseline: the earlier radiograph, or its file.
            followup: the later one.
            tiles: how many times as fine as in training they are seen, in overlapping tiles; see `fit_pair`.

        Returns:
            `[1, H, W]` of the followup as it is read, upright, on the generator's device, in `[0, 1]` or,
            signed, in `[-1, 1]`.

        Raises:
            DataError: an image is missing or unreadable.
        """
        pair = self.read(baseline), self.read(followup)
        fed = feed([fit_pair(*pair, self.preprocessing, tiles=tiles)], align=self.preprocessing.align)
        if (reason := not_aligned(fed.confidence)) is not None:
            log.warning(reason)
        fed = fed.to(self.device)
        change = self.maps(fed.baseline, fed.followup) * fed.known
        return restore_from_square(change[0], fed.geometry[0])

    @property
    def device(self) -> torch.device:
        """Where the generator computes."""
        parameters = self.generator.parameters()
        return next((parameter.device for parameter in parameters), torch.device("cpu"))

    @torch.no_grad()
    def maps(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """Change maps `[B, 1, L, L]` of images of that shape, in tiles where they are larger than S."""
        size = self.preprocessing.image_size
        if followup.shape[-1] == size:
            return self.generator(baseline, followup).float()
        return map_in_tiles(self.generator, (baseline, followup), size)

    def read(self, picture: Radiograph | Path | str) -> Radiograph:
        """A radiograph in the grey values that the generator was trained on."""
        if isinstance(picture, Radiograph):
            return picture
        return read_radiograph(Path(picture), self.preprocessing.intensity)
