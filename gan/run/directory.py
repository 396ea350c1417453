"""The run directory: where a run lives, what is in it, and that an earlier run is never damaged."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from filelock import FileLock

from data.base.errors import UserError
from data.base.locks import try_lock
from gan.run.options import StageConfig

RUNS = Path("runs")
SETTINGS, WEIGHTS, PREPROCESSING, SUMS = (
    "config.json",
    "model.safetensors",
    "preprocessing.json",
    "SHA256SUMS",
)
"""What is in encoder/ and generator/: constructor arguments, weights, how to feed it, checksums of those."""


class RunDir:
    """Names of everything a run writes, below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path / ".lock"
        """Held by the process that writes here."""
        self.origin = path / ".origin"
        """Tells whether it was started here, where its options name code of the user's own."""
        self.config = path / "config.yaml"
        """Options of the run."""
        self.files = path / "files.parquet"
        """The files that hold the data as they were when the run began."""
        self.starts = path / "starts.json"
        """What the run was started on, each time."""
        self.metrics = path / "metrics.jsonl"
        """One JSON object a line."""
        self.trackers = path / "trackers.json"
        """By what each tracker knows the run."""
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


def claim_run_dir(config: StageConfig, stage: str) -> tuple[RunDir, FileLock]:
    """The directory this run writes to, and the lock by which no other run does; nothing else is written.

    Raises:
        UserError: the directory cannot be made or is a file, a run is writing to the one that is named, or
            `--overwrite` would delete something that is not a run.
    """
    wanted = config.resume or config.run_dir or RUNS / stage
    option = "--run-dir" if config.resume is None else "--resume"
    with _named_if_it_fails(option, wanted):
        str(wanted).encode()
        if wanted.exists() and not wanted.is_dir():
            raise UserError(f"{option} {wanted} is a file; name a directory")
        if config.resume is None and not config.overwrite:
            return _claim_free(wanted)
        if config.overwrite and _taken(wanted) and not RunDir(wanted).config.is_file():
            raise UserError(
                f"--overwrite: {wanted} has files but no config.yaml, so it is no run; delete it yourself"
            )
        run = RunDir(wanted)
        lock = _try_claim(run)
        if lock is None:
            what = "--overwrite: " if config.overwrite else "--resume "
            raise UserError(f"{what}a run is writing to {wanted} right now; wait for its end, or stop it")
        return run, lock


def give_up(run: RunDir, lock: FileLock) -> None:
    """Let others write to a directory again; where nothing was written, it goes."""
    if not _taken(run.path):
        with suppress(OSError):
            run.lock.unlink()
            run.path.rmdir()
    lock.release()


def create_run_dir(run: RunDir, *, overwrite: bool) -> None:
    """Make what is in the directory, deleting the earlier run in it where that was asked for.

    Raises:
        UserError: the directory cannot be written.
    """
    with _named_if_it_fails("--run-dir", run.path):
        for entry in list(run.path.iterdir()) if overwrite else []:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != run.lock:
                entry.unlink()
        run.samples.mkdir(parents=True, exist_ok=True)
        run.checkpoints.mkdir(exist_ok=True)


def _claim_free(wanted: Path) -> tuple[RunDir, FileLock]:
    """The first directory of that name and a number that is not taken, neither before it is held nor then."""
    for number in count(1):
        run = RunDir(wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}"))
        lock = None if _taken(run.path) else _try_claim(run)
        if lock is not None:
            if not _taken(run.path):
                return run, lock
            lock.release()
    raise AssertionError


def _try_claim(run: RunDir) -> FileLock | None:
    run.path.mkdir(parents=True, exist_ok=True)
    return try_lock(run.lock)


@contextmanager
def _named_if_it_fails(option: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{option} {path}: {error.strerror}; name a directory you may write to") from None
    except UnicodeEncodeError:
        raise UserError(f"{option} {str(path)!a} is not UTF-8; name another directory") from None


def find_pretrained(pretrained: str) -> RunDir | None:
    """The pretraining run that `--pretrained` names: a path, `auto` (the newest finished one), or `none`.

    Raises:
        UserError: there is none, or what is named is not a finished one.
    """
    if pretrained == "none":
        return None
    if pretrained == "auto":
        finished = [path for path in RUNS.glob("pretrain*") if _has_encoder(path) and is_finished(path)]
        if not finished:
            raise UserError(
                "no finished pretraining run under runs/pretrain*: make one with `python -m gan.pretrain`, "
                "name one with --pretrained RUN, or start from a fresh encoder with --pretrained none"
            )
        return RunDir(max(finished, key=lambda path: (path / "encoder" / WEIGHTS).stat().st_mtime))
    if not _has_encoder(Path(pretrained)):
        raise UserError(
            f"--pretrained {pretrained}: no encoder/ saved in it; name a finished run of gan.pretrain"
        )
    return RunDir(Path(pretrained))


def is_finished(run: Path) -> bool:
    """Whether the run got as far as its final numbers: what it hands on may still change until then."""
    metrics = RunDir(run).metrics
    return metrics.is_file() and '"split": "test"' in metrics.read_text()


def _has_encoder(run: Path) -> bool:
    return all((run / "encoder" / name).is_file() for name in (PREPROCESSING, WEIGHTS))


def _taken(path: Path) -> bool:
    return path.is_dir() and any(entry != RunDir(path).lock for entry in path.iterdir())
