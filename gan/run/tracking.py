"""Who else is told what a run writes down: trackers of experiments, through accelerate."""

import json
import secrets
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from data.base.atomic import write_text
from data.base.errors import UserError, first_line
from gan.run.directory import RunDir
from gan.run.options import StageConfig

PROJECT = "radiograph-change-gan"
"""What runs are filed under, where a tracker has projects or experiments."""
_TENSORBOARD = "tensorboard"
_PACKAGES = ("wandb", "mlflow", "trackio")


def require_trackers(config: StageConfig) -> None:
    """Refuse trackers whose package is missing, before anything is done.

    Raises:
        UserError: naming the extra that installs it.
    """
    for name in config.log_with:
        if name in _PACKAGES and find_spec(name) is None:
            raise UserError(
                f"--log-with {name}: {name} is not installed; it comes with the extra {name}: "
                f"pip install 'radiograph-change-gan[{name}]'"
            )


def start_trackers(
    accelerator: Accelerator, directory: RunDir, config: StageConfig, settings: Mapping[str, Any], step: int
) -> None:
    """Have the accelerator log to the trackers that the options name; a resumed run goes on in its own there.

    Args:
        accelerator: every process calls this; the main one alone logs.
        directory: remembers by what each tracker knows the run.
        config: names the trackers.
        settings: the options, by name; they are filed with the run where it is new.
        step: where the run goes on.

    Raises:
        UserError: a tracker does not start, such as for lack of an account.
    """
    known = _known(directory)
    # Made here, for one project's name does not fit them all: TensorBoard's is a folder.
    trackers = [_make(name, directory, config, known.get(name), step) for name in config.log_with]
    accelerator.log_with = trackers
    try:
        accelerator.init_trackers(PROJECT)
        if accelerator.is_main_process:
            for tracker in trackers:
                if tracker.name not in known and tracker.name != _TENSORBOARD:
                    tracker.store_init_configuration(dict(settings))
            own = {name: identity for name, identity in map(_identity, trackers) if identity}
            write_text(directory.trackers, json.dumps({**known, **own}) + "\n")
    except Exception as error:  # whatever a tracker or its server raises
        names = " ".join(config.log_with)
        raise UserError(
            f"--log-with {names}: it does not start ({first_line(error)}); leave it out"
        ) from error


def show_picture(tracker: GeneralTracker, name: str, path: Path, *, step: int) -> None:
    """Show a PNG in a tracker, each in its own way."""
    if tracker.name == "mlflow":
        tracker.log_artifact(str(path), artifact_path=name)
        return
    if tracker.name == "trackio":
        import trackio

        tracker.log({name: trackio.Image(path)}, step=step)
        return
    from skimage.io import imread

    pixels = imread(path)[..., :3]
    if tracker.name == _TENSORBOARD:
        tracker.log_images({name: pixels[None]}, step=step, dataformats="NHWC")
    elif hasattr(tracker, "log_images"):
        tracker.log_images({name: [pixels]}, step=step)


def _make(name: str, directory: RunDir, config: StageConfig, known: str | None, step: int) -> GeneralTracker:
    kind, title = LOGGER_TYPE_TO_CLASS[name], directory.path.name
    new = f"{title}-{secrets.token_hex(4)}"
    options: dict[str, Any] = {}
    if name == _TENSORBOARD:
        # A run that was killed has written steps that come again.
        options = {} if config.resume is None else {"purge_step": step + 1}
        return kind(_TENSORBOARD, str(directory.path), **options)
    if name == "wandb":
        options = {"id": known or new, "name": title, "resume": "allow", "dir": str(directory.path)}
    elif name == "trackio":
        options = {"name": known or new, "resume": "allow"}
    elif name == "mlflow":
        options = {"run_id": known, "run_name": title}
    else:
        options = {"run_id": known or new}
    return kind(PROJECT, **options)


def _identity(tracker: GeneralTracker) -> tuple[str, str]:
    """By what a tracker that was started knows the run."""
    of = {"wandb": "id", "trackio": "name"}
    if tracker.name == "mlflow":
        return tracker.name, tracker.tracker.info.run_id
    if tracker.name in of:
        return tracker.name, tracker.init_kwargs[of[tracker.name]]
    return tracker.name, str(getattr(tracker, "run_id", ""))


def _known(directory: RunDir) -> dict[str, str]:
    try:
        return dict(json.loads(directory.trackers.read_text()))
    except (OSError, ValueError):
        return {}
