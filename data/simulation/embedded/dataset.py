"""The embedded data set: pairs for change models, single images for pretraining."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from data.batch import ImageSample, PairSample
from data.config import Change, SynthesisConfig
from data.simulation.embedded.cache import StoredPairs, Time
from data.simulation.embedded.render import load_split

_TIMES: tuple[Time, ...] = ("baseline", "followup")


class _SyntheticSplit:
    """What pairs and single images of a split share."""

    split: str
    _pairs: list[StoredPairs]

    @property
    def patients(self) -> list[str]:
        """Names of the virtual patients, in order."""
        return [_name(self.split, index) for index in range(len(self._pairs))]


class SyntheticPairs(_SyntheticSplit, Dataset[PairSample]):
    """Radiograph pairs of one split; renders what the cache lacks, then lives in memory.

    Args:
        config: what to draw.
        image_size: side of the images in pixels.
        cache_dir: where rendered patients are kept for the next run with the same settings.
        split: train, val or test.
        change: whether targets are magnitudes in [0, 1] or signed in [-1, 1].
        progress: show a bar while rendering.
        workers: rendering processes; by default one for each core.

    Raises:
        ValueError: if the split or the kind of change is unknown.
        DataError: if the CT is asked for and not installed.
    """

    def __init__(
        self,
        config: SynthesisConfig,
        *,
        image_size: int,
        cache_dir: Path,
        split: str,
        change: Change = "magnitude",
        progress: bool = True,
        workers: int | None = None,
    ) -> None:
        if change not in ("magnitude", "signed"):
            raise ValueError(f"change is {change!r}; it must be magnitude or signed")
        self.change = change
        self.split = split
        self.pairs_per_patient = config.pairs_per_patient
        self._pairs = load_split(config, image_size, cache_dir, split, workers, progress)

    def __len__(self) -> int:
        return len(self._pairs) * self.pairs_per_patient

    def __getitem__(self, index: int) -> PairSample:
        patient, pair = _locate(len(self), self.pairs_per_patient, index)
        pairs = self._pairs[patient]
        findings = pairs.findings[pair]
        return PairSample(
            id=f"{_name(self.split, patient)}/{pair} {' + '.join(findings) or 'unchanged'}",
            patient_id=_name(self.split, patient),
            baseline=_tensor(pairs.film(pair, "baseline")),
            followup=_tensor(pairs.film(pair, "followup")),
            target=self._target(pairs.target(pair, "followup")),
            target_baseline=self._target(pairs.target(pair, "baseline")),
            findings=findings,
        )

    def _target(self, target: NDArray[np.float32]) -> Tensor:
        return _tensor(target if self.change == "signed" else np.abs(target))


class SyntheticImages(_SyntheticSplit, Dataset[ImageSample]):
    """All baselines and followups of one split as single images, for pretraining.

    The arguments are those of `SyntheticPairs`, whose cache it shares.
    """

    def __init__(
        self,
        config: SynthesisConfig,
        *,
        image_size: int,
        cache_dir: Path,
        split: str,
        progress: bool = True,
        workers: int | None = None,
    ) -> None:
        self.split = split
        self.pairs_per_patient = config.pairs_per_patient
        self._pairs = load_split(config, image_size, cache_dir, split, workers, progress)

    def __len__(self) -> int:
        return 2 * len(self._pairs) * self.pairs_per_patient

    def __getitem__(self, index: int) -> ImageSample:
        patient, image = _locate(len(self), 2 * self.pairs_per_patient, index)
        pair, time = image // 2, _TIMES[image % 2]
        return ImageSample(
            id=f"{_name(self.split, patient)}/{pair} {time}",
            patient_id=_name(self.split, patient),
            image=_tensor(self._pairs[patient].film(pair, time)),
        )


def _name(split: str, index: int) -> str:
    return f"{split}-{index:03d}"


def _locate(count: int, per_patient: int, index: int) -> tuple[int, int]:
    """Patient, and place within the patient, of one of `count` samples."""
    if not 0 <= index < count:
        raise IndexError(f"no sample {index}: there are {count}")
    return divmod(index, per_patient)


def _tensor(image: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(image)[None]
