"""One split of a data set."""

from data import DataConfig, Split, open_images, open_pairs


def pairs_of(config: DataConfig, split: str) -> Split:
    return open_pairs(config, [split])[split]


def images_of(config: DataConfig, split: str) -> Split:
    return open_images(config, [split])[split]
