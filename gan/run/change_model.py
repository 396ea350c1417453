"""A trained generator that maps what changed between two radiographs, in the followup's own pixels."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from data import Radiograph, read_radiograph, restore_from_square
from data.base.errors import UserError
from gan.run.feeding import feed, fit_pair, not_aligned
from gan.run.generator import generator_place
from gan.run.handover import ANY, Preprocessing, load_network
from gan.run.tiles import map_in_tiles

log = logging.getLogger(__name__)


class Generator(Protocol):
    """What maps changes: a module, or a program that was exported from one."""

    def __call__(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """Change maps `[B, 1, S, S]` of images of that shape in `[0, 1]`, on their device."""


def load_generator(
    place: Path, device: torch.device | str, *, trusted: str
) -> tuple[Generator, Preprocessing]:
    """What is at the place of a generator, ready to compute on `device`, and how it must be fed.

    Args:
        place: what `generator_place` found.
        device: where it computes.
        trusted: see `load_network`.

    Raises:
        UserError: it holds no generator, or one of a class that is not trusted.
    """
    if place.is_file():
        raise UserError(
            f"{place} is no generator; name a run of gan.adversarial, its generator/, or a hub id"
        )
    network, preprocessing = load_network(place, trusted=trusted)
    return network.to(device), preprocessing


@dataclass(frozen=True)
class ChangeModel:
    """A generator in eval mode, and how it must be fed."""

    generator: Generator
    """`(baseline, followup) -> change map`; it decides the device."""
    preprocessing: Preprocessing

    @classmethod
    def load(
        cls, model: Path | str, *, device: torch.device | str = "cpu", trust_remote_code: bool = False
    ) -> "ChangeModel":
        """What adversarial training made.

        Args:
            model: a run, its `generator/`, or a hub id.
            device: where it computes.
            trust_remote_code: import the classes that the folder names, also from outside of `networks`.

        Raises:
            UserError: it holds no generator, or one of a class that is not trusted.
        """
        return cls(*load_generator(generator_place(model), device, trusted=ANY if trust_remote_code else ""))

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
        parameters = self.generator.parameters() if isinstance(self.generator, nn.Module) else iter(())
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
