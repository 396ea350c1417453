"""Where samples come from: the contract of a split, and one table of the sources that yield them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from data.arrays.dataset import ArrayFile
from data.batch import ImageSample, PairSample
from data.config import SPLITS, DataConfig
from data.manifests.dataset import Files
from data.mixed.source import Mixed
from data.prepared.dataset import Prepared
from data.simulation.embedded.dataset import Embedded

SampleT_co = TypeVar("SampleT_co", covariant=True)


@runtime_checkable
class Split(Protocol[SampleT_co]):
    """The samples of one split, as every source yields them: `split[i]` for `i` in `range(len(split))`.

    A sample is the same whenever it is asked for, and in every process, to which a split can be pickled. One
    that is streamed is a `StreamedSplit` as well; it is iterated, and knows no `split[i]`.
    """

    labels: tuple[str, ...]
    """Names of the labels of an image, in the order of `ImageSample.labels`; empty where there are none."""

    @property
    def patients(self) -> list[str] | None:
        """Names of the patients; None where nobody knows them before all has been read."""

    @property
    def identity(self) -> str:
        """Equal for the same samples of the same split, wherever they lie; a run resumes only on the same."""

    def __len__(self) -> int:
        """Samples of an epoch; of a streamed split, in this process."""

    def __getitem__(self, index: int, /) -> SampleT_co:
        """One sample."""


@runtime_checkable
class StreamedSplit(Protocol):
    """What is to be known of a split that is streamed, an `IterableDataset`, beside what is known of any."""

    epoch: int
    """Which pass over the data is next; its order is a function of (seed, epoch)."""

    def configure(self, *, rank: int, world: int, seed: int) -> None:
        """Tell it which process of the run it serves, of how many; too little data for them is refused."""

    def __iter__(self) -> Iterator[Any]:
        """The samples of an epoch for this process, the same number in each."""


@runtime_checkable
class MixedSplit(Protocol):
    """What is to be known of a split of several sources beside what is known of any."""

    parts: Mapping[str, Split[Any]]
    """The split of each source by the source's name, to be judged one by one."""

    def order(self, seed: int, epoch: int) -> Sequence[int]:
        """Which samples an epoch sees, one after the other: as many as there are, some more than once."""

    def describe(self) -> str:
        """How much each source has, and how much of it an epoch sees."""


@runtime_checkable
class OnFiles(Protocol):
    """What is to be known of a split that is read from files beside what is known of any."""

    files: Sequence[str]
    """Their paths, each once."""


class Source(Protocol):
    """A kind of data. It is opened once for all splits, and imports what it needs where it needs it.

    A source is added with a class in a folder of its own and a line in `SOURCES`.
    """

    config: DataConfig
    """The options as they hold: what the data has decided stands in place of the defaults."""

    def __init__(self, config: DataConfig) -> None:
        """Open what the options mean."""

    @staticmethod
    def is_meant(config: DataConfig) -> bool:
        """Whether the options mean this source and none before it in the table."""

    def pairs(
        self, splits: Iterable[str], /, *, with_targets: bool = True
    ) -> Mapping[str, Split[PairSample]]:
        """Pairs of some splits; what has to be made for them is made first.

        Unless `with_targets` is off, a pair without a target is refused.
        """

    def images(self, splits: Iterable[str], /) -> Mapping[str, Split[ImageSample]]:
        """Single images of some splits, with the labels that are asked for."""


SOURCES: tuple[type[Source], ...] = (Prepared, ArrayFile, Files, Embedded)
"""In the order in which they are asked whether they are meant; a mix is of any of them."""


def open_pairs(
    config: DataConfig, splits: Iterable[str] = SPLITS, *, with_targets: bool = True
) -> dict[str, Split[PairSample]]:
    """The pairs of some splits by name, rendered where they are missing from the embedded data.

    Raises:
        DataError: the data is missing or contradicts itself; a pair has no target, unless `with_targets` is
            off.
    """
    return dict(_source_of(config).pairs(_legal(splits), with_targets=with_targets))


def open_images(config: DataConfig, splits: Iterable[str] = SPLITS) -> dict[str, Split[ImageSample]]:
    """The single images of some splits by name, both images of every pair included.

    Raises:
        DataError: the data is missing or contradicts itself, or a label is not what it should be.
    """
    return dict(_source_of(config).images(_legal(splits)))


def settled(config: DataConfig) -> DataConfig:
    """The options as they hold: what the data has decided already stands in place of the defaults.

    Raises:
        DataError: the data is not there, or was made for something else than what is asked for.
    """
    return _source_of(config).config


def _source_of(config: DataConfig) -> Source:
    if Mixed.is_meant(config):
        return Mixed(config, _source_of)
    return next(source for source in SOURCES if source.is_meant(config))(config)


def _legal(splits: Iterable[str]) -> list[str]:
    names = list(splits)
    for name in names:
        if name not in SPLITS:
            raise ValueError(f"{name!r} is no split; it must be one of {', '.join(SPLITS)}")
    return names
