"""Damaged files of every format: an image or one line, no crash, no hang, no flood of memory or warnings."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

SECONDS, MIB = 10, 950
HUGE = 60_000
BATCH = 100
EXTENSIONS = (".dcm", ".png", ".jpg", ".tif", ".npy", ".npz", ".nii", ".nii.gz", "", ".1.2.840")


def _suffix(path: Path) -> str:
    return ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix


def _truncated(content: bytes, random: np.random.Generator) -> bytes:
    return content[: int(random.integers(1, len(content)))]


def _flipped(content: bytes, random: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for position in random.integers(0, len(content), random.integers(1, 20)):
        damaged[position] ^= 1 << int(random.integers(8))
    return bytes(damaged)


def _overwritten_start(content: bytes, random: np.random.Generator) -> bytes:
    """Random bytes in the header: in DICOM files that lies behind the preamble."""
    start = 132 if content[128:132] == b"DICM" else 0
    damaged = bytearray(content)
    for position in random.integers(start, min(len(content), start + 700), random.integers(1, 12)):
        damaged[position] = int(random.integers(256))
    return bytes(damaged)


def _overwritten_frame(content: bytes, random: np.random.Generator) -> bytes:
    """Random bytes in the headers of the pixels, which in a DICOM file lie towards the end."""
    start = max(content.find(b"\xe0\x7f\x10\x00"), 0)
    damaged = bytearray(content)
    for position in random.integers(start, min(len(content), start + 250), random.integers(1, 8)):
        damaged[position] = int(random.integers(256))
    return bytes(damaged)


def _cut_out(content: bytes, random: np.random.Generator) -> bytes:
    first, last = sorted(random.integers(0, len(content), 2))
    return content[:first] + content[last:]


def _empty(_content: bytes, _random: np.random.Generator) -> bytes:
    return b""


DAMAGES: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    _truncated,
    _flipped,
    _overwritten_start,
    _flipped,
    _overwritten_frame,
    _overwritten_start,
    _cut_out,
    _overwritten_frame,
)


def _damaged_files(samples: Path, folder: Path, count: int) -> list[Path]:
    """`count` damaged copies of the samples, the same ones every time."""
    sources = sorted(samples.iterdir())
    paths = []
    for index in range(count):
        random = np.random.default_rng([20, index])
        source = sources[index % len(sources)]
        content, suffix = source.read_bytes(), _suffix(source)
        damage = DAMAGES[index // len(sources) % len(DAMAGES)]
        match index % 25:
            case 7:
                content, damage_name = b"", "empty"
            case 13:
                suffix, damage_name = EXTENSIONS[int(random.integers(len(EXTENSIONS)))], "renamed"
            case _:
                content, damage_name = damage(content, random), damage.__name__
        path = folder / f"{index:04d}_{damage_name}_{source.name.partition('.')[0]}{suffix}"
        path.write_bytes(content)
        paths.append(path)
    return paths


def _require_handled(found: dict[Path, dict]) -> None:
    for path, outcome in found.items():
        assert outcome["seconds"] < SECONDS, f"{path.name} took {outcome['seconds']:.1f} s"
        assert outcome["mib"] < MIB, f"{path.name} took {outcome['mib']:.0f} MiB"
        if message := outcome.get("error"):
            assert message.startswith(str(path))
            assert ";" in message or ":" in message
            assert "\n" not in message
            assert "Doe" not in message


def test_intact_samples_are_read(samples, read_apart):
    paths = sorted(samples.iterdir())
    found = read_apart(paths)
    assert {path.name: outcome.get("shape") for path, outcome in found.items()} == {
        path.name: [48, 64] for path in paths
    }


def test_a_thousand_damaged_files_give_an_image_or_one_line(samples, read_apart, tmp_path):
    count = 1000
    paths = _damaged_files(samples, tmp_path, count)
    outcomes: dict[Path, dict] = {}
    for start in range(0, count, BATCH):
        outcomes |= read_apart(paths[start : start + BATCH])
    assert len(outcomes) == count
    _require_handled(outcomes)
    refused = sum("error" in outcome for outcome in outcomes.values())
    assert count / 3 < refused < count  # the damage was real, and reached the decoders


def _huge_raster(samples: Path, suffix: str) -> bytes:
    """A picture whose header declares `HUGE` rows and columns, with checksums that fit."""
    if suffix == ".png":
        content = bytearray((samples / "deep.png").read_bytes())
        content[16:24] = struct.pack(">II", HUGE, HUGE)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
        return bytes(content)
    if suffix == ".jpg":
        content = bytearray((samples / "flat.jpg").read_bytes())
        frame = content.index(b"\xff\xc0")
        content[frame + 5 : frame + 9] = struct.pack(">HH", HUGE, HUGE)
        return bytes(content)
    content = bytearray((samples / "lzw.tif").read_bytes())
    for tag in (256, 257):
        entry = next(
            at
            for at in range(len(content))
            if content[at : at + 2] == struct.pack("<H", tag) and content[at + 4] == 1
        )
        content[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, HUGE)
    return bytes(content)


def _huge_array(suffix: str) -> bytes:
    header = io.BytesIO()
    declared = {"descr": "<u2", "fortran_order": False, "shape": (HUGE, HUGE)}
    np.lib.format.write_array_header_1_0(header, declared)
    if suffix == ".npy":
        return header.getvalue()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("image.npy", header.getvalue() + bytes(200 << 20))
    return archive.getvalue()


def _huge_nifti(suffix: str) -> bytes:
    import nibabel

    header = nibabel.Nifti2Header()
    header.set_data_dtype(np.uint16)
    header.set_data_shape((HUGE, HUGE))
    header["magic"], header["vox_offset"] = b"n+2", 544
    content = header.binaryblock + bytes(4)
    return content if suffix == ".nii" else gzip.compress(content + bytes(200 << 20), 1)


def _huge_dicom(samples: Path, sample: str) -> bytes:
    dataset = pydicom.dcmread(samples / sample)
    dataset.Rows = dataset.Columns = HUGE
    content = io.BytesIO()
    dataset.save_as(content)
    return content.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".npy", ".npz", ".nii", ".nii.gz", ".dcm"])
def test_huge_declared_sizes_are_refused_before_decoding(samples, read_apart, tmp_path, suffix):
    content = {
        ".png": lambda: _huge_raster(samples, suffix),
        ".jpg": lambda: _huge_raster(samples, suffix),
        ".tif": lambda: _huge_raster(samples, suffix),
        ".npy": lambda: _huge_array(suffix),
        ".npz": lambda: _huge_array(suffix),
        ".nii": lambda: _huge_nifti(suffix),
        ".nii.gz": lambda: _huge_nifti(suffix),
        ".dcm": lambda: _huge_dicom(samples, "Explicit.dcm"),
    }[suffix]()
    path = tmp_path / f"huge{suffix}"
    path.write_bytes(content)
    outcome = read_apart([path])[path]
    declared = (
        "more than 64 megapixels" if suffix in (".png", ".jpg") else "60000 x 60000 pixels, and 64 mega"
    )
    assert f"{path} declares {declared}" in outcome["error"]
    assert outcome["mib"] < 20
    assert outcome["seconds"] < 1


def test_bombs_are_refused(samples, read_apart, tmp_path):
    """Files that inflate to more than they declare, or to what they must not declare."""
    zeros = bytes(400 << 20)
    bombs = {name: tmp_path / name for name in ("offset.nii.gz", "deflated.dcm", "longer.npz", "strip.tif")}

    header = bytearray(gzip.decompress((samples / "deep.nii.gz").read_bytes())[:352])
    header[108:112] = struct.pack("<f", 500 << 20)
    bombs["offset.nii.gz"].write_bytes(gzip.compress(bytes(header) + zeros, 1))

    content = (samples / "Deflated.dcm").read_bytes()
    meta = 144 + int(pydicom.dcmread(samples / "Deflated.dcm").file_meta.FileMetaInformationGroupLength)
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    bombs["deflated.dcm"].write_bytes(content[:meta] + deflate.compress(zeros) + deflate.flush())

    array = io.BytesIO()
    np.save(array, np.zeros((2, 3), np.uint8))
    with zipfile.ZipFile(bombs["longer.npz"], "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("image.npy", array.getvalue() + zeros)

    strip = zlib.compress(zeros, 1)
    tags = (
        (256, 4, 64),
        (257, 4, 48),
        (258, 3, 8),
        (259, 3, 8),
        (262, 3, 1),
        (273, 4, 8),
        (278, 4, 48),
        (279, 4, len(strip)),
    )
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    strip += b"\0" * (len(strip) % 2)
    bombs["strip.tif"].write_bytes(b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory)

    found = {path.name: outcome for path, outcome in read_apart(list(bombs.values())).items()}
    assert "replace it with an intact file" in found["offset.nii.gz"]["error"]
    assert "inflates to more than 320 MiB" in found["deflated.dcm"]["error"]
    assert found["longer.npz"]["shape"] == [2, 3]  # what follows the array is never inflated
    assert all(outcome["mib"] < 60 for outcome in found.values()), found
