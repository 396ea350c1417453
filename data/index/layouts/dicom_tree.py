"""Any tree of DICOM files, as an archive exports it: told by the headers alone, never by folder names."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.files.formats import DICOM_SUFFIXES
from data.index.catalogue import UNREADABLE, Catalogue, Images, Source
from data.index.doubts import marks_of
from data.index.groups import groups_of, notes_on
from data.index.headers import Header, looks_like_dicom, read_headers

LOOKED_FOR = "any DICOM file at any depth"


def find(root: Path) -> bool:
    """At least one file that is DICOM by its mark or by its name."""
    return any(path.lower().endswith(DICOM_SUFFIXES) or looks_like_dicom(path) for path in files_below(root))


def read(source: Source) -> Catalogue:
    """All radiographs whose headers say whose and of which study they are; the rest is refused by reason.

    Raises:
        DataError: there is no radiograph.
    """
    unreadable: list[str] = []
    paths = list(files_below(source.root, source.out, unreadable))
    headers: list[Header] = []
    kept: list[bytes] = []
    refused = [(os.path.relpath(folder, source.root), UNREADABLE) for folder in unreadable]
    place_of: dict[str, int] = {}

    def size(relative: bytes) -> int:
        return os.stat(os.path.join(os.fsencode(source.root), relative)).st_size  # noqa: PTH116, PTH118

    for path, header in zip(paths, read_headers(paths, source.workers), strict=True):
        relative = os.path.relpath(path, source.root)
        if not isinstance(header, Header):
            refused.append((relative, header))
            continue
        encoded = os.fsencode(relative)  # names in an archive's export need not be UTF-8
        place = place_of.setdefault(header.image, len(headers))
        if place == len(headers):
            headers.append(header)
            kept.append(encoded)
            continue
        if size(encoded) > size(kept[place]):  # the other one was cut off
            kept[place], encoded = encoded, kept[place]
        refused.append((os.fsdecode(encoded), "the same image again"))
    numbers = pa.array([header.number for header in headers], pa.string())
    images = _images(headers, kept, numbers)
    catalogue = Catalogue(images=images, namespace="dicom", dated=True, checked=True)
    for path, reason in refused:
        catalogue.refuse(path, reason)
    catalogue.notes += notes_on(numbers, images.study)
    if outside := _count_outside(paths, source.root):
        catalogue.notes.append(f"{outside:,} files lie outside ROOT, where links lead")
    catalogue.require_images(source.root, "radiograph")
    return catalogue


def files_below(root: Path, out: Path | None = None, unreadable: list[str] | None = None) -> Iterator[str]:
    """Paths of all files, sorted within their folders; links to folders are followed, each folder once.

    Args:
        root: where to start.
        out: a folder to leave alone, as hidden files and folders are.
        unreadable: takes the folders that cannot be opened.
    """

    def note(error: OSError) -> None:
        if unreadable is not None:
            unreadable.append(error.filename)

    visited = {os.path.realpath(out)} if out else set()
    for folder, folders, names in os.walk(root, onerror=note, followlinks=True):
        place = os.path.realpath(folder)
        if place in visited:
            folders.clear()
            continue
        visited.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(folder, name) for name in sorted(names) if not name.startswith("."))  # noqa: PTH118


def _count_outside(paths: list[str], root: Path) -> int:
    """How many files lie elsewhere than below `root`, because they or folders on the way are links."""
    inside: dict[str, bool] = {}
    real_root = Path(os.path.realpath(root))

    def is_inside(path: str) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(real_root)

    count = 0
    for path in paths:
        folder = os.path.dirname(path)  # noqa: PTH120  (a Path a file is slow)
        if folder not in inside:
            inside[folder] = is_inside(folder)
        count += not (is_inside(path) if os.path.islink(path) else inside[folder])  # noqa: PTH114
    return count


def _images(headers: list[Header], paths: list[bytes], numbers: pa.Array) -> Images:
    order = sorted(range(len(headers)), key=lambda row: headers[row].order)
    rank = np.empty(len(headers), np.int64)
    rank[order] = np.arange(len(headers))
    columns = {
        name: pa.array([getattr(header, name) for header in headers], pa.string())
        for name in ("patient", "study", "image", "view", "region")
    }
    return Images(
        **columns,
        path=pa.array(paths, pa.binary()),
        moment=np.array([header.moment for header in headers], np.int64),
        rank=rank,
        marks=marks_of([header.marks for header in headers]),
        number=numbers,
        group=groups_of(numbers, columns["study"]),
    )
