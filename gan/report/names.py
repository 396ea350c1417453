"""What is told of names: of a path the last one only, for the ones before may be a patient's or a user's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def last_name(text: str) -> str:
    """A text, of which what stands before its last slash is left out."""
    return text.replace("\\", "/").rstrip("/").rpartition("/")[2] or text


def without_folders(value: Any) -> Any:
    """Options as YAML has them, of whose texts the last names are left."""
    if isinstance(value, dict):
        return {str(key): without_folders(of) for key, of in value.items()}
    if isinstance(value, list):
        return [without_folders(of) for of in value]
    return last_name(value) if isinstance(value, str) else value


def labels_of(runs: Sequence[str]) -> dict[str, str]:
    """What each run is called: the name of its folder, with a number where two have the same."""
    names: list[str] = []
    for run in runs:
        name = Path(run).resolve().name
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return dict(zip(runs, names, strict=True))
