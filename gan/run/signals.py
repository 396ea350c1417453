"""Signals that ask a run to stop."""

import signal
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator


class StopSignal:
    """Turns the first SIGINT or SIGTERM into a flag; a second SIGINT interrupts at once."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._received = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = True

    def agreed(self, *, ask: bool) -> bool:
        """Whether any process was told to stop.

        Several processes must agree on the step, which makes them wait for each other: only if `ask`.
        """
        if self._accelerator.num_processes == 1:
            return self._received
        if not ask:
            return False
        flag = torch.tensor(float(self._received), device=self._accelerator.device)
        return bool(self._accelerator.reduce(flag, reduction="sum").item() > 0)
