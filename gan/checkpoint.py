"""Checkpoints: whole training states, written so that a kill at any moment leaves a readable one."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from data.base.errors import UserError, first_line
from gan.rundir import RunDir
from gan.state import Progress

_MARKER = "step.json"  # written last: a directory without it is no checkpoint
_PREFIX = "step_"
BEST = "best"


def save_checkpoint(
    accelerator: Accelerator,
    run: RunDir,
    progress: Progress,
    *,
    keep: int,
    ema: nn.Module | None = None,
    best: bool = False,
) -> Path:
    """Write `checkpoints/step_N`, and `checkpoints/best` if it is; drop all but the newest `keep`.

    Everything is written under a temporary name and moved into place whole. Every process calls this.
    """
    final = run.checkpoints / f"{_PREFIX}{progress.step:08d}"
    staging = run.checkpoints / f".{final.name}.tmp"
    if accelerator.is_main_process:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(staging))
    torch.save(progress.state_dict(), staging / f"progress_{accelerator.process_index}.pt")
    if accelerator.is_main_process:
        if ema is not None:
            torch.save(ema.state_dict(), staging / "ema.pt")
        marker = {"step": progress.step, "processes": accelerator.num_processes}
        (staging / _MARKER).write_text(json.dumps(marker))
        _sync(staging)
        _replace(staging, final)
        if best:
            copy = run.checkpoints / f".{BEST}.tmp"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(final, copy, copy_function=_link)
            _replace(copy, run.checkpoints / BEST)
        for path in list_checkpoints(run)[:-keep]:
            shutil.rmtree(path)
    accelerator.wait_for_everyone()
    return final


def list_checkpoints(run: RunDir) -> list[Path]:
    """Complete checkpoints, oldest first; `best` is not among them."""
    return sorted(path.parent for path in run.checkpoints.glob(f"{_PREFIX}*/{_MARKER}"))


def load_checkpoint(
    accelerator: Accelerator, path: Path, progress: Progress, *, ema: nn.Module | None = None
) -> None:
    """Put everything back as it was when `path` was written.

    Raises:
        UserError: it is not a checkpoint, or one of other networks or another number of processes.
    """
    remedy = f"delete {path} to resume from an earlier checkpoint, or start a new run"
    try:
        marker = json.loads((path / _MARKER).read_text())
        if marker["processes"] != accelerator.num_processes:
            raise UserError(
                f"{path} was written by {marker['processes']} processes and this run has "
                f"{accelerator.num_processes}; resume with the same number"
            )
        accelerator.load_state(str(path))
        progress.load_state_dict(_load(path / f"progress_{accelerator.process_index}.pt"), accelerator.device)
        if ema is not None:
            ema.load_state_dict(_load(path / "ema.pt"))
    except UserError:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        EOFError,
        pickle.UnpicklingError,
        SafetensorError,
    ) as error:
        raise UserError(f"{path} is not a checkpoint of this run ({first_line(error)}); {remedy}") from error


def load_best_weights(run: RunDir, model: nn.Module) -> None:
    """Put the weights of `checkpoints/best` into the (first) model of a stage, as accelerate prepared it."""
    model.load_state_dict(load_file(run.checkpoints / BEST / "model.safetensors"), strict=True)


def newest_checkpoint(run: RunDir) -> Path:
    """The checkpoint to resume from.

    Raises:
        UserError: the run has none.
    """
    found = list_checkpoints(run)
    if not found:
        raise UserError(
            f"--resume {run.path}: no checkpoint in {run.checkpoints}; start the run again without --resume"
        )
    return found[-1]


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _link(source: str, target: str) -> None:
    """Share the bytes where the file system can; checkpoints are never written in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _replace(staging: Path, final: Path) -> None:
    """Move a finished directory into place; an older one of that name is moved away first, then deleted."""
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.replace(old)
    staging.replace(final)
    shutil.rmtree(old, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Have the bytes on the disk before the name is, so that a power cut cannot leave an empty checkpoint."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
