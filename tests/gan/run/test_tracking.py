"""Trackers are told the same as metrics.jsonl, and a resumed run goes on in the same run there."""

import json
import sqlite3
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from skimage.io import imsave

from data.base.errors import UserError
from gan.pretrain.options import PRESETS
from gan.run.commandline import flat, settings_of
from gan.run.directory import RunDir
from gan.run.log import RunLog
from gan.run.tracking import require_trackers, start_trackers
from tests.calling import call
from tests.micro import MICRO


class Noting(GeneralTracker):
    """Notes what it is told, by the run that it was told of."""

    name = "noting"
    requires_logging_directory = False
    told: dict = {}  # noqa: RUF012  (what a server would keep)

    def __init__(self, _project: str, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.told.setdefault(run_id, [])

    @property
    def tracker(self):
        return self.told[self.run_id]

    def store_init_configuration(self, values):
        self.tracker.append(("options", values))

    def log(self, values, step=None, **_):
        self.tracker.append((step, values))

    def log_images(self, values, step=None, **_):
        self.tracker.append((step, {name: images[0].shape for name, images in values.items()}))


@pytest.fixture
def noting(monkeypatch):
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "noting", Noting)
    monkeypatch.setattr(Noting, "told", {})
    return Noting


@pytest.fixture
def grid(tmp_path):
    imsave(tmp_path / "grid.png", np.full((8, 12, 3), 90, np.uint8), check_contrast=False)
    return tmp_path / "grid.png"


def log_to(folder, trackers, grid, *, step, resume=False):
    """What a run does with its trackers from a step on."""
    config = replace(PRESETS["tiny"], log_with=trackers, resume=folder if resume else None)
    accelerator, directory = Accelerator(cpu=True), RunDir(folder)
    folder.mkdir(exist_ok=True)
    start_trackers(accelerator, directory, config, flat(settings_of(config)), step)
    log = RunLog(accelerator, directory)
    for now in (step + 1, step + 2):
        log.write({"l1": 1.0 / now, "of": {"a": 2}}, step=now, epoch=1, split="train")
    log.picture("samples", grid, step=step + 2)
    accelerator.end_training()
    return json.loads(directory.trackers.read_text())


def test_a_resumed_run_goes_on_in_the_same_run_of_a_tracker(noting, grid, tmp_path):
    first = log_to(tmp_path / "run", ("noting",), grid, step=0)
    again = log_to(tmp_path / "run", ("noting",), grid, step=2, resume=True)
    log_to(tmp_path / "other", ("noting",), grid, step=0)
    assert first == again
    assert len(noting.told) == 2
    (_, options), *lines = noting.told[first["noting"]]
    assert options["epochs"] == PRESETS["tiny"].epochs
    assert "network.stem_channels" in options
    assert options["log_with"] == "noting"
    assert [step for step, _ in lines] == [1, 2, 2, 3, 4, 4]
    assert lines[0][1] == {"train/l1": 1.0, "train/of/a": 2}
    assert lines[2][1] == {"samples": (8, 12, 3)}


def test_tensorboard_has_every_step_once_and_the_grids(grid, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log_to(tmp_path / "run", ("tensorboard",), grid, step=0)
    log_to(tmp_path / "run", ("tensorboard",), grid, step=1, resume=True)  # killed after its checkpoint
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    assert [event.step for event in events.Scalars("train/l1")] == [1, 2, 3]
    assert [event.step for event in events.Images("samples")] == [3]
    assert not [path for path in (tmp_path / "run" / "tensorboard").iterdir() if path.is_dir()]


@pytest.mark.skipif(find_spec("trackio") is None, reason="needs the extra trackio")
def test_trackio_keeps_one_run(grid, tmp_path, monkeypatch):
    import trackio  # noqa: F401  (so that all of its modules are there)

    for name, module in list(sys.modules.items()):  # each has the folder in a name of its own
        for place in ("TRACKIO_DIR", "MEDIA_DIR") if name.startswith("trackio") else ():
            if hasattr(module, place):
                monkeypatch.setattr(module, place, tmp_path / place)
    first = log_to(tmp_path / "run", ("trackio",), grid, step=0)
    assert log_to(tmp_path / "run", ("trackio",), grid, step=2, resume=True) == first
    (kept,) = (tmp_path / "TRACKIO_DIR").glob("*.db")
    with sqlite3.connect(kept) as base:
        lines = base.execute("select run_name, step, metrics from metrics order by id").fetchall()
    assert {name for name, *_ in lines} == {first["trackio"]}
    assert [step for _, step, _ in lines] == [1, 2, 2, 3, 4, 4]
    assert "trackio.image" in str(lines[-1][2])


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setattr("gan.run.tracking.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"--log-with wandb: .*\[wandb\]"):
        require_trackers(replace(PRESETS["tiny"], log_with=("tensorboard", "wandb")))


@pytest.mark.usefixtures("noting")
def test_a_tracker_that_does_not_start_is_one_line(monkeypatch, grid, tmp_path):
    def refuse(_):
        raise ConnectionError("no account\nand a second line")

    monkeypatch.setattr(Noting, "start", refuse)
    with pytest.raises(UserError, match=r"--log-with noting: .*no account"):
        log_to(tmp_path / "run", ("noting",), grid, step=0)


def test_an_unknown_tracker_is_one_line_and_exit_code_2(tmp_path):
    done = call("gan.pretrain", *MICRO, "--log-with", "comet", cwd=tmp_path)
    assert done.returncode == 2
    assert "comet" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
