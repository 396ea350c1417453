"""Where maps go; free of heavy imports."""

from pathlib import Path

from data.files.formats import stem_of


def overlay_path(output: Path) -> Path:
    """Where the picture of a predicted map over its followup goes, beside the map."""
    return output.with_name(f"{stem_of(output)}_overlay.png")
