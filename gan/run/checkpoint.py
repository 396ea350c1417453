"""Checkpoints: whole training states, written so that a kill at any moment leaves a readable one."""

import json
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from data.base.atomic import whole_folder
from data.base.errors import UserError, first_line
from gan.run.directory import RunDir
from gan.run.progress import Progress

_MARKER = "step.json"  # written last: a directory without it is no checkpoint
_PREFIX = "step_"
BEST = "best"


def save_checkpoint(
    accelerator: Accelerator,
    directory: RunDir,
    progress: Progress,
    *,
    keep: int,
    kept: Mapping[str, nn.Module],
    best: bool = False,
) -> Path:
    """Write `checkpoints/step_N`, and `checkpoints/best` if it is; drop all but the newest `keep`.

    Everything is written under a temporary name and moved into place whole. Every process calls this.
    `kept` are modules that accelerate has not prepared, by the names of their files.
    """
    final = directory.checkpoints / f"{_PREFIX}{progress.step:08d}"
    leads = accelerator.is_main_process
    with whole_folder(final, wait=accelerator.wait_for_everyone, leads=leads) as part:
        accelerator.save_state(str(part))
        torch.save(progress.state_dict(), part / f"progress_{accelerator.process_index}.pt")
        if leads:
            for name, module in kept.items():
                torch.save(module.state_dict(), part / f"{name}.pt")
            marker = {"step": progress.step, "processes": accelerator.num_processes}
            (part / _MARKER).write_text(json.dumps(marker))
    if leads:
        if best:
            with whole_folder(directory.checkpoints / BEST) as part:
                shutil.copytree(final, part, copy_function=_link, dirs_exist_ok=True)
        for path in list_checkpoints(directory)[:-keep]:
            shutil.rmtree(path)
    accelerator.wait_for_everyone()
    return final


def list_checkpoints(directory: RunDir) -> list[Path]:
    """Complete checkpoints, oldest first; `best` is not among them."""
    return sorted(path.parent for path in directory.checkpoints.glob(f"{_PREFIX}*/{_MARKER}"))


def load_checkpoint(
    accelerator: Accelerator, path: Path, progress: Progress, *, kept: Mapping[str, nn.Module]
) -> None:
    """Put everything back as it was when `path` was written, but for the options of the optimisers.

    Betas and weight decay are those the optimisers were made with now: what config.yaml says is what runs.

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
        options = [_options(optimizer) for optimizer in accelerator._optimizers]
        accelerator.load_state(str(path))
        for optimizer, now in zip(accelerator._optimizers, options, strict=True):
            for group, values in zip(optimizer.param_groups, now, strict=True):
                group.update(values)
        progress.load_state_dict(_load(path / f"progress_{accelerator.process_index}.pt"), accelerator.device)
        for name, module in kept.items():
            module.load_state_dict(_load(path / f"{name}.pt"))
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


def load_best_weights(directory: RunDir, model: nn.Module) -> None:
    """Put the weights of `checkpoints/best` into the (first) model of a stage, as accelerate prepared it."""
    model.load_state_dict(load_file(directory.checkpoints / BEST / "model.safetensors"), strict=True)


def newest_checkpoint(directory: RunDir) -> Path:
    """The checkpoint to resume from.

    Raises:
        UserError: the run has none.
    """
    found = list_checkpoints(directory)
    if not found:
        raise UserError(
            f"--resume {directory.path}: no checkpoint in {directory.checkpoints}; start the run again "
            "without --resume"
        )
    return found[-1]


def _options(optimizer: Any) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups
    ]


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _link(source: str, target: str) -> None:
    """Share the bytes where the file system can; checkpoints are never written in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
