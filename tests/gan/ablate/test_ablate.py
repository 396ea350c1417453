"""Which commands are run, in which order, how often, and what their numbers come to."""

import csv
import json
import statistics
from pathlib import Path

import pytest

from data.base.errors import UserError
from gan.ablate.ablate import ablate
from gan.ablate.jobs import Process, start
from tests.calling import call
from tests.gan.ablate.test_table import written
from tests.micro import MICRO, MICRO_ADVERSARIAL

TABLE = """
seeds: [0, 1]
base: {gan.pretrain: --preset tiny, gan.adversarial: --preset tiny}
rows:
  L1: {pretrained: masked}
  masked: {command: gan.pretrain}
  alone: --pretrained none
"""


class Ended:
    """A command that has run to its end."""

    def __init__(self, code):
        self.code = code

    def poll(self):
        return self.code

    def terminate(self):
        raise AssertionError


class Commands:
    """Stands in for the commands: writes what they write, and fails where it is told to."""

    def __init__(self, *, failing=(), silent=()):
        self.calls, self.failing, self.silent = [], failing, silent

    def __call__(self, module, arguments, log, _at_once) -> Process:
        self.calls.append((module, *arguments))
        line = " ".join(self.calls[-1])
        with log.open("a") as file:
            file.write(f"working\nerror: {module} failed\n")
        if any(word in line for word in self.failing):
            return Ended(2)
        if not any(word in line for word in self.silent):
            self.write(module, list(arguments))
        return Ended(0)

    def write(self, module, arguments):
        if module == "gan.evaluate":
            out, run = Path(arguments[arguments.index("--out") + 1]), arguments[0]
            precision = 0.5 + 0.1 * int(Path(run).parent.name)
            methods = {run: {"average_precision": {"value": precision}, "mae": {"value": None}}}
            out.mkdir(parents=True)
            (out / "summary.json").write_text(json.dumps({"runs": [run], "methods": methods}))
        else:
            where = "--resume" if "--resume" in arguments else "--run-dir"
            run = Path(arguments[arguments.index(where) + 1])
            run.mkdir(parents=True, exist_ok=True)
            line = {"split": "test", "step": 1, "epoch": 1, "psnr": 20.0, "findings": {}}
            (run / "metrics.jsonl").write_text(json.dumps(line) + "\n")

    @property
    def modules(self):
        return [call[0] for call in self.calls]


