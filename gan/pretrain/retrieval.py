"""Whether the other view of an image is found among those of others."""

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.colors import Normalize
from torch import Tensor
from torch.nn.functional import normalize

from data import ImageBatch
from gan.pictures.grid import Column, draw_grid, planes

_QUERIES_AT_ONCE = 1024
_RANKS = (1, 5)
_SHOWN = 3


def recall(first: Tensor, second: Tensor) -> dict[str, float]:
    """Share of images whose second view is among the closest 1 and 5 to their first, by cosine.

    Args:
        first: features `[N, D]` of one view of each image.
        second: `[N, D]` of the other view, in the same order.
    """
    candidates = normalize(second.float())
    ranks = []
    for start in range(0, len(first), _QUERIES_AT_ONCE):
        similarity = normalize(first[start : start + _QUERIES_AT_ONCE].float()) @ candidates.T
        own = similarity.diagonal(start)[:, None]
        # Ties count against it: features that are all the same find nothing.
        ranks.append((similarity >= own).sum(1))
    rank = torch.cat(ranks)
    return {f"recall_at_{limit}": (rank <= limit).float().mean().item() for limit in _RANKS}


def retrieval_table(trained: Mapping[str, float], untrained: Mapping[str, float], images: int) -> str:
    """The final numbers as a table for a terminal."""
    lines = [" " * 12 + "".join(f"{name:>14}" for name in trained)]
    for label, numbers in (("trained", trained), ("untrained", untrained)):
        lines.append(label.ljust(12) + "".join(f"{numbers[name]:14.4f}" for name in trained))
    chance = "".join(f"{min(1.0, limit / max(images, 1)):14.4f}" for limit in _RANKS)
    return "\n".join([*lines, "chance".ljust(12) + chance])


def draw_retrieval_grid(
    path: Path, image: ImageBatch, views: tuple[ImageBatch, ImageBatch], first: Tensor, second: Tensor
) -> None:
    """One row a case: the image, its two views, and whose second views are the closest to its first.

    `first` and `second` are the features `[N, D]` of the two views.
    """
    order = (normalize(first.float()) @ normalize(second.float()).T).argsort(dim=1, descending=True)
    shown = min(_SHOWN, len(image))
    titles = ["closest second view", *(f"number {rank + 1}" for rank in range(1, shown))]
    shown_images = {"image": image.image, "first view": views[0].image, "second view": views[1].image}
    shown_images |= {titles[rank]: views[1].image[order[:, rank]] for rank in range(shown)}
    grey = Normalize(0, 1)
    columns = [Column(title, planes(images), norm=grey) for title, images in shown_images.items()]
    draw_grid(path, image.id, columns)
