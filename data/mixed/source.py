"""The source that is several others."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.base.checks import weights_of
from data.base.errors import DataError
from data.config import DataConfig
from data.mixed.splits import MixedStream, Mixture, OfSource, is_streamed, shared_patient

_SHARED = ("intensity", "framing")


class Mixed:
    """The sources that `--data.mix` names; each is opened on its own, with the options that hold for all.

    Args:
        config: the options.
        open_source: what opens the source that options mean.
    """

    def __init__(self, config: DataConfig, open_source: Callable[[DataConfig], Any]) -> None:
        self.weights = weights_of(config.mix, "mix")
        self.sources = {name: open_source(_alone(name, config)) for name in self.weights}
        self.config = _agreed(config, {name: source.config for name, source in self.sources.items()})

    @staticmethod
    def is_meant(config: DataConfig) -> bool:
        """Whether a mix is given."""
        return bool(config.mix)

    def pairs(self, splits: Iterable[str], *, with_targets: bool = True) -> dict[str, Mixture]:
        """The pairs of some splits."""
        names = list(splits)
        found = {
            name: source.pairs(names, with_targets=with_targets) for name, source in self.sources.items()
        }
        return self._mix(names, found)

    def images(self, splits: Iterable[str]) -> dict[str, Mixture]:
        """The images of some splits, with the labels that all sources have."""
        names = list(splits)
        return self._mix(names, {name: source.images(names) for name, source in self.sources.items()})

    def _mix(self, splits: list[str], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Mixture]:
        held_out = _held_out(found)
        return {split: self._join(split, found, held_out) for split in splits}

    def _join(
        self, split: str, found: Mapping[str, Mapping[str, Any]], held_out: Mapping[str, str]
    ) -> Mixture:
        opened = {name: of_source[split] for name, of_source in found.items()}
        labels = {tuple(part.labels) for part in opened.values()}
        common = labels.pop() if len(labels) == 1 else ()
        parts = [OfSource(name, number, part, common) for number, (name, part) in enumerate(opened.items())]
        weights = list(self.weights.values())
        if any(map(is_streamed, opened.values())):
            return MixedStream(parts, weights, self.config.batch_size, held_out)
        mixture = Mixture(parts, weights)
        if split == "train":
            mixture.require_shares()
        return mixture


def _alone(name: str, config: DataConfig) -> DataConfig:
    """The options that mean one source of a mix."""
    alone, (kind, _, place) = replace(config, mix=()), name.partition(":")
    if name == "embedded":
        return alone
    if kind == "prepared":
        return replace(alone, prepared=place)
    if not Path(name).exists():
        raise DataError(
            f"--data.mix: {name} is no source: it is neither embedded nor prepared:FOLDER, and there is no "
            "file or folder of that name"
        )
    return replace(alone, path=Path(name))


def _agreed(config: DataConfig, found: Mapping[str, DataConfig]) -> DataConfig:
    """The options as they hold for all sources; data that was prepared otherwise than the rest is refused."""
    (first, expected), *others = found.items()
    for name, other in others:
        for option in _SHARED:
            ours, theirs = getattr(expected, option), getattr(other, option)
            if ours != theirs:
                raise DataError(
                    f"--data.mix: --data.{option} is {ours} for {first} and {theirs} for {name}; prepare "
                    f"them alike, or name the one of the prepared data with --data.{option} for all"
                )
    return replace(config, **{option: getattr(expected, option) for option in _SHARED})


def _held_out(found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Where each patient is that is not trained on; one who is in two splits of any sources is refused."""
    split_of: dict[str, tuple[str, str]] = {}
    for name, splits in found.items():
        for split, part in splits.items():
            for patient in part.patients or ():
                known, source = split_of.setdefault(patient, (split, name))
                if known != split:
                    raise shared_patient(patient, f"{split} of {name}", f"{known} of {source}")
    return {who: f"{split} of {name}" for who, (split, name) in split_of.items() if split != "train"}
