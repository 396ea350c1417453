"""What a run was, and on what: options, starts and data, without the name of any patient."""

import csv
import json
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from gan.report.names import last_name, without_folders
from gan.run.commandline import flat, read_yaml
from gan.run.directory import RunDir, is_finished
from gan.run.log import read_metrics

_STARTS = ("time", "step", "seed", "device", "processes", "deterministic", "git", "data", "files")


def facts_of(run: RunDir) -> dict[str, Any]:
    """What stands in a run's directory, ready for JSON.

    Raises:
        UserError: its config.yaml is none.
    """
    options = read_yaml(run.config)
    lines = read_metrics(run.metrics)
    return {
        "facts": {**_course(lines, options, run), **_data(options), **_patients(run)},
        "starts": [_start(start) for start in _starts(run.starts)],
        "options": {name: str(value) for name, value in flat(without_folders(options)).items()},
    }


def _course(lines: list[dict[str, Any]], options: dict[str, Any], run: RunDir) -> dict[str, str]:
    last = lines[-1] if lines else {"epoch": 0, "step": 0}
    end = "finished" if is_finished(run.path) else "not finished"
    return {
        "course": f"{last['epoch']} of {options.get('epochs')} epochs, {last['step']} steps, {end}",
        "preset": str(options.get("preset")),
        "generator": last_name(str(options.get("generator"))),
        "discriminator": last_name(str(options.get("discriminator"))),
        "pretrained": last_name(str(options.get("pretrained"))),
    }


def _data(options: dict[str, Any]) -> dict[str, str]:
    data = options.get("data", {})
    named = data.get("path") or data.get("prepared") or " + ".join(map(str, data.get("mix") or []))
    side = data.get("image_size")
    aligned = "baseline aligned" if data.get("align") else "not aligned"
    return {
        "data": last_name(str(named)) if named else "embedded: pairs projected from a chest CT",
        "images": f"{side} x {side} px, {data.get('framing')}, intensity {data.get('intensity')}, {aligned}",
        "maps": str(data.get("change")),
    }


def _patients(run: RunDir) -> dict[str, str]:
    """How many patients each split has, and how much was left out."""
    found = {}
    if run.split.is_file():
        counts = Counter(row["split"] for row in _rows(run.split))
        found["patients"] = ", ".join(f"{count} {split}" for split, count in counts.items())
    if run.skipped.is_file():
        found["left out"] = f"{len(_rows(run.skipped))} that could not be read"
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def _starts(path: Path) -> list[dict[str, Any]]:
    try:
        starts = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return [start for start in starts if isinstance(start, dict)] if isinstance(starts, list) else []


def _start(start: dict[str, Any]) -> dict[str, str]:
    """A start, its command without folders."""
    told = {name: str(start[name]) for name in _STARTS if start.get(name) is not None}
    versions = start.get("versions", {})
    return {
        **told,
        "command": " ".join(_word(word) for word in shlex.split(str(start.get("command", "")))),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def _word(word: str) -> str:
    if word.endswith("__main__.py"):
        return f"python -m {'.'.join(Path(word).parts[-3:-1])}"
    option, equals, value = word.partition("=")
    return f"{option}={last_name(value)}" if equals and option.startswith("--") else last_name(word)
