"""Small real files and the smallest options, for the tests of the stages."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from skimage.io import imsave

ROOT = Path(__file__).parents[1]

# The smallest networks and options that still run every part of the program.
MICRO_SIZES = {
    "stem_channels": 4,
    "exp": 2,
    "stage_channels": (4, 4, 8, 8, 8, 8, 8),
    "expand_ratio": 1,
    "hidden_channels": 8,
    "inter_channels": 8,
    "transformer_layers": 1,
    "attention_heads": 2,
    "mlp_channels": 8,
    "residual_blocks": 1,
    "decoder_channels": (8, 8, 4, 4),
    "norm_groups": 2,
}
MICRO_NETWORK: list[str] = []
for _name, _value in MICRO_SIZES.items():
    _words = _value if isinstance(_value, tuple) else (_value,)
    MICRO_NETWORK += [f"--network.{_name.replace('_', '-')}", *map(str, _words)]
MICRO = [
    *("--preset", "tiny"),
    "--cpu",
    *MICRO_NETWORK,
    *("--data.image-size", "32"),
    *("--data.batch-size", "4"),
    *("--log-every", "2"),
    *("--grid-cases", "2"),
]
MICRO_ADVERSARIAL = [*MICRO, *("--disc.base-channels", "4"), *("--disc.num-layers", "1")]

PRETRAIN = [*MICRO, "--epochs", "2", "--mask.patch-size", "8"]
ADVERSARIAL = [*MICRO_ADVERSARIAL, "--epochs", "3"]


def command_environment() -> dict[str, str]:
    """One thread a process: tests run beside each other, and two threads may add up in another order."""
    fixed = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    return {**os.environ, **fixed, "XDG_STATE_HOME": str(Path(tempfile.gettempdir()) / "radiograph-tests")}


def write_pairs(
    folder: Path, *, patients: int = 8, pairs: int = 2, shape: tuple[int, int] = (32, 32)
) -> Path:
    """A folder of pairs as users have them, 16-bit PNG: smooth backgrounds, a bright square that appears."""
    rng = np.random.default_rng(0)
    height, width = shape
    rows, columns = np.mgrid[:height, :width] / 32
    for patient in range(patients):
        for pair in range(pairs):
            background = 0.3 + 0.2 * np.sin(3 * rows + rng.uniform(0, 6)) * np.cos(
                3 * columns + rng.uniform(0, 6)
            )
            target = np.zeros(shape)
            top, left = rng.integers(2, (height - 10, width - 10))
            target[top : top + 8, left : left + 8] = 0.4
            images = {"baseline": background, "followup": background + 0.4 * target, "target": target}
            for name, image in images.items():
                (folder / name).mkdir(parents=True, exist_ok=True)
                path = folder / name / f"p{patient}_{pair}.png"
                imsave(path, np.round(image * 65535).astype(np.uint16), check_contrast=False)
    return folder


def run(module, *args, cwd, launcher=()):
    """`python -m MODULE ARGS` to its end, as a user would type it."""
    return subprocess.run(
        [sys.executable, *launcher, "-m", module, *map(str, args)],
        cwd=cwd,
        env=command_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
