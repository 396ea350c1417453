"""What befalls a run from outside, told in one line."""

from pathlib import Path

from gan.run.checkpoint import list_checkpoints
from gan.run.directory import RunDir
from gan.run.signals import is_of_a_dead_loader


def told(error: BaseException | None, directory: RunDir) -> str | None:
    """What to say of an error by which a run ended, or None where it keeps its traceback."""
    if isinstance(error, OSError) and error.filename and _is_below(error.filename, directory.path):
        if not directory.path.is_dir():
            return deleted(directory)
        return f"{error.filename} cannot be written ({error.strerror}); {_kept(directory)}"
    if error is not None and is_of_a_dead_loader(error):
        return (
            "a loader process died: memory ran out, or a decoder crashed (python -m data.check names the "
            f"file); lower --data.workers where it was memory; {_kept(directory)}"
        )
    return None


def deleted(directory: RunDir) -> str:
    """What to say of a run directory that is gone."""
    return f"{directory.path} was deleted while the run was writing to it; start the run again"


def _is_below(path: object, folder: Path) -> bool:
    return Path(str(path)).absolute().is_relative_to(folder.absolute())


def _kept(directory: RunDir) -> str:
    if list_checkpoints(directory):
        return f"continue with --resume {directory.path}"
    return "nothing was saved yet; start the run again"
