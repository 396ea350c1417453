"""PNG, JPEG and TIFF files of one grey plane.

Which of them a file is, its first bytes say: a JPEG called `.png` is common, and no harm. TIFF of whole bytes
is read with tifffile, which knows every type of number, in the compressions that cannot write more than the
size that was checked; everything else with Pillow, whose decoders (libpng, libjpeg, libtiff) cannot either.
An orientation (EXIF or XMP, TIFF's own tag) is followed as viewers do, and so are densities that differ.
"""

from pathlib import Path
from typing import Any

import numpy as np

from data.base.errors import DataError
from data.files.orientation import AS_STORED, TURN_OF_EXIF, Grid, pixel_aspect
from data.files.plane import MAX_PIXELS, Array, StoredPlane, grey_of_channels, largest_of_type, require_size
from data.files.quiet import without_stderr

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# None, LZW, Deflate by either number, PackBits. Not JPEG: tifffile decodes whatever size its frames claim.
_COMPRESSIONS = (1, 5, 8, 32946, 32773)
_UNCOMPRESSED, _WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 1, 0, 1, 2
_ORIENTATION = 274
_GREY_MODES = ("1", "L", "I;16", "I;16B", "F")
_CHANNEL_MODES = ("LA", "RGB", "RGBA")


def read_raster(path: Path) -> StoredPlane:
    """Decode one grey plane, of 1 to 16 bits or of floats; colour only where all channels are equal.

    Raises:
        DataError: colour, several pictures, or too large.
        Exception: whatever a damaged file makes Pillow and tifffile raise.
    """
    with path.open("rb") as stream:
        is_tiff = stream.read(4) in _TIFF_STARTS
    return _read_tiff(path) if is_tiff else _read_with_pillow(path, ("PNG", "JPEG"))


def _read_with_pillow(path: Path, formats: tuple[str, ...]) -> StoredPlane:
    from PIL import Image

    try:
        image = Image.open(path, formats=formats)
    except Image.DecompressionBombError as error:  # Pillow's own limit, twice as high
        raise DataError(
            f"{path} declares more than {MAX_PIXELS // 10**6} megapixels, which are the limit; "
            "replace it with an intact file, or reduce it"
        ) from error
    with image:
        require_size(path, image.height, image.width)
        if getattr(image, "n_frames", 1) != 1:
            raise DataError(f"{path} holds several pictures; store the radiograph alone")
        pixels = _pixels_of(image, path)
        try:
            turn = TURN_OF_EXIF.get(image.getexif().get(_ORIENTATION, 1), AS_STORED)
        except Exception:  # what Pillow raises on a damaged block of EXIF, which so says nothing
            turn = AS_STORED
    info = image.info
    # In PNG and JFIF what is called an aspect are densities, too.
    densities = info.get("aspect") or info.get("jfif_density") or info.get("dpi") or (1, 1)
    grid = Grid(pixel_aspect=pixel_aspect(*turn.pair(*densities)))
    return StoredPlane(pixels=turn.seen(pixels), largest=largest_of_type(pixels), grid=grid)


def _pixels_of(image: Any, path: Path) -> Array:
    """`[H, W]` of an open Pillow image, without a conversion that would lose anything."""
    if image.mode in _CHANNEL_MODES and image.format == "PNG" and ";16" in str(image.tile[0][3]):
        # Pillow would drop the lower eight bits.
        raise DataError(f"{path} has 16 bits in each of several channels; convert it to greyscale")
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in _CHANNEL_MODES:
        return grey_of_channels(np.asarray(image), path)
    if image.mode not in _GREY_MODES:
        raise DataError(f"{path} is of a kind that is no grey picture; convert it to 8 or 16 bit greyscale")
    return np.asarray(image)


def _read_tiff(path: Path) -> StoredPlane:
    from tifffile import TiffFile

    with TiffFile(path) as file:
        page: Any = file.pages.first
        require_size(path, page.imagelength, page.imagewidth)
        if page.is_tiled:  # which may be larger than the image, and is decoded as a whole
            require_size(path, page.tilelength, page.tilewidth, max(1, page.bitspersample // 8))
        if page.imagedepth != 1 or _has_second_picture(file):
            raise DataError(f"{path} holds several pictures; store the radiograph alone")
        bits, photometric = page.bitspersample, int(page.photometric)
        white_is_zero = photometric == _WHITE_IS_ZERO
        turn = TURN_OF_EXIF.get(page.tags.valueof(_ORIENTATION, default=1), AS_STORED)
        grid = Grid(pixel_aspect=pixel_aspect(*turn.pair(*page.resolution)))
        is_plain = int(page.compression) in _COMPRESSIONS and bits in (8, 16, 32, 64)
        if is_plain and photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
            pixels = _whole_bytes(page, path)
            return StoredPlane(
                pixels=turn.seen(pixels),
                largest=largest_of_type(pixels),
                white_is_zero=white_is_zero,
                grid=grid,
            )
        is_signed = int(page.sampleformat or 1) == 2
    if is_signed:
        raise DataError(f"{path} holds signed integers in an unusual compression; store it without")
    with without_stderr():  # libtiff; Pillow turns TIFF itself
        plane = _read_with_pillow(path, ("TIFF",))
    # Of 1 to 8 bits Pillow makes black zero, and fills the range.
    return StoredPlane(
        pixels=plane.pixels,
        largest=2**bits - 1 if 8 < bits < 16 else plane.largest,
        white_is_zero=white_is_zero and plane.pixels.dtype.itemsize > 1,
        grid=grid,
    )


def _has_second_picture(file: Any) -> bool:
    """Whether a second page is more than a thumbnail."""
    try:
        second = file.pages[1]
    except IndexError:
        return False
    return not second.is_reduced


def _whole_bytes(page: Any, path: Path) -> Array:
    bytes_per_pixel = page.samplesperpixel * page.bitspersample // 8
    require_size(path, page.imagelength, page.imagewidth, bytes_per_pixel)
    # tifffile fills in what a damaged file lacks with zeros, and makes nothing of an unknown type.
    spans = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    is_whole = all(
        offset and count and offset + count <= page.parent.filehandle.size for offset, count in spans
    )
    is_uncompressed = int(page.compression) == _UNCOMPRESSED
    if page.dtype is None or not is_whole or (is_uncompressed and sum(page.databytecounts) < page.nbytes):
        raise ValueError("fewer bytes than pixels")
    array = page.asarray(maxworkers=1)
    if page.axes[0] == "S":  # one plane for each channel
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] > 4:
        raise DataError(f"{path} has the shape {array.shape}; store a single grey image of height x width")
    return grey_of_channels(array, path) if array.ndim == 3 else array
