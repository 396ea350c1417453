"""Radiograph files of every format, made once, and a reader of files in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

ROOT = Path(__file__).parents[3]
CR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.1"
PYDICOM_SYNTAXES = {
    "Explicit": ExplicitVRLittleEndian,
    "Implicit": ImplicitVRLittleEndian,
    "Deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
}


def _lossless_jpeg(pixels: np.ndarray, bits: int, predictor: int = 1) -> bytes:
    return imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=bits)


FRAME_SYNTAXES = {
    "JPEG": (JPEGBaseline8Bit, lambda pixels, _: imagecodecs.jpeg8_encode(pixels, level=95)),
    "JPEGExtended": (
        JPEGExtended12Bit,
        lambda pixels, bits: imagecodecs.jpeg8_encode(pixels, level=100, bitspersample=bits),
    ),
    "JPEGLossless": (JPEGLossless, lambda pixels, bits: _lossless_jpeg(pixels, bits, 7)),
    "JPEGLosslessSV1": (JPEGLosslessSV1, _lossless_jpeg),
    "JPEGLS": (JPEGLSLossless, lambda pixels, _: imagecodecs.jpegls_encode(pixels)),
    "JPEGLSNear": (JPEGLSNearLossless, lambda pixels, _: imagecodecs.jpegls_encode(pixels, level=2)),
    "JPEG2000": (
        JPEG2000Lossless,
        lambda pixels, bits: imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", bitspersample=bits),
    ),
    "JPEG2000Lossy": (
        JPEG2000,
        lambda pixels, bits: imagecodecs.jpeg2k_encode(
            pixels, codecformat="j2k", bitspersample=bits, level=60, reversible=False
        ),
    ),
    "HTJ2KLossless": (HTJ2KLossless, lambda pixels, _: imagecodecs.htj2k_encode(pixels)),
    "HTJ2KLosslessRPCL": (
        HTJ2KLosslessRPCL,
        lambda pixels, _: imagecodecs.htj2k_encode(pixels, tlm=True, tilepart=1),
    ),
    "HTJ2K": (HTJ2K, lambda pixels, _: imagecodecs.htj2k_encode(pixels, level=1e-4, reversible=False)),
}
"""Transfer syntaxes of compressed frames, and their encoders: of pixels of so many bits."""


def waves(bits: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture with some noise that fills the range of `bits`."""
    rows, columns = np.mgrid[:height, :width]
    wave = 0.5 + 0.4 * np.sin(columns / 9) * np.cos(rows / 13)
    noise = np.random.default_rng(0).normal(0, 0.005, (height, width))
    values = np.clip((2**bits - 1) * (wave + noise), 0, 2**bits - 1)
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def dicom(pixels: np.ndarray, bits: int, **attributes: object) -> Dataset:
    """A computed radiography image of `pixels`, with `attributes` added or replaced."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CR_IMAGE_STORAGE
    dataset.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    dataset.Modality = "CR"
    dataset.PatientName = "Doe^Jane"
    dataset.set_pixel_data(pixels, "MONOCHROME2", bits, generate_instance_uid=False)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def save_dicom(path: Path, dataset: Dataset, syntax: str = "Explicit") -> Path:
    """Save a data set in one of `PYDICOM_SYNTAXES` or `FRAME_SYNTAXES`."""
    if syntax in FRAME_SYNTAXES:
        uid, encode = FRAME_SYNTAXES[syntax]
        return save_frame(path, dataset, uid, encode(_frame_pixels(dataset, syntax), _frame_bits(dataset)))
    uid = PYDICOM_SYNTAXES[syntax]
    if uid.is_encapsulated:
        dataset.compress(uid)
    elif uid is ImplicitVRLittleEndian:
        dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = uid
    dataset.save_as(path, enforce_file_format=True)
    return path


def _frame_pixels(dataset: Dataset, syntax: str) -> np.ndarray:
    """The pixels as encoders take them: only JPEG 2000 knows signed ones; others get two's complement."""
    kind = "i" if dataset.PixelRepresentation and "2" in syntax else "u"
    pixels = np.frombuffer(dataset.PixelData, f"{kind}{dataset.BitsAllocated // 8}")
    return pixels[: dataset.Rows * dataset.Columns].reshape(dataset.Rows, dataset.Columns)


