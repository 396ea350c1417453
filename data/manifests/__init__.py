"""What a data set consists of, before any file of it is opened: manifests, folder layouts, splits."""

from pathlib import Path
from typing import Any


def holds_pairs(path: Path) -> bool:
    """Whether a manifest or a folder holds pairs; otherwise it holds single images.

    Raises:
        DataError: it is neither a folder nor a manifest.
    """
    from data.manifests.folders import is_folder_of_pairs
    from data.manifests.manifest import kind_of_manifest

    return is_folder_of_pairs(path) if path.is_dir() else kind_of_manifest(path) == "pairs"


def records_of(path: Path) -> Any:
    """The pairs or images of a manifest or a folder, a `RecordTable`; files may be missing.

    Raises:
        DataError: it is neither a folder nor a manifest, or not what it should be.
    """
    from data.manifests.folders import images_in_folder, pairs_in_folder
    from data.manifests.manifest import images_in_manifest, pairs_in_manifest

    if path.is_dir():
        return pairs_in_folder(path) if holds_pairs(path) else images_in_folder(path)
    find = pairs_in_manifest if holds_pairs(path) else images_in_manifest
    return find(path, check_files=False)
