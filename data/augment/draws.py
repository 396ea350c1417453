"""The random numbers of a batch, each sample's from generators of its own."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from data.base.seeds import fold_seed

_PAIR = {
    "swap": 1,
    "silent": 2,
    "mirror": 1,
    "rotation": 1,
    "shift": 2,
    "scale": 1,
    "extra_rotation": 1,
    "extra_shift": 2,
    "extra_scale": 1,
    "extra_elastic": 1 + 2 * 5 * 5,
    "structure": 2,
    "fields": 4**2 + 9**2,
    "bands": 6 * 6,
}
_FILM = {
    "exposure": 1,
    "contrast": 1,
    "gamma": 1,
    "shading": 1 + 3 * 3,
    "detail": 4,
    "equalise": 2,
    "window": 4,
    "blur": 2,
    "noise": 2,
    "grid": 4,
    "collimation": 7,
    "marks": 2 * 6,
    "cables": 3 * 6,
    "electrodes": 4 * 5,
}
_TABLES = {"pair": _PAIR, "image": _FILM, "baseline": _FILM, "followup": _FILM}


class Numbers(dict[str, Tensor]):
    """Numbers by name, `[N, K]` uniform in `[-1, 1)`; `normal` draws fields of them."""

    def __init__(self, keys: Sequence[str], table: dict[str, int], device: torch.device) -> None:
        total = sum(table.values())
        uniform = np.stack([np.random.default_rng(fold_seed(key)).uniform(-1, 1, total) for key in keys])
        columns = torch.tensor(uniform, dtype=torch.float32, device=device)
        super().__init__(zip(table, columns.split(list(table.values()), dim=1), strict=True))
        self._keys = list(keys)
        self._device = device

    def each(self, name: str) -> list[Tensor]:
        """The numbers of one name, each `[N, 1, 1, 1]`."""
        return list(self[name].T.view(-1, len(self._keys), 1, 1, 1))

    def shares(self, name: str) -> list[Tensor]:
        """The same, uniform in `[0, 1)`."""
        return [(number + 1) / 2 for number in self.each(name)]

    def normal(self, shape: Sequence[int]) -> Tensor:
        """`[N, *shape]`, standard normal, drawn on the device."""
        generator = torch.Generator(self._device)
        fields = [
            torch.randn(
                *shape, generator=generator.manual_seed(fold_seed(key, "normal")), device=self._device
            )
            for key in self._keys
        ]
        return torch.stack(fields)


class Draws:
    """The numbers of a batch of B samples: those of the pair, and those of each image of it."""

    def __init__(self, ids: Sequence[str], seed: int, epoch: int, device: torch.device) -> None:
        self._keys = [f"{seed}/{epoch}/{name}" for name in ids]
        self._device = device

    def __getitem__(self, role: str) -> Numbers:
        """`[B, K]` for each name of a role: pair, image, baseline or followup."""
        return self.joined((role,))

    def joined(self, roles: Sequence[str]) -> Numbers:
        """The numbers of several roles of one kind, one role after the other."""
        keys = [f"{key}/{role}" for role in roles for key in self._keys]
        return Numbers(keys, _TABLES[roles[0]], self._device)
