"""Which folders an index may be written into: none of others."""

from pathlib import Path

from data.base.errors import DataError
from data.base.outputs import entries_of, refuse_others
from data.index.links import FOLDER

REFUSED = "refused.private.csv"
_MANIFESTS = frozenset(f"{name}.{ending}" for name in ("images", "pairs") for ending in ("csv", "parquet"))


def require_free(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds anything which is not to be replaced.

    Raises:
        DataError: naming what is in the way.
    """
    if out.is_symlink():
        raise DataError(f"{out} is no folder; name a new one")
    entries = entries_of(out)
    has_manifest = any(entry.name in _MANIFESTS for entry in entries)
    refuse_others(
        out,
        [
            entry
            for entry in entries
            if entry.name not in (*_MANIFESTS, REFUSED)
            and not (has_manifest and entry.name == FOLDER and _holds_links_only(entry))
        ],
    )
    if entries and not overwrite:
        raise DataError(f"{out} holds manifests already; name another folder, or add --overwrite")


def _holds_links_only(folder: Path) -> bool:
    """Whether a folder is one of links that an index made, which may be deleted."""
    return folder.is_dir() and all(
        place.is_dir() and not place.is_symlink() and all(link.is_symlink() for link in entries_of(place))
        for place in entries_of(folder)
    )