def test_every_row_runs_with_every_seed_and_encoders_come_first(tmp_path, capsys):
    commands, out = Commands(), tmp_path / "out"
    ablate(written(tmp_path, TABLE), out, jobs=2, start=commands)
    assert commands.modules.count("gan.pretrain") == 2
    assert commands.modules.count("gan.adversarial") == commands.modules.count("gan.evaluate") == 4
    of_l1 = [call for call in commands.calls if call[0] == "gan.adversarial" and str(out / "L1") in str(call)]
    assert [call[call.index("--pretrained") + 1] for call in of_l1] == [
        str(out / "masked" / seed / "run") for seed in "01"
    ]
    assert [call[call.index("--seed") + 1] for call in of_l1] == ["0", "1"]
    assert commands.modules.index("gan.pretrain") < commands.calls.index(of_l1[0])
    with (out / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    of_l1 = [line for line in lines if line["row"] == "L1"]
    assert [(line["seed"], line["average_precision"]) for line in of_l1] == [("0", "0.5"), ("1", "0.6")]
    assert [line["psnr"] for line in lines if line["row"] == "masked"] == ["20", "20"]
    told = (out / "results.md").read_text()
    assert f"| L1 | 2 | 0.550 ± {statistics.stdev([0.5, 0.6]):.3f} |" in told
    assert told in capsys.readouterr().out
    assert (out / "results.png").stat().st_size > 1000


def test_what_is_finished_is_not_run_again_and_what_was_begun_is_resumed(tmp_path):
    table, out, first = written(tmp_path, TABLE), tmp_path / "out", Commands(failing=("alone/1/run",))
    with pytest.raises(SystemExit):
        ablate(table, out, jobs=1, start=first)
    checkpoint = out / "alone/1/run/checkpoints/step_00000002"
    checkpoint.mkdir(parents=True)
    (checkpoint / "step.json").touch()
    (out / "alone/1/run/config.yaml").touch()
    again = Commands()
    ablate(table, out, jobs=1, start=again)
    assert again.calls[0] == ("gan.adversarial", "--resume", str(out / "alone/1/run"))
    assert again.modules == ["gan.adversarial", "gan.evaluate"]
    ablate(table, out, jobs=1, start=again)
    assert len(again.calls) == 2


def test_rows_and_sources_may_join_but_not_change(tmp_path):
    out = tmp_path / "out"
    ablate(written(tmp_path, TABLE), out, jobs=1, start=Commands())
    joined = Commands()
    table = TABLE + "  further: --epochs 3\nsources: {own: , other: --data.path other.csv}\n"
    ablate(written(tmp_path, table), out, jobs=1, start=joined)
    assert joined.modules.count("gan.adversarial") == 2
    assert joined.modules.count("gan.evaluate") == 2 * 2 + 4
    for changed, named in (
        (TABLE.replace("alone: ", "alone: --epochs 3 "), "alone/0/run"),
        (TABLE + "sources: {own: --threshold 0.5}", "evaluation/own"),
    ):
        with pytest.raises(
            UserError, match=f"{named} was made with other options; delete it, or name another"
        ):
            ablate(written(tmp_path, changed), out, jobs=1, start=Commands())


def test_a_row_that_fails_stops_no_other_and_is_named_at_the_end(tmp_path, capsys):
    commands = Commands(failing=("masked/1/run",), silent=("alone/0/run",))
    with pytest.raises(SystemExit) as stop:
        ablate(written(tmp_path, TABLE), tmp_path / "out", jobs=2, start=commands)
    assert stop.value.code == 1
    log = tmp_path / "out" / "masked" / "1" / "log.txt"
    assert capsys.readouterr().out.splitlines()[-3:] == [
        f"failed: masked, seed 1: error: gan.pretrain failed (exit code 2; {log})",
        "failed: L1, seed 1: masked, seed 1 failed",
        "failed: alone, seed 0: gan.adversarial ended without what it should have written",
    ]
    assert "| L1 | 1 | 0.500 |" in (tmp_path / "out" / "results.md").read_text()


def test_an_interrupt_asks_all_that_is_under_way_to_stop(tmp_path):
    asked = []

    class Endless(Ended):
        def poll(self):
            if len(begun) == 2:
                raise KeyboardInterrupt
            return

        def terminate(self):
            asked.append(self)

        def wait(self):
            return 130

    begun = []

    def endless(*_):
        begun.append(Endless(None))
        return begun[-1]

    with pytest.raises(KeyboardInterrupt):
        ablate(written(tmp_path, TABLE), tmp_path / "out", jobs=2, start=endless)
    assert asked == begun


def test_a_command_runs_in_a_process_whose_words_are_kept(tmp_path):
    process = start("gan.ablate", ["absent.yaml"], tmp_path / "log.txt", 2)
    assert process.wait() == 2
    assert "missing: PATH" in (tmp_path / "log.txt").read_text()


def test_the_real_commands_take_it_from_the_table_to_numbers(tmp_path, pairs_folder):
    """One encoder and one generator, as small as they come; `call` is `python -m`, in this process."""

    def called(module, arguments, log, _at_once):
        done = call(module, *arguments, cwd=tmp_path)
        log.write_text(done.stdout + done.stderr)
        return Ended(done.returncode)

    short = ["--data.path", str(pairs_folder), "--max-steps", "1"]
    base = {
        "gan.pretrain": [*MICRO, *short],
        "gan.adversarial": [*MICRO_ADVERSARIAL, *short],
        "gan.evaluate": ["--cpu", "--replicates", "0", "--cases", "1"],
    }
    rows = {"masked": {"command": "gan.pretrain"}, "default": {"pretrained": "masked"}}
    table = written(tmp_path, json.dumps({"seeds": [3], "base": base, "rows": rows}))
    ablate(table, tmp_path / "out", jobs=1, start=called)
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        lines = {line["row"]: line for line in csv.DictReader(file)}
    assert 0 < float(lines["default"]["average_precision"]) <= 1
    assert lines["masked"]["command"] == "gan.pretrain"
    config = (tmp_path / "out" / "default" / "3" / "run" / "config.yaml").read_text()
    assert "seed: 3" in config
    assert f"pretrained: {tmp_path / 'out' / 'masked' / '3' / 'run'}" in config
