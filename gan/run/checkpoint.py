"""Checkpoints: whole training states, written so that a kill at any moment leaves a readable one."""

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from data.base.atomic import give_usual_permissions, remove_parts, whole_folder
from data.base.errors import UserError, first_line
from gan.run.directory import RunDir
from gan.run.disk import named_if_not_written, require_room
from gan.run.progress import Progress, mean_state

_MARKER = "step.json"  # written last: a directory without it is no checkpoint
_DIGESTS = "sha256"
_PREFIX = "step_"
BEST = "best"


def save_checkpoint(
    accelerator: Accelerator,
    directory: RunDir,
    progress: Progress,
    *,
    keep: int,
    kept: Mapping[str, nn.Module],
) -> Path:
    """Write `checkpoints/step_N` whole, with a fingerprint of every file; drop all but the newest `keep`.

    Every process calls this. `kept` are modules that accelerate has not prepared, by their files' names.

    Raises:
        DataError: it cannot be written, such as for lack of room.
    """
    final = directory.checkpoints / f"{_PREFIX}{progress.step:08d}"
    leads, wait = accelerator.is_main_process, accelerator.wait_for_everyone
    if leads:
        needed = checkpoint_bytes(accelerator, kept)
        require_room(directory.checkpoints, needed, f"{final.name} takes", "move it and --resume it there")
    with whole_folder(final, wait=wait, leads=leads) as part, named_if_not_written(final):
        accelerator.save_state(str(part))
        torch.save(progress.state_dict(), part / f"progress_{accelerator.process_index}.pt")
        wait()
        if leads:
            for name, module in kept.items():
                torch.save(module.state_dict(), part / f"{name}.pt")
            marker = {
                "step": progress.step,
                "processes": accelerator.num_processes,
                "samples": progress.samples,
            }
            (part / _MARKER).write_text(json.dumps({**marker, _DIGESTS: _digests(part)}))
            give_usual_permissions(part)
    if leads:
        for path in list_checkpoints(directory)[:-keep]:
            shutil.rmtree(path)
    wait()
    return final


def checkpoint_bytes(accelerator: Accelerator, kept: Mapping[str, nn.Module]) -> int:
    """About as many as a checkpoint takes: weights, buffers, and two moments of what is trained."""
    modules = [*accelerator._models, *kept.values()]
    held = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    groups = [group for optimizer in accelerator._optimizers for group in optimizer.param_groups]
    moments = [tensor for group in groups for tensor in group["params"] for _ in range(2)]
    return sum(tensor.nbytes for tensor in (*held, *moments))


def keep_best(directory: RunDir) -> None:
    """Have the checkpoint just written as `checkpoints/best`; the main process calls this."""
    with whole_folder(directory.checkpoints / BEST) as part:
        newest = list_checkpoints(directory)[-1]
        shutil.copytree(newest, part, copy_function=_link, dirs_exist_ok=True)


def list_checkpoints(directory: RunDir) -> list[Path]:
    """Complete checkpoints, oldest first; `best` is not among them."""
    return sorted(path.parent for path in directory.checkpoints.glob(f"{_PREFIX}*/{_MARKER}"))


def load_checkpoint(
    accelerator: Accelerator, path: Path, progress: Progress, *, kept: Mapping[str, nn.Module]
) -> None:
    """Put everything back as it was when `path` was written, but for the options of the optimisers.

    Betas and weight decay are those the optimisers were made with now: what config.yaml says is what runs.
    Where other processes wrote it, each of these goes on with the mean of what those had in mind.

    Raises:
        UserError: it is not a checkpoint, or one of other networks.
    """
    remedy = f"delete {path} to resume from an earlier checkpoint, or start a new run"
    try:
        writers = range(read_marker(path)["processes"])
        mine = [accelerator.process_index] if len(writers) == accelerator.num_processes else writers
        options = [_options(optimizer) for optimizer in accelerator._optimizers]
        accelerator.load_state(str(path))
        for optimizer, now in zip(accelerator._optimizers, options, strict=True):
            for group, values in zip(optimizer.param_groups, now, strict=True):
                group.update(values)
        states = [_load(path / f"progress_{number}.pt") for number in mine]
        progress.load_state_dict(mean_state(states), accelerator.device)
        for name, module in kept.items():
            module.load_state_dict(_load(path / f"{name}.pt"))
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
    """Put the weights of `checkpoints/best` into the (first) model of a stage, as accelerate prepared it.

    Raises:
        UserError: they are not what was written.
    """
    if damaged := damaged_files(directory.checkpoints / BEST):
        raise UserError(f"{directory.checkpoints / BEST} is damaged ({', '.join(damaged)}); train again")
    model.load_state_dict(load_file(directory.checkpoints / BEST / "model.safetensors"), strict=True)


def read_marker(checkpoint: Path) -> dict[str, Any]:
    """The step of a checkpoint, the processes that wrote it, the samples of a step, and its files' digests.

    Raises:
        OSError, ValueError: it is damaged.
    """
    marker = json.loads((checkpoint / _MARKER).read_text())
    if not isinstance(marker, dict) or not isinstance(marker.get("processes"), int):
        raise ValueError(f"{_MARKER} is damaged")
    return marker


def newest_checkpoint(directory: RunDir) -> tuple[Path, list[str]]:
    """The newest checkpoint that is as it was written, and why newer ones are passed over.

    What killed runs left in the directory goes.

    Raises:
        UserError: the run has none.
    """
    for folder in (directory.path, directory.checkpoints, directory.samples):
        remove_parts(folder)
    found, problems = list_checkpoints(directory), list[str]()
    for path in reversed(found):
        damaged = damaged_files(path)
        if not damaged:
            return path, problems
        problems.append(f"{path} is damaged ({', '.join(damaged)})")
    reason = problems[0] if problems else f"no checkpoint in {directory.checkpoints}"
    raise UserError(f"--resume {directory.path}: {reason}; start the run again without --resume")


def damaged_files(checkpoint: Path) -> list[str]:
    """Names of the files of a checkpoint that are missing or not what was written."""
    try:
        written = read_marker(checkpoint).get(_DIGESTS, {})
    except (OSError, ValueError):
        return [_MARKER]
    found = _digests(checkpoint)
    return sorted(name for name, digest in written.items() if found.get(name) != digest)


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the marker, by its path in the folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != _MARKER]
    with ThreadPoolExecutor() as pool:
        return dict(
            zip((str(path.relative_to(folder)) for path in files), pool.map(_digest, files), strict=True)
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
