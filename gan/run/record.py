"""What a run was started on: versions, revision of the code, seed and data, each time it is started."""

import json
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from data.base.atomic import write_text
from gan.run.options import StageConfig

_PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "kornia",
    "accelerate",
    "numpy",
    "scikit-image",
    "pydicom",
)
_GIT_SECONDS = 10


def record_start(
    path: Path, accelerator: Accelerator, config: StageConfig, *, step: int, data: str, files: str
) -> None:
    """Append a start to the list of them in `path`.

    Args:
        path: a JSON file.
        accelerator: what the run computes on.
        config: its options, which config.yaml has in full.
        step: where it goes on.
        data: fingerprint of samples, patients and splits.
        files: fingerprint of what the files of the data hold.
    """
    device = accelerator.device
    start = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "step": step,
        "command": shlex.join(sys.argv),
        "seed": config.seed,
        "deterministic": config.deterministic,
        "data": data,
        "files": files,
        "git": git_revision(Path()),
        "processes": accelerator.num_processes,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "system": platform.platform(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    }
    write_text(path, json.dumps([*_starts(path), start], indent=1) + "\n")


def git_revision(folder: Path) -> str | None:
    """The commit that is checked out where a folder is, `-dirty` where files differ from it; None outside."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _starts(path: Path) -> list[Any]:
    try:
        starts = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return starts if isinstance(starts, list) else []
