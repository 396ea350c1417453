"""The source of embedded data: pairs for change models, and single images with the findings they show."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from data.alignment import Aligner
from data.base.errors import DataError
from data.batch import ImageSample, PairSample
from data.config import Change, DataConfig, Intensity
from data.files.intensity import as_read
from data.findings import FINDINGS
from data.simulation.embedded.cache import StoredPairs, Time, cache_folder, to_levels
from data.simulation.embedded.render import render_splits
from data.simulation.volumes.ct import find_ct

_SplitT = TypeVar("_SplitT")
_TIMES: tuple[Time, ...] = ("baseline", "followup")


class Embedded:
    """Virtual patients, rendered where the cache lacks them, for whoever gives no data."""

    def __init__(self, config: DataConfig) -> None:
        self.config = config

    @staticmethod
    def is_meant(config: DataConfig) -> bool:
        """Whether neither a path nor prepared data is given."""
        return config.path is None and config.prepared is None

    def pairs(
        self,
        splits: Iterable[str],
        *,
        with_targets: bool = True,  # noqa: ARG002  (all have one)
    ) -> "dict[str, SyntheticPairs]":
        """The pairs of some splits."""
        kind = partial(SyntheticPairs, align=self.config.align)
        return self._open(kind, splits, self.config.change)

    def images(self, splits: Iterable[str]) -> "dict[str, SyntheticImages]":
        """The images of some splits, by default with all findings that there can be as labels."""
        findings = tuple(name for name in FINDINGS if name in self.config.synthesis.findings)
        labels = self.config.labels or findings
        if unknown := [name for name in labels if name not in findings]:
            raise DataError(f"the embedded data has no label {unknown[0]!r} (found {', '.join(findings)})")
        return self._open(SyntheticImages, splits, labels)

    def _open(self, kind: Callable[..., _SplitT], splits: Iterable[str], option: Any) -> dict[str, _SplitT]:
        config, synthesis = self.config, self.config.synthesis
        stored = render_splits(synthesis, config.image_size, config.cache_dir, tuple(splits))
        stored = {split: [_as_read(pairs, config.intensity) for pairs in of] for split, of in stored.items()}
        ct = None if synthesis.volume == "phantom" else find_ct()
        settings = cache_folder(synthesis, config.image_size, config.cache_dir, ct).name
        return {split: kind(split, pairs, settings, option) for split, pairs in stored.items()}


class _SyntheticSplit:
    """What pairs and single images of a split share; they live in memory.

    Args:
        split: its name.
        stored: the pairs of each of its patients.
        settings: fingerprint of all that shapes their pixels.
    """

    labels: tuple[str, ...] = ()

    def __init__(self, split: str, stored: Sequence[StoredPairs], settings: str) -> None:
        self.patients = [f"{split}-{index:03d}" for index in range(len(stored))]
        self.identity = f"{settings}/{split}-{len(stored)}"
        self._pairs = [
            (patient, pairs, number)
            for patient, pairs in zip(self.patients, stored, strict=True)
            for number in range(len(pairs.findings))
        ]


class SyntheticPairs(_SyntheticSplit, Dataset[PairSample]):
    """Radiograph pairs; targets are magnitudes in [0, 1] or signed in [-1, 1]."""

    def __init__(
        self,
        split: str,
        stored: Sequence[StoredPairs],
        settings: str,
        change: Change = "magnitude",
        *,
        align: bool = False,
    ) -> None:
        if change not in ("magnitude", "signed"):
            raise ValueError(f"change is {change!r}; it must be magnitude or signed")
        super().__init__(split, stored, settings)
        self.change = change
        self._aligned = Aligner(enabled=align)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> PairSample:
        patient, pairs, pair = self._pairs[index]
        findings = pairs.findings[pair]
        sample = PairSample(
            id=f"{patient}/{pair} {' + '.join(findings) or 'unchanged'}",
            patient_id=patient,
            baseline=_tensor(pairs.film(pair, "baseline")),
            followup=_tensor(pairs.film(pair, "followup")),
            target=self._target(pairs.target(pair, "followup")),
            target_baseline=self._target(pairs.target(pair, "baseline")),
            findings=findings,
            columns=pairs.columns[pair] | {"group": f"{patient}/{pairs.columns[pair]['group']}"},
            alignment=pairs.alignments[pair],
        )
        return self._aligned(sample)

    def _target(self, target: NDArray[np.float32]) -> Tensor:
        return _tensor(target if self.change == "signed" else np.abs(target))


class SyntheticImages(_SyntheticSplit, Dataset[ImageSample]):
    """Baselines and followups as single images; a label is 1 where one shows that finding, else 0.

    Not those of pairs that were drawn, which show one and the same film of a patient again and again.
    """

    def __init__(
        self, split: str, stored: Sequence[StoredPairs], settings: str, labels: Sequence[str] = FINDINGS
    ) -> None:
        super().__init__(split, stored, settings)
        self.labels = tuple(labels)
        self._pairs = [known for known in self._pairs if known[1].columns[known[2]]["made"] == "projected"]

    def __len__(self) -> int:
        return 2 * len(self._pairs)

    def __getitem__(self, index: int) -> ImageSample:
        patient, pairs, pair = self._pairs[index // 2]
        time = index % 2
        shown = pairs.present[pair][time]
        return ImageSample(
            id=f"{patient}/{pair} {_TIMES[time]}",
            patient_id=patient,
            image=_tensor(pairs.film(pair, _TIMES[time])),
            labels=torch.tensor([float(name in shown) for name in self.labels]),
        )


def _as_read(pairs: StoredPairs, intensity: Intensity) -> StoredPairs:
    """The films as they would be if they were read from files; the cache holds them as they are."""
    if intensity in ("dicom", "range"):
        return pairs
    count = len(pairs.findings)
    films = [
        [as_read(pairs.film(pair, time), intensity, Path("an embedded film")) for pair in range(count)]
        for time in _TIMES
    ]
    return replace(pairs, films=to_levels(np.array(films)))


def _tensor(image: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(image)[None]
