"""How an image lies: from the array that a file stores to the picture that is seen, and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_AXES, _AGAINST = {"L": 0, "R": 0, "P": 1, "A": 1, "F": 2, "H": 2}, ("R", "A", "H")
_LONGEST = 10.0  # times as long as wide are no pixels, but 72:1 and 300:1 some programs write for no density
_ROUNDING = 0.005


@dataclass(frozen=True, slots=True)
class Turn:
    """A stored array is transposed, then its rows, then its columns are reversed, to be seen as it should."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def seen(self, stored: Array) -> Array:
        """`[H, W, ...]` as it is seen, of what is stored; a view."""
        return self._flipped(stored.swapaxes(0, 1) if self.transpose else stored)

    def stored(self, seen: Array) -> Array:
        """Undo `seen`."""
        flipped = self._flipped(seen)
        return flipped.swapaxes(0, 1) if self.transpose else flipped

    def pair(self, first: Any, second: Any) -> tuple[Any, Any]:
        """What belongs to rows and to columns as seen, of what belongs to them as stored, or the reverse."""
        return (second, first) if self.transpose else (first, second)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A place as it is seen, of one in what is stored: fractions of the width and of the height."""
        x, y = self.pair(x, y)
        return 1 - x if self.flip_columns else x, 1 - y if self.flip_rows else y

    def _flipped(self, array: Array) -> Array:
        rows, columns = (slice(None, None, -1 if flip else 1) for flip in (self.flip_rows, self.flip_columns))
        return array[rows, columns]


AS_STORED = Turn()
TURN_OF_EXIF = {
    value: Turn(transpose=value >= 5, flip_rows=value in (3, 4, 7, 8), flip_columns=value in (2, 3, 6, 7))
    for value in range(2, 9)
}
"""By the values of tag 274 (EXIF and TIFF 6.0) that turn anything."""


def upright(down: str | None, across: str | None) -> Turn | None:
    """By the directions, of `LRPAFH`, into which the numbers of rows and of columns grow.

    Upright, the head (where it is not seen, the front) is up and the patient's right (from the side: the
    front) on the viewer's left. None where the two directions do not tell rows from columns.
    """
    axes = [_AXES[letter] for letter in (down, across) if letter in _AXES]
    if len(set(axes)) != 2:
        return None
    transpose = axes[1] == max(axes)
    rows, columns = (across, down) if transpose else (down, across)
    return Turn(transpose, flip_rows=rows in _AGAINST, flip_columns=columns in _AGAINST)


def pixel_aspect(height: Any, width: Any) -> float:
    """How many times as high as wide a pixel is, by a file's numbers; 1 where they are nonsense."""
    try:
        aspect = float(height) / float(width)
    except (TypeError, ValueError, ZeroDivisionError):
        return 1.0
    is_meant = 1 / _LONGEST <= aspect <= _LONGEST and abs(aspect - 1) > _ROUNDING
    return aspect if is_meant else 1.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Grid:
    """Where the pixels of a file lie, by which a change map is known to belong to its radiograph."""

    pixel_aspect: float = 1.0
    """How many times as high as wide a pixel is."""
    turn: Turn = AS_STORED
    """From what viewers of the format show to what is seen here. Those of DICOM show what is stored; so a map
    that says nothing of itself lies on the pixels of the DICOM file, and is turned with them."""
    axes: Turn | None = None
    """From the array of a NIfTI file to what is seen."""
    corners: Array | None = None
    """Where an affine says so: the four outer corners of the image as it is seen, `[2, 2, 3]` in mm."""

    def turn_of(self, other: "Grid") -> Turn:
        """From the pixels of a map of another file to those it lies on."""
        return self.turn if other.corners is None else AS_STORED

    def takes(self, other: "Grid", shape: tuple[int, ...]) -> bool:
        """Whether a map of another file and the same shape lies on these pixels, none of it half a pixel off.

        Only two NIfTI files can contradict each other.
        """
        if self.axes is None or other.axes is None:
            return True
        if self.corners is None or other.corners is None:  # where one names no orientation, the order must do
            return self.axes == other.axes
        pixel = np.linalg.norm(self.corners[1, 1] - self.corners[0, 0]) / np.linalg.norm(shape)
        return bool(np.linalg.norm(self.corners - other.corners, axis=-1).max() < pixel / 2)
