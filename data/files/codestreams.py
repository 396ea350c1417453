"""What a compressed DICOM frame says of itself, checked before a native decoder sees it.

Decoders written in C and C++ trust these headers: CharLS and OpenJPEG allocate what a flipped bit claims. And
some do not say that a frame ended early, or that its data make no sense: libjpeg-turbo leaves grey what is
missing. Every check here follows the standard of its format; what passes was decoded in fuzzing without a
crash. Each check returns how many bits of a value the frame holds, which may be fewer than its file says.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_START, _END, _SCAN, _HUFFMAN, _RESTART = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_LOSSY_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive, with Huffman coding
_LOSSLESS_FRAME, _JPEG_LS_FRAME = 0xC3, 0xF7
_MARKER_IN_SCAN = re.compile(rb"\xff+[^\x00\xff]")
_MARKER_IN_JPEG_LS_SCAN = re.compile(rb"\xff+[\x80-\xfe]")


class DamagedCodestream(ValueError):  # noqa: N818  (it describes the frame)
    """A compressed frame contradicts its standard or the file around it; the message says in what."""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The grey plane a DICOM header declares."""

    rows: int
    columns: int
    bits_allocated: int


def check_jpeg(frame: bytes, plane: Plane) -> int:
    """Check a baseline, extended or progressive JPEG frame of one component, up to the end of its last scan.

    Source: ITU-T T.81 (ISO/IEC 10918-1), annex B.

    Raises:
        DamagedCodestream: it is not one.
    """
    precision, has_scan = 0, False
    for marker, body, _ in _segments(frame):
        if marker in (*_FRAMES, _JPEG_LS_FRAME):
            if precision or marker not in _LOSSY_FRAMES:
                raise DamagedCodestream("has a second frame header, or one of another kind of JPEG")
            precision, _ = _check_frame_header(body, plane)
            if precision not in (8, 12) or precision > plane.bits_allocated:
                raise DamagedCodestream(f"has {precision} bits in {plane.bits_allocated} allocated")
        elif marker == _SCAN:
            if not precision:
                raise DamagedCodestream("has a scan without a frame header")
            has_scan = True
    if not has_scan:
        raise DamagedCodestream("has no scan")
    return precision


def check_lossless_jpeg(frame: bytes, plane: Plane) -> int:
    """Check everything but the entropy-coded data of a lossless JPEG frame (process 14) of one component.

    Source: ITU-T T.81 (ISO/IEC 10918-1), annexes B, C.2 and H.

    Raises:
        DamagedCodestream: it is not one.
    """
    tables: set[int] = set()
    component = precision = None
    for marker, body, end in _segments(frame):
        if marker == _HUFFMAN:
            tables |= _huffman_tables(body)
        elif marker == _LOSSLESS_FRAME and component is None:
            precision, component = _check_frame_header(body, plane)
            if precision > plane.bits_allocated:
                raise DamagedCodestream(f"has {precision} bits in {plane.bits_allocated} allocated")
        elif marker in (*_FRAMES, _JPEG_LS_FRAME):
            raise DamagedCodestream("has a second frame header, or one of another kind of JPEG")
        elif marker == _RESTART and len(body) != 2:
            raise DamagedCodestream("has a damaged restart interval")
        elif marker == _SCAN:
            if precision is None or component is None:
                raise DamagedCodestream("has a scan without a frame header")
            _check_lossless_scan(body, component, precision, tables)
            _check_entropy_coded(frame, end, _MARKER_IN_SCAN)
            return precision
    raise DamagedCodestream("has no scan")


def check_jpeg_ls(frame: bytes, plane: Plane) -> int:
    """Check everything but the entropy-coded data of a JPEG-LS frame of one component.

    Source: ITU-T T.87 (ISO/IEC 14495-1), annex C.

    Raises:
        DamagedCodestream: it is not one.
    """
    component = precision = None
    for marker, body, end in _segments(frame):
        if marker == _JPEG_LS_FRAME and component is None:
            precision, component = _check_frame_header(body, plane)
        elif marker in (*_FRAMES, _JPEG_LS_FRAME):
            raise DamagedCodestream("has a second frame header, or one of another kind of JPEG")
        elif marker == _SCAN:
            if precision is None or len(body) != 6 or body[0] != 1 or body[1] != component:
                raise DamagedCodestream("has a damaged scan header")
            _check_entropy_coded(frame, end, _MARKER_IN_JPEG_LS_SCAN)
            return precision
    raise DamagedCodestream("has no scan")


