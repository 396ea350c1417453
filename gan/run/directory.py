"""The run directory: where a run lives, what is in it, and that an earlier run is never damaged."""

import shutil
from pathlib import Path

from data.base.errors import UserError
from gan.run.options import StageConfig

RUNS = Path("runs")


class RunDir:
    """Names of everything a run writes, below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        """Options of the run."""
        self.metrics = path / "metrics.jsonl"
        """One JSON object a line."""
        self.split = path / "split.csv"
        """The patients of each split."""
        self.skipped = path / "skipped.csv"
        """What could not be read and was left out, one reason a line."""
        self.samples = path / "samples"
        """One PNG an epoch."""
        self.curves = path / "curves.png"
        """Every number over the steps."""
        self.checkpoints = path / "checkpoints"
        """Training states."""
        self.encoder = path / "encoder"
        """What pretraining hands on."""
        self.generator = path / "generator"
        """What adversarial training hands on."""
        self.evaluation = path / "evaluation"
        """Numbers of the generator on patients never trained on."""
        self.classifier = path / "classifier"
        """What classification hands on."""

    def sample(self, epoch: int) -> Path:
        """The sample grid after `epoch` epochs."""
        return self.samples / f"epoch_{epoch:04d}.png"


def choose_run_dir(config: StageConfig, stage: str) -> RunDir:
    """The directory this run writes to; nothing is created yet, nothing that exists is touched.

    Raises:
        UserError: the directory is a file, or `--overwrite` would delete something that is not a run.
    """
    if config.resume is not None:
        return RunDir(config.resume)
    wanted = config.run_dir or RUNS / stage
    if wanted.exists() and not wanted.is_dir():
        raise UserError(f"--run-dir {wanted} is a file; name a directory")
    if config.overwrite:
        if _taken(wanted) and not (wanted / "config.yaml").is_file():
            raise UserError(
                f"--overwrite: {wanted} has files but no config.yaml, so it is no run; delete it yourself"
            )
        return RunDir(wanted)
    candidate, number = wanted, 1
    while _taken(candidate):
        number += 1
        candidate = wanted.with_name(f"{wanted.name}-{number}")
    return RunDir(candidate)


def create_run_dir(run: RunDir, *, overwrite: bool) -> None:
    """Make the directory, deleting the earlier run in it where that was asked for.

    Raises:
        UserError: the directory cannot be written.
    """
    try:
        if overwrite and run.path.exists():
            shutil.rmtree(run.path)
        run.samples.mkdir(parents=True, exist_ok=True)
        run.checkpoints.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--run-dir {run.path}: {error.strerror}; name a directory you may write to"
        ) from None


def find_pretrained(pretrained: str) -> RunDir | None:
    """The pretraining run that `--pretrained` names: a path, `auto` (the newest finished one), or `none`.

    Raises:
        UserError: there is none, or what is named is not a finished one.
    """
    if pretrained == "none":
        return None
    if pretrained == "auto":
        finished = [path for path in RUNS.glob("pretrain*") if _has_encoder(path) and _is_finished(path)]
        if not finished:
            raise UserError(
                "no finished pretraining run under runs/pretrain*: make one with `python -m gan.pretrain`, "
                "name one with --pretrained RUN, or start from a fresh encoder with --pretrained none"
            )
        return RunDir(
            max(finished, key=lambda path: (path / "encoder" / "model.safetensors").stat().st_mtime)
        )
    if not _has_encoder(Path(pretrained)):
        raise UserError(
            f"--pretrained {pretrained}: no encoder/ saved in it; name a finished run of gan.pretrain"
        )
    return RunDir(Path(pretrained))


def _is_finished(run: Path) -> bool:
    """Whether the run got as far as its final numbers: its encoder may still change until then."""
    metrics = RunDir(run).metrics
    return metrics.is_file() and '"split": "test"' in metrics.read_text()


def _has_encoder(run: Path) -> bool:
    return all((run / "encoder" / name).is_file() for name in ("preprocessing.json", "model.safetensors"))


def _taken(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())
