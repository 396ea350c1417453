"""The embedded data set: pairs for change models, single images for pretraining."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from data.batch import ImageSample, PairSample
from data.config import Change, EmbeddedConfig
from data.simulation.embedded.cache import Time
from data.simulation.embedded.render import load_split

_TIMES: tuple[Time, ...] = ("baseline", "followup")


class _SyntheticSplit:
    """What pairs and single images of a split share.

    Args:
        config: what to draw.
        image_size: side of the images in pixels.
        cache_dir: where rendered patients are kept for the next run with the same settings.
        split: train, val or test.
        progress: show a bar while rendering.
        workers: rendering processes; by default one for each core.

    Raises:
        ValueError: if the split is unknown.
        DataError: if the CT is asked for and not installed.
    """

    samples_per_pair = 1

    def __init__(
        self,
        config: EmbeddedConfig,
        *,
        image_size: int,
        cache_dir: Path,
        split: str,
        progress: bool = True,
        workers: int | None = None,
    ) -> None:
        self.split = split
        self._samples_per_patient = self.samples_per_pair * config.pairs_per_patient
        self._pairs = load_split(config, image_size, cache_dir, split, workers, progress)

    @property
    def patients(self) -> list[str]:
        """Names of the virtual patients, in order."""
        return [self._name(index) for index in range(len(self._pairs))]

    def __len__(self) -> int:
        return len(self._pairs) * self._samples_per_patient

    def _locate(self, index: int) -> tuple[int, int]:
        """Patient, and place within the patient, of a sample."""
        if not 0 <= index < len(self):
            raise IndexError(f"no sample {index}: there are {len(self)}")
        return divmod(index, self._samples_per_patient)

    def _name(self, patient: int) -> str:
        return f"{self.split}-{patient:03d}"


class SyntheticPairs(_SyntheticSplit, Dataset[PairSample]):
    """Radiograph pairs of one split; renders what the cache lacks, then lives in memory.

    Takes what `SyntheticImages` takes, and:

    Args:
        change: whether targets are magnitudes in [0, 1] or signed in [-1, 1].

    Raises:
        ValueError: if the kind of change is unknown.
    """

    def __init__(self, config: EmbeddedConfig, *, change: Change = "magnitude", **where: Any) -> None:
        if change not in ("magnitude", "signed"):
            raise ValueError(f"change is {change!r}; it must be magnitude or signed")
        super().__init__(config, **where)
        self.change = change

    def __getitem__(self, index: int) -> PairSample:
        patient, pair = self._locate(index)
        pairs, name = self._pairs[patient], self._name(patient)
        findings = pairs.findings[pair]
        return PairSample(
            id=f"{name}/{pair} {' + '.join(findings) or 'unchanged'}",
            patient_id=name,
            baseline=_tensor(pairs.film(pair, "baseline")),
            followup=_tensor(pairs.film(pair, "followup")),
            target=self._target(pairs.target(pair, "followup")),
            target_baseline=self._target(pairs.target(pair, "baseline")),
            findings=findings,
        )

    def _target(self, target: NDArray[np.float32]) -> Tensor:
        return _tensor(target if self.change == "signed" else np.abs(target))


class SyntheticImages(_SyntheticSplit, Dataset[ImageSample]):
    """All baselines and followups of one split as single images, for pretraining; shares the pairs' cache."""

    samples_per_pair = 2

    def __getitem__(self, index: int) -> ImageSample:
        patient, image = self._locate(index)
        pair, time = image // 2, _TIMES[image % 2]
        name = self._name(patient)
        image_of = _tensor(self._pairs[patient].film(pair, time))
        return ImageSample(id=f"{name}/{pair} {time}", patient_id=name, image=image_of)


def _tensor(image: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(image)[None]
