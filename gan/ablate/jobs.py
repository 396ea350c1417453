"""One configuration with one seed: what is left of it to do, by what its commands have written."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from data.base.atomic import write_text
from data.base.errors import UserError
from data.base.processes import available_cores
from data.base.signals import raise_if_asked
from gan.ablate.table import ADVERSARIAL, EVALUATE, PRETRAIN, Row, Table
from gan.run.directory import RunDir, is_finished

_PATIENCE = 0.1
"""Seconds between two looks at what is under way."""


class Process(Protocol):
    """A command under way; `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Its exit code once it has ended."""

    def terminate(self) -> None:
        """Ask it to stop."""

    def wait(self) -> int:
        """Its exit code, at its end."""


Start = Callable[[str, Sequence[str], Path, int], Process]
"""Starts (module, arguments, file for what it says, how many there are at once)."""


@dataclass(frozen=True)
class Job:
    """One row with one seed, in a folder of its own."""

    row: Row
    seed: int
    folder: Path
    sources: Mapping[str, tuple[str, ...]] = field(hash=False, compare=False)
    after: "Job | None" = None
    """Whose encoder it starts from."""

    def __str__(self) -> str:
        return f"{self.row.name}, seed {self.seed}"

    @property
    def run(self) -> Path:
        """The run directory of its stage."""
        return self.folder / "run"

    @property
    def log(self) -> Path:
        """What its commands said."""
        return self.folder / "log.txt"

    def summary(self, source: str) -> Path:
        """What the evaluation on a source comes to."""
        return self.folder / "evaluation" / source / "summary.json"

    def next_command(self) -> tuple[str, list[str]] | None:
        """Module and arguments of what is to be run next; None where nothing is left."""
        if not is_finished(self.run):
            return self.row.command, self._stage()
        for source, options in self.sources.items() if self.row.command == ADVERSARIAL else ():
            if not self.summary(source).is_file():
                return EVALUATE, [str(self.run), *options, "--out", str(self.summary(source).parent)]
        return None

    def claim(self) -> None:
        """Write down what it is made with.

        Raises:
            UserError: something in its folder was made with other options.
        """
        options = list(self.row.options)
        stage = {"command": self.row.command, "options": options, "pretrained": self.row.pretrained}
        wanted: dict[str, Any] = {"run": stage, **{name: list(of) for name, of in self.sources.items()}}
        record = self.folder / "made_with.json"
        found = json.loads(record.read_text()) if record.is_file() else {}
        for name, options in wanted.items():
            made = self.run if name == "run" else self.summary(name).parent
            if made.exists() and found.get(name) != options:
                raise UserError(f"{made} was made with other options; delete it, or name another OUT")
        write_text(record, json.dumps({**found, **wanted}, indent=1) + "\n")

    def _stage(self) -> list[str]:
        from gan.run.checkpoint import list_checkpoints  # torch

        directory = RunDir(self.run)
        if directory.config.is_file() and list_checkpoints(directory):
            return ["--resume", str(self.run)]
        encoder = ["--pretrained", str(self.after.run)] if self.after else []
        anew = ["--overwrite"] if directory.config.is_file() else []
        where = ["--run-dir", str(self.run), *anew]
        return [*self.row.options, *encoder, "--seed", str(self.seed), *where]


def jobs_of(table: Table, out: Path) -> list[Job]:
    """All rows with all seeds, those first that others start from."""
    jobs: dict[tuple[str, int], Job] = {}
    for row in sorted(table.rows, key=lambda row: row.command != PRETRAIN):
        for seed in table.seeds:
            folder = out / row.name / str(seed)
            after = jobs[row.pretrained, seed] if row.pretrained else None
            jobs[row.name, seed] = Job(row, seed, folder, table.sources, after)
    return list(jobs.values())


def start(module: str, arguments: Sequence[str], log: Path, at_once: int) -> subprocess.Popen[bytes]:
    """A command in a process of its own, whose cores are shared with the others; its words go to a file."""
    threads = {"OMP_NUM_THREADS": str(max(1, available_cores() // at_once))} if at_once > 1 else {}
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**threads, **os.environ},
            start_new_session=True,  # an interrupt of this program reaches it once, from here
        )


@dataclass
class Schedule:
    """What waits, what is under way, and why what failed has."""

    waiting: list[Job]
    at_once: int
    start: Start
    under_way: dict[Job, Process] = field(default_factory=dict)
    failed: dict[Job, str] = field(default_factory=dict)
    begun: dict[Job, tuple[str, list[str]]] = field(default_factory=dict)
    """The newest command of each."""

    def fill(self) -> None:
        """Begin as many as there is room for, none before that whose encoder it starts from."""
        for job in [job for job in self.waiting if not {job.after} & {*self.waiting, *self.under_way}]:
            if len(self.under_way) < self.at_once:
                self.waiting.remove(job)
                if job.after in self.failed:
                    self.failed[job] = f"{job.after} failed"
                else:
                    self.go_on(job)

    def go_on(self, job: Job) -> None:
        """Start its next command, if there is one that it has not just been through."""
        command = job.next_command()
        if command is None:
            print(f"{job}: done", flush=True)
        elif self.begun.get(job) == command:
            self.failed[job] = f"{command[0]} ended without what it should have written"
        else:
            self.begun[job] = command
            print(f"{job}: {command[0]}", flush=True)
            self.under_way[job] = self.start(*command, job.log, self.at_once)

    def look(self) -> None:
        """Let those go on whose command has ended."""
        for job, process in list(self.under_way.items()):
            if (code := process.poll()) is not None:
                del self.under_way[job]
                if code:
                    self.failed[job] = f"{_last_words(job.log)} (exit code {code}; {job.log})"
                    print(f"{job}: failed", flush=True)
                else:
                    self.go_on(job)

    def stop(self) -> None:
        """Ask all that is under way to stop, and wait until it has."""
        for process in self.under_way.values():
            process.terminate()
        for process in self.under_way.values():
            process.wait()


def run_all(jobs: Sequence[Job], at_once: int, start: Start) -> dict[Job, str]:
    """Run what is left of all jobs, so many at once; why those failed that did.

    Raises:
        KeyboardInterrupt: after everything under way was asked to stop and has.
    """
    schedule = Schedule(list(jobs), at_once, start)
    try:
        while schedule.waiting or schedule.under_way:
            raise_if_asked()
            schedule.fill()
            schedule.look()
            if schedule.under_way:
                time.sleep(_PATIENCE)
    except BaseException:
        schedule.stop()
        raise
    return schedule.failed


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
