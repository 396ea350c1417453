"""A predicted map to files, on the followup's own pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from data import Geometry, restore_from_square, write_map
from data.base.atomic import write_rows
from data.config import Change
from data.files.formats import DICOM_SUFFIXES, suffix_of
from data.files.maps import turn_on
from gan.pictures.change import overlay, save_overlay
from gan.predict import dicom
from gan.predict.places import Places
from gan.predict.regions import COLUMNS, Region, find_regions, rows_of


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What models make of one pair, in the square they see."""

    baseline: Path
    followup: Path
    change: Tensor
    """`[1, L, L]` on the CPU."""
    spread: Tensor
    """Standard deviation of the maps it is the mean of, `[1, L, L]`."""
    geometry: Geometry
    shown: NDArray[np.uint8]
    """The followup as it is seen, `[H, W]`; of no pixels where no picture of it is wanted."""


@dataclass(frozen=True, kw_only=True)
class Writer:
    """What of every map is to be written, and how."""

    change: Change
    threshold: float
    """From which magnitude on a pixel is changed."""
    algorithm: dicom.Algorithm
    has_colour_bar: bool = False
    """Whether overlays that are no DICOM are figures with a colour bar, or in the followup's own pixels."""

    @property
    def _signed(self) -> bool:
        return self.change == "signed"

    def write(self, predicted: Predicted, places: Places) -> list[Region]:
        """Write the files of one pair; returns its changed regions, in the pixels of the map as it is stored.

        Raises:
            OSError: a file cannot be written.
            DataError: the radiographs have headers of which no DICOM object can be made.
        """
        for path in places.all():
            path.parent.mkdir(parents=True, exist_ok=True)
        seen = restore_from_square(predicted.change, predicted.geometry)[0].numpy()
        turn, spacing = turn_on(predicted.followup), predicted.geometry.spacing_mm
        stored = turn.stored(seen)
        if suffix_of(places.map) in DICOM_SUFFIXES:
            with dicom.named_if_refused(predicted.followup):
                self._write_dicom(predicted, stored, places)
        else:
            self._write_plain(predicted, seen, places)
        spacing = spacing and turn.pair(*spacing)
        regions = find_regions(stored, self.threshold, signed=self._signed, spacing_mm=spacing)
        if places.findings is not None:
            write_rows(places.findings, [COLUMNS, *rows_of(regions)])
        return regions

    def _write_plain(self, predicted: Predicted, seen: NDArray[np.float32], places: Places) -> None:
        like, spacing = predicted.followup, predicted.geometry.spacing_mm
        write_map(places.map, seen, self.change, like=like, spacing_mm=spacing)
        if places.uncertainty is not None:
            write_map(places.uncertainty, _spread(predicted), "magnitude", like=like, spacing_mm=spacing)
        if places.overlay is None:
            return
        if self.has_colour_bar:
            aspect = predicted.geometry.pixel_aspect
            save_overlay(places.overlay, _grey(predicted.shown), seen, signed=self._signed, aspect=aspect)
        else:
            Image.fromarray(_colours(predicted.shown, seen, signed=self._signed)).save(places.overlay)

    def _write_dicom(self, predicted: Predicted, stored: NDArray[np.float32], places: Places) -> None:
        sources = dicom.Sources.read(predicted.baseline, predicted.followup)
        of_values = partial(dicom.parametric_map, sources=sources, algorithm=self.algorithm)
        made = {places.map: of_values(stored, kind="change map", signed=self._signed)}
        if places.uncertainty is not None:
            spread = sources.turn.stored(_spread(predicted))
            made[places.uncertainty] = of_values(spread, kind="uncertainty", signed=False)
        if places.segmentation is not None:
            made[places.segmentation] = dicom.segmentation(
                stored, sources, self.algorithm, threshold=self.threshold, signed=self._signed
            )
        if places.overlay is not None:
            film = sources.turn.stored(predicted.shown)
            colours = _colours(film, stored, signed=self._signed)
            made[places.overlay] = dicom.secondary_capture(colours, sources, self.algorithm)
        for path, dataset in made.items():
            dataset.save_as(path, enforce_file_format=True)


def shown(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A radiograph in `[0, 1]` for pictures of it, in a quarter of the memory."""
    return np.round(pixels * 255).astype(np.uint8)


def _grey(film: NDArray[np.uint8]) -> NDArray[np.float32]:
    return film.astype(np.float32) / np.float32(255)


def _spread(predicted: Predicted) -> NDArray[np.float32]:
    spread: NDArray[np.float32] = restore_from_square(predicted.spread, predicted.geometry)[0].numpy()
    return spread


def _colours(film: NDArray[np.uint8], change: NDArray[np.float32], *, signed: bool) -> NDArray[np.uint8]:
    return np.round(overlay(_grey(film), change, signed=signed) * 255).astype(np.uint8)


def predicted_of(
    files: Sequence[tuple[Path, Path]],
    change: Tensor,
    spread: Tensor,
    geometry: Sequence[Geometry],
    films: Sequence[NDArray[np.uint8]],
) -> list[Predicted]:
    """A batch of maps `[B, 1, L, L]` one by one."""
    change, spread = (torch.as_tensor(values, device="cpu") for values in (change, spread))
    return [
        Predicted(
            baseline=baseline,
            followup=followup,
            change=change[number],
            spread=spread[number],
            geometry=geometry[number],
            shown=films[number],
        )
        for number, (baseline, followup) in enumerate(files)
    ]
