"""DICOM files of one grey plane -> stored values.

What is refused (colour, several frames, no image at all) is refused by what the header says, before pixels
are read. No message shows a value of the header but kinds of objects and numbers of pixels: others may be
names.

Decoders. Which one decodes a transfer syntax was settled by fuzzing: thousands of frames with flipped bits,
wrong bytes and missing ends, each in a process that was watched. The three codecs of imagecodecs that are
used had 42,000 damaged frames of each format, with headers checked first: no crash, no hang, nothing on the
terminal, never 200 MiB more.

- JPEG (baseline, extended of 8 and 12 bits, lossless): libjpeg-turbo. Lossless frames of 8 to 16 bits, of
  every predictor and with point transforms, come out as GDCM reads them. GDCM ended the process on one in 80
  damaged frames, and reads no extended JPEG of 12 bits. Of imagecodecs' other two decoders liblj92 crashed,
  and both ignore the point transform.
- JPEG-LS: CharLS, which takes gigabytes and minutes for sizes that flipped bits claim, and with its headers
  checked neither.
- JPEG 2000 and HTJ2K: OpenJPEG, which takes 900 MiB for what flipped bits claim, and less than 200 with its
  headers checked. OpenJPH, so checked, crashed on 6 of 14,000 damaged HTJ2K frames; unchecked it also hung.
- Run-length encoding: pydicom's own; pylibjpeg's panics, which Python cannot keep off the terminal.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from data.base.errors import DataError
from data.files.codestreams import (
    DamagedCodestream,
    Plane,
    check_jpeg,
    check_jpeg_2000,
    check_jpeg_ls,
    check_lossless_jpeg,
    start_of_jpeg_2000,
)
from data.files.formats import READABLE_TEXT
from data.files.orientation import AS_STORED, Grid, Turn, pixel_aspect, upright
from data.files.plane import Array, require_size

if TYPE_CHECKING:
    from pydicom import Dataset

_Codec = Literal["jpeg8", "jpegls", "jpeg2k"]  # as imagecodecs calls them
_Check = Callable[[bytes, Plane], int]
_DECODERS: dict[str, tuple[_Codec, _Check]] = {
    "1.2.840.10008.1.2.4.50": ("jpeg8", check_jpeg),
    "1.2.840.10008.1.2.4.51": ("jpeg8", check_jpeg),
    "1.2.840.10008.1.2.4.57": ("jpeg8", check_lossless_jpeg),
    "1.2.840.10008.1.2.4.70": ("jpeg8", check_lossless_jpeg),
    "1.2.840.10008.1.2.4.80": ("jpegls", check_jpeg_ls),
    "1.2.840.10008.1.2.4.81": ("jpegls", check_jpeg_ls),
    "1.2.840.10008.1.2.4.90": ("jpeg2k", check_jpeg_2000),
    "1.2.840.10008.1.2.4.91": ("jpeg2k", check_jpeg_2000),
    "1.2.840.10008.1.2.4.201": ("jpeg2k", check_jpeg_2000),
    "1.2.840.10008.1.2.4.202": ("jpeg2k", check_jpeg_2000),
    "1.2.840.10008.1.2.4.203": ("jpeg2k", check_jpeg_2000),
}
_RLE, _DEFLATED = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"
_GREY, _COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "PALETTE COLOR", "HSV", "ARGB", "CMYK")
# Group and element numbers that a file without preamble can start with: file meta information or the first
# group of the data set, in either byte order. Source: DICOM PS3.10, section 7.1, and PS3.5, section 7.
_FIRST_GROUPS = (b"\x02\x00", b"\x00\x02", b"\x08\x00", b"\x00\x08")
_MAX_FILE_BYTES = 320 << 20
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


@dataclass(frozen=True, kw_only=True)
class DicomPlane:
    """A decoded DICOM image, before its grayscale transformations."""

    stored: Array
    """`[H, W]` upright, integers with whatever bits above `bits`, or floats."""
    bits: int | None
    """Bits of an integer that are pixel data, its lowest; None for floats."""
    is_signed: bool
    dataset: "Dataset"
    spacing_mm: tuple[float, float] | None
    grid: Grid


def read_dicom(path: Path) -> DicomPlane:
    """Decode the one grey plane of a DICOM file, with or without its preamble.

    Raises:
        DataError: no DICOM, no image, colour, several frames, too large, a compression without decoder, or
            an orientation that cannot be known.
        Exception: whatever a damaged file makes pydicom and the decoders raise.
    """
    from pydicom import dcmread

    force = not _has_preamble(path)
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise DataError(
            f"{path} has more than {_MAX_FILE_BYTES >> 20} MiB, which no radiograph has; leave it out"
        )
    _require_small_deflated(path, force)
    _require_image(dcmread(path, force=force, stop_before_pixels=True), path)
    dataset = dcmread(path, force=force)
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise DataError(f"{path} is DICOM of an image without pixels; replace it with an intact file")
    turn = turn_of(dataset, path)
    stored, bits = _decode(dataset, path)
    spacing = spacing_of(dataset)
    # Only where no spacing is named, the ratio counts (PS3.3, C.7.6.3.1.7); both name the vertical one first.
    ratio = spacing or _lengths(dataset, "PixelAspectRatio") or (1, 1)
    return DicomPlane(
        stored=turn.seen(stored),
        bits=bits,
        is_signed=bits is not None and int(dataset.PixelRepresentation) == 1,
        dataset=dataset,
        spacing_mm=spacing and turn.pair(*spacing),
        grid=Grid(pixel_aspect=pixel_aspect(*turn.pair(*ratio)), turn=turn),
    )


def read_header(path: Path) -> "Dataset":
    """Everything of a DICOM file but its pixels.

    Raises:
        DataError: no DICOM.
        Exception: whatever a damaged file makes pydicom raise.
    """
    from pydicom import dcmread

    return dcmread(path, force=not _has_preamble(path), stop_before_pixels=True)


def spacing_of(header: "Dataset") -> tuple[float, float] | None:
    """Distance between rows and between columns as they are stored, in mm; None where none is named."""
    return _lengths(header, *_SPACINGS)


def _has_preamble(path: Path) -> bool:
    """Whether a file starts as DICOM files do; without a preamble, it must start as a data set does."""
    with path.open("rb") as stream:
        start = stream.read(132)
    if start[128:] == b"DICM":
        return True
    if not start:
        raise DataError(f"{path} is empty; replace it with an intact file")
    if start[:2] not in _FIRST_GROUPS or len(start) < 16:
        raise DataError(f"{path} is no DICOM file; store {READABLE_TEXT}, with the suffix that says which")
    return False


def _require_small_deflated(path: Path, force: bool) -> None:
    """Refuse a deflated data set that would inflate beyond the limit; pydicom inflates all of it at once."""
    from pydicom.filereader import read_file_meta_info

    if force:
        return
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != _DEFLATED:
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = 0
    with path.open("rb") as stream:
        stream.seek(144 + int(meta.FileMetaInformationGroupLength))
        while not inflate.eof and (chunk := inflate.unconsumed_tail or stream.read(1 << 16)):
            inflated += len(inflate.decompress(chunk, 1 << 20))
            if inflated > _MAX_FILE_BYTES:
                raise DataError(
                    f"{path} inflates to more than {_MAX_FILE_BYTES >> 20} MiB, which no radiograph has; "
                    "leave it out"
                )


def _require_image(header: "Dataset", path: Path) -> None:
    if "Rows" not in header or "Columns" not in header:
        if not any(keyword in header for keyword in ("SOPClassUID", "DirectoryRecordSequence", "Modality")):
            raise DataError(f"{path} has no DICOM header that can be read; replace it with an intact file")
        raise DataError(f"{path} is DICOM without an image ({_kind(header)}); leave it out")
    if int(header.get("NumberOfFrames") or 1) != 1:
        raise DataError(
            f"{path} holds {int(header.NumberOfFrames)} frames ({_kind(header)}); "
            "store the radiograph as a single frame"
        )
    photometric = str(header.get("PhotometricInterpretation", "")).strip()
    if photometric in _COLOUR or photometric.startswith("YBR") or int(header.get("SamplesPerPixel", 1)) != 1:
        shown = "palette colour" if photometric == "PALETTE COLOR" else "colour"
        raise DataError(f"{path} is in {shown} ({_kind(header)}); convert it to greyscale")
    if photometric not in _GREY:
        raise DataError(
            f"{path} does not say whether its large values are bright; set its PhotometricInterpretation"
        )
    require_size(path, int(header.Rows), int(header.Columns), int(header.BitsAllocated) // 8)


def _kind(header: "Dataset") -> str:
    """What an object is, by its SOP class, where that is one of the standard's."""
    from pydicom.uid import UID, UID_dictionary

    meta = getattr(header, "file_meta", {})
    uid = str(header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")
    return UID(uid).name if uid in UID_dictionary else "of an unknown kind"


def _syntax(dataset: "Dataset") -> str | None:
    uid = dataset.file_meta.get("TransferSyntaxUID")
    return None if uid is None else str(uid)


def _decode(dataset: "Dataset", path: Path) -> tuple[Array, int | None]:
    """The pixels as they lie in the file, and how many of an integer's lowest bits are pixel data."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    syntax = _syntax(dataset)
    if syntax in _DECODERS:
        return _decode_frame(dataset, path, *_DECODERS[syntax])
    if syntax is None:  # a data set without file meta information; pydicom found the encoding by reading it
        implicit, little = dataset.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = syntax = syntax if little else ExplicitVRBigEndian
    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:
        raise DataError(f"{path} is compressed in an unknown way; store it uncompressed") from None
    # Up to 16 bits are masked where they are looked up; a copy for that would be one too many.
    is_wide = int(dataset.get("BitsStored", 0)) > 16
    pixels, _ = decoder.as_array(
        dataset,
        index=0,
        raw=True,
        view_only=not is_wide,
        correct_unused_bits=is_wide,
        decoding_plugin="pydicom" if syntax == _RLE else "",
    )
    if pixels.dtype.kind == "f":
        return pixels, None
    bits = int(dataset.BitsStored)
    shift = int(dataset.get("HighBit", bits - 1)) + 1 - bits
    return (pixels >> shift if shift > 0 else pixels), bits  # images of before 2014 may lie higher up


def _decode_frame(dataset: "Dataset", path: Path, codec: _Codec, check: _Check) -> tuple[Array, int]:
    """The compressed frame, `[H, W]` in the type that the header allocates; its own headers are checked.

    Where it holds fewer bits than the header declares, its own count (PS3.5, section 8.2).
    """
    import imagecodecs
    from pydicom.encaps import get_frame

    plane = Plane(
        rows=int(dataset.Rows), columns=int(dataset.Columns), bits_allocated=int(dataset.BitsAllocated)
    )
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    try:
        precision = check(frame, plane)
    except DamagedCodestream as error:
        raise DataError(
            f"{path} holds a compressed frame that {error}; replace it with an intact or an uncompressed file"
        ) from error
    match codec:
        case "jpeg8":
            pixels = imagecodecs.jpeg8_decode(frame)
        case "jpegls":
            pixels = imagecodecs.jpegls_decode(frame)
        case "jpeg2k":
            pixels = imagecodecs.jpeg2k_decode(frame[start_of_jpeg_2000(frame) :])
    kind = "i" if int(dataset.PixelRepresentation) == 1 else "u"
    stored_type = np.dtype(f"{kind}{plane.bits_allocated // 8}")
    bits = min(int(dataset.BitsStored), precision)
    is_small = pixels.dtype.itemsize <= stored_type.itemsize and 1 <= bits <= plane.bits_allocated
    if pixels.shape != (plane.rows, plane.columns) or not is_small:
        raise ValueError("the frame is not what the header declares")
    stored = pixels.astype(stored_type, copy=False)
    # A codestream has no bits for overlays: what lies above is a contradiction, and must not be cut off.
    if int(stored.max()) >> bits > 0 or int(stored.min()) < -(1 << bits):
        raise DataError(f"{path} holds values of more than the {bits} bits it declares; store it again")
    if bits > 16 and kind == "i":  # not masked where they are looked up; the frame may not know of the sign
        spare = 8 * stored_type.itemsize - bits
        stored = stored << spare >> spare
    return stored, bits


def turn_of(header: "Dataset", path: Path) -> Turn:
    """Upright, by the principal letters of Patient Orientation or else by Image Orientation (Patient).

    Both name first the direction into which the number of the column grows. Field of View Rotation and
    Horizontal Flip say what was done to the pixels already. Source: PS3.3, C.7.6.1.1.1, C.7.6.2, C.8.11.4.
    """
    written = header.get("PatientOrientation")
    values = [written] if isinstance(written, str) else list(written or ())
    letters = [str(value).strip().upper()[:1] for value in values]
    if any(letters):
        turn = upright(letters[1], letters[0]) if len(letters) == 2 else None
        if turn is None:
            raise DataError(f"{path} has a Patient Orientation that is none; correct it, or leave it empty")
        return turn
    try:
        cosines = np.array(header.get("ImageOrientationPatient"), float).reshape(2, 3)
    except (TypeError, ValueError):  # malformed, or not six values
        return AS_STORED
    largest = zip(cosines, np.abs(cosines).argmax(axis=1), strict=True)
    names = [{1: "LPH", -1: "RAF"}.get(np.sign(row[axis]), "???")[axis] for row, axis in largest]
    return upright(names[1], names[0]) or AS_STORED


def _lengths(dataset: "Dataset", *keywords: str) -> tuple[float, float] | None:
    """Of the first attribute that holds two lengths, these."""
    for keyword in keywords:
        try:
            rows, columns = (float(value) for value in dataset.get(keyword) or ())
        except (TypeError, ValueError):  # malformed, or not two values
            continue
        if 0 < rows < np.inf and 0 < columns < np.inf:
            return rows, columns
    return None