def _segments(frame: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, body and end of each marker segment between the start and the end of a JPEG image."""
    if frame[:2] != bytes((0xFF, _START)):
        raise DamagedCodestream("does not start as JPEG does")
    position = 2
    while position + 4 <= len(frame):
        if frame[position] != 0xFF:
            raise DamagedCodestream("has no marker where one belongs")
        marker = frame[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker < 0xC0 or 0xD0 <= marker <= 0xD8:
            raise DamagedCodestream("has a marker where none belongs")
        if marker == _END:
            return
        end = position + 2 + int.from_bytes(frame[position + 2 : position + 4])
        if end > len(frame) or end < position + 4:
            raise DamagedCodestream("ends within a marker segment")
        yield marker, frame[position + 4 : end], end
        position = end if marker != _SCAN else _end_of_scan(frame, end)
    if frame[position : position + 2] != bytes((0xFF, _END)):
        raise DamagedCodestream("ends before its end")


def _end_of_scan(frame: bytes, start: int) -> int:
    """Where the first marker behind entropy-coded data is that does not restart them."""
    for found in _MARKER_IN_SCAN.finditer(frame, start):
        if not 0xD0 <= found.group()[-1] <= 0xD7:
            return found.end() - 2
    raise DamagedCodestream("ends within its scan")


def _check_frame_header(body: bytes, plane: Plane) -> tuple[int, int]:
    """Precision and component identifier of a frame header."""
    if len(body) != 9:
        raise DamagedCodestream("is not of one component")
    precision, rows, columns, components, component, sampling, _ = struct.unpack(">BHHBBBB", body)
    if (rows, columns) != (plane.rows, plane.columns):
        raise DamagedCodestream(
            f"is {rows} x {columns}, but the file declares {plane.rows} x {plane.columns}"
        )
    # Sampling factors mean nothing with one component, but decoders compute sizes from them all the same.
    if components != 1 or not 2 <= precision <= 16 or sampling not in (0x11, 0x22):
        raise DamagedCodestream("has a damaged frame header")
    return precision, component


def _huffman_tables(body: bytes) -> set[int]:
    """Numbers of the tables in a segment of Huffman tables for lossless JPEG."""
    tables, position = set(), 0
    while position < len(body):
        number, counts = body[position], body[position + 1 : position + 17]
        symbols = body[position + 17 : position + 17 + sum(counts)]
        space = sum(count << (16 - length) for length, count in enumerate(counts, start=1))
        cut_off = len(counts) < 16 or len(symbols) < sum(counts)
        if number > 3 or cut_off or space >= 1 << 16 or not symbols or max(symbols) > 16:
            raise DamagedCodestream("has a damaged Huffman table")
        tables.add(number)
        position += 17 + len(symbols)
    return tables


def _check_lossless_scan(body: bytes, component: int, precision: int, tables: set[int]) -> None:
    if len(body) != 6:
        raise DamagedCodestream("has a damaged scan header")
    components, selected, table, predictor, end, transform = body
    if (components, selected, end) != (1, component, 0) or not 1 <= predictor <= 7 or transform >= precision:
        raise DamagedCodestream("has a damaged scan header")
    if table >> 4 not in tables or table & 15:
        raise DamagedCodestream("has a scan without its Huffman table")


def _check_entropy_coded(frame: bytes, start: int, marker_pattern: re.Pattern[bytes]) -> None:
    """Only restart markers may stand between the start of the scan and the end of the image."""
    for found in marker_pattern.finditer(frame, start):
        marker = found.group()[-1]
        if marker == _END:
            return
        if not 0xD0 <= marker <= 0xD7:
            raise DamagedCodestream("has a marker within its scan")
    raise DamagedCodestream("ends within its scan")


def check_jpeg_2000(frame: bytes, plane: Plane) -> int:
    """Check the main header of a JPEG 2000 or HTJ2K codestream of one component: image and tiles.

    Source: ITU-T T.800 (ISO/IEC 15444-1), annex A.

    Raises:
        DamagedCodestream: it is not one.
    """
    start = start_of_jpeg_2000(frame)
    if start < 0 or len(frame) < start + 45:
        raise DamagedCodestream("does not start as JPEG 2000 does")
    if not frame.rstrip(b"\0").endswith(bytes((0xFF, _END))):  # OpenJPEG leaves black what is missing
        raise DamagedCodestream("ends before its end")
    size, _, right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components = (
        struct.unpack(">HHIIIIIIIIH", frame[start + 4 : start + 42])
    )
    if (bottom - top, right - left) != (plane.rows, plane.columns):
        raise DamagedCodestream(
            f"is {bottom - top} x {right - left}, but the file declares {plane.rows} x {plane.columns}"
        )
    if (size, components) != (41, 1) or frame[start + 43 : start + 45] != b"\x01\x01":
        raise DamagedCodestream("is not of one component")
    tiles_fit = tile_left <= left < tile_left + tile_width and tile_top <= top < tile_top + tile_height
    if not tiles_fit or max(left, top) > plane.rows + plane.columns:
        raise DamagedCodestream("has damaged tiles")
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    if tiles > 65535:
        raise DamagedCodestream("has damaged tiles")
    return (frame[start + 42] & 0x7F) + 1  # the highest bit says that values are signed


def start_of_jpeg_2000(frame: bytes) -> int:
    """Where a JPEG 2000 codestream starts, or -1; some writers leave the boxes of a JP2 file around it."""
    return frame.find(b"\xff\x4f\xff\x51", 0, 1024)