def _frame_bits(dataset: Dataset) -> int:
    """In two's complement, negative values fill all the bits allocated."""
    return dataset.BitsAllocated if dataset.PixelRepresentation else dataset.BitsStored


def save_frame(path: Path, dataset: Dataset, uid: str, frame: bytes) -> Path:
    """Save a data set with an encoded frame in place of its pixels."""
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = uid
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_samples(folder: Path) -> None:
    """One intact file of every format and way of compression."""
    deep, flat = waves(16), waves(8)
    for syntax in (*PYDICOM_SYNTAXES, *FRAME_SYNTAXES):
        bits = 8 if syntax in ("JPEG", "JPEGLSNear") else 12
        save_dicom(
            folder / f"{syntax}.dcm", dicom(waves(bits), bits, WindowCenter=100, WindowWidth=200), syntax
        )
    Image.fromarray(deep).save(folder / "deep.png")
    Image.fromarray(flat).save(folder / "flat.png")
    Image.fromarray(np.repeat(flat[..., None], 3, axis=-1)).save(folder / "colour.png")
    Image.fromarray(flat).save(folder / "flat.jpg")
    tifffile.imwrite(folder / "deep.tif", deep)
    tifffile.imwrite(folder / "float.tif", (deep / 65535).astype(np.float32))
    Image.fromarray(deep).save(folder / "lzw.tif", compression="tiff_lzw")
    Image.fromarray(flat).save(folder / "deflated.tiff", compression="tiff_adobe_deflate")
    tifffile.imwrite(folder / "tiles.tif", deep, compression="lzw", predictor=True, tile=(32, 32))
    tifffile.imwrite(
        folder / "packed.tif", (deep >> 1).astype(np.int16), compression="packbits", rowsperstrip=9
    )
    tifffile.imwrite(folder / "lossy.tif", flat, compression="jpeg")
    tifffile.imwrite(folder / "deflated_float.tif", (deep / 65535).astype(np.float32), compression="zlib")
    np.save(folder / "deep.npy", deep)
    np.save(folder / "float.npy", (deep / 65535).astype(np.float32))
    np.savez_compressed(folder / "deep.npz", image=deep)
    for name in ("deep.nii", "deep.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(deep.T, np.diag([-0.2, 0.2, 1, 1])), folder / name)


@pytest.fixture(scope="session")
def samples(tmp_path_factory) -> Path:
    """A folder with one intact file of every format and way of compression."""
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder)
    return folder


@pytest.fixture(scope="session")
def read_apart(samples) -> Callable[[Sequence[Path]], dict[Path, dict]]:
    """Read files in a process of its own; what came of each. Where it ended, the file is named."""

    def read(paths: Sequence[Path]) -> dict[Path, dict]:
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("read_files.py")],
            input="\n".join(str(path) for path in (samples, *paths)),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            check=False,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        last = lines[-2:]
        assert done.returncode == 0, f"ended with {done.returncode} by {last}: {done.stderr[-2000:]}"
        assert done.stderr == "", done.stderr[-2000:]
        return {Path(named["path"]): found for named, found in zip(lines[::2], lines[1::2], strict=True)}

    return read


@pytest.fixture
def make_dicom(tmp_path) -> Callable[..., Path]:
    """Save a DICOM file of pixels: `make_dicom(pixels, bits, syntax=..., **attributes)`."""

    def make(
        pixels: np.ndarray, bits: int, *, syntax: str = "Explicit", name: str = "image.dcm", **attributes
    ) -> Path:
        return save_dicom(tmp_path / name, dicom(pixels, bits, **attributes), syntax)

    return make


@pytest.fixture
def make_frame(tmp_path) -> Callable[..., Path]:
    """Save a DICOM file with the header of some pixels but a frame of one's own, in the syntax `uid`."""

    def make(pixels: np.ndarray, bits: int, uid: str, frame: bytes, **attributes) -> Path:
        return save_frame(tmp_path / "frame.dcm", dicom(pixels, bits, **attributes), uid, frame)

    return make


@pytest.fixture(name="waves")
def waves_fixture() -> Callable[..., np.ndarray]:
    return waves
