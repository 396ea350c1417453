"""Trachea, lungs and lobes of a CT without a label map, from their air and their place."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from data.base.errors import DataError
from data.findings import LOBES
from data.simulation.volumes.anatomy import LUNG_HU, Lungs, Mask, Volume, bounding_box

_AIR_HU = -700.0
_LUMEN_HU = -880.0
_TRACHEA_MM2 = (40.0, 700.0)
_TRACHEA_WIDTH_MM = (7.0, 34.0)
_TRACHEA_LENGTH_MM = 30.0
_AROUND_MM = 24.0
_DIVIDING = 1.6
"""How much wider than usual the trachea is where it divides."""
_OFF_MIDLINE_MM = 40.0
_BRONCHUS_MM = (35.0, 35.0)
_CLOSING_MM = 9.0
_LUNG_LITRES = (0.5, 6.0)
_LARGEST_RATIO = 4.0
_CARINA_HEIGHT = (0.4, 0.9)
"""Where the carina lies, as a share of the lungs' height."""


@dataclass(frozen=True, kw_only=True)
class Airway:
    """Trachea and main bronchi."""

    mask: Mask
    """Trachea and main bronchi `[X, Y, Z]`."""
    carina: NDArray[np.float32]
    """Where the trachea divides, in mm."""


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """A piece of air in an axial slice."""

    level: int
    columns: slice
    rows: slice
    mask: NDArray[np.bool_]
    centre: tuple[float, float]


def find_airway(hu: Volume, body: Mask, spacing: float) -> Airway:
    """Follow the trachea through the axial slices as the longest chain of round air near the midline.

    Args:
        hu: HU `[X, Y, Z]`, axes to the patient's left, front and head.
        body: the patient's voxels.
        spacing: side of a voxel in mm.

    Raises:
        DataError: if there is no trachea.
    """
    chain = _longest_chain(hu, body, spacing)
    if len(chain) * spacing < _TRACHEA_LENGTH_MM:
        raise DataError("no trachea was found")
    mask = np.zeros(hu.shape, dtype=bool)
    for piece in chain:
        mask[piece.columns, piece.rows, piece.level] |= piece.mask
    carina = _follow_down(hu, chain, mask, spacing)
    mask |= _main_bronchi(hu, mask, carina, spacing)
    return Airway(mask=ndimage.binary_dilation(mask) & (hu < LUNG_HU), carina=carina)


def _follow_down(hu: Volume, chain: list[_Piece], mask: Mask, spacing: float) -> NDArray[np.float32]:
    """Walk from the middle of the trachea to where it is about to divide, which is where it is widest.

    What lies on the way is added to the mask, what the chain holds below it is removed.
    """
    middle = chain[len(chain) // 2]
    usual = float(np.median([piece.mask.shape[0] for piece in chain[len(chain) // 2 :]]))
    reach, level = round(_AROUND_MM / spacing), middle.level
    current = mask[..., level].copy()
    while level > 0:
        x, y = np.round(np.argwhere(current).mean(axis=0)).astype(int)
        window = (slice(max(0, x - reach), x + reach + 1), slice(max(0, y - reach), y + reach + 1))
        air = hu[(*window, level - 1)] < _AIR_HU
        below = _pieces_at(air, ndimage.binary_dilation(current[window]))
        columns = np.flatnonzero(below.any(axis=1))
        if columns.size == 0 or np.ptp(columns) + 1 > _DIVIDING * usual:
            break
        level -= 1
        current = np.zeros_like(current)
        current[window] = below
        mask[..., level] = current
    mask[..., :level] = False
    return np.array([*np.argwhere(current).mean(axis=0) * spacing, level * spacing], dtype=np.float32)


def _longest_chain(hu: Volume, body: Mask, spacing: float) -> list[_Piece]:
    """Pieces of the trachea from the carina upwards."""
    best: list[_Piece] = []
    open_chains: list[list[_Piece]] = []
    for level in range(hu.shape[2]):
        grown: list[list[_Piece]] = []
        for piece in _round_air(hu[..., level], body[..., level], level, spacing):
            before = [chain for chain in open_chains if math.dist(chain[-1].centre, piece.centre) < 8.0]
            grown.append([*max(before, key=len, default=[]), piece])
        open_chains = grown  # a gap ends a chain: below the carina one bronchus would carry it on
        best = max([best, *grown], key=len)
    return best


def _round_air(hu: Volume, body: Mask, level: int, spacing: float) -> list[_Piece]:
    columns = np.flatnonzero(body.any(axis=1))
    if columns.size == 0:
        return []
    midline = (columns[0] + columns[-1]) / 2 * spacing
    pieces, _ = ndimage.label((hu < _AIR_HU) & body)
    found = []
    for number, (xs, ys) in enumerate(ndimage.find_objects(pieces), start=1):
        mask = pieces[xs, ys] == number
        area = mask.sum() * spacing**2
        width, depth = (size * spacing for size in mask.shape)
        fits = _TRACHEA_MM2[0] <= area <= _TRACHEA_MM2[1] and area > 0.5 * width * depth
        fits &= all(_TRACHEA_WIDTH_MM[0] <= size <= _TRACHEA_WIDTH_MM[1] for size in (width, depth))
        index = np.add(np.argwhere(mask).mean(axis=0), (xs.start, ys.start))
        if fits and abs(index[0] * spacing - midline) < _OFF_MIDLINE_MM:
            centre = (float(index[0] * spacing), float(index[1] * spacing))
            found.append(_Piece(level=level, columns=xs, rows=ys, mask=mask, centre=centre))
    return found


def _main_bronchi(hu: Volume, trachea: Mask, carina: NDArray[np.float32], spacing: float) -> Mask:
    """Air that goes on from the carina, a little down and to both sides; lung is never as dark."""
    across, down = (round(reach / spacing) for reach in _BRONCHUS_MM)
    x, y, z = np.round(carina / spacing).astype(int)
    box = tuple(
        slice(max(0, low), high)
        for low, high in ((x - across, x + across), (y - across, y + across), (z - down, z + 3))
    )
    bronchi = np.zeros_like(trachea)
    bronchi[box] = _pieces_at((hu[box] < _LUMEN_HU) | trachea[box], trachea[box])
    return bronchi


def _pieces_at(air: Mask, seed: Mask) -> Mask:
    """The connected pieces of air that have a part of the seed in them."""
    pieces, _ = ndimage.label(air)
    joined = np.unique(pieces[seed])
    return np.isin(pieces, joined[joined > 0])


def find_lungs(hu: Volume, body: Mask, airway: Airway, spacing: float) -> Lungs:
    """The two large pieces of air beside the trachea that reach above the carina.

    What they enclose belongs to them, vessels too; the main bronchi do not.

    Raises:
        DataError: if there are not two of a plausible size, one on each side.
    """
    air = body & (hu < LUNG_HU) & ~ndimage.binary_dilation(airway.mask)
    right, left = _two_sides(air, airway, spacing)
    closed = {}
    for name, lung in (("right", right), ("left", left)):
        box = bounding_box(lung, margin=round(_CLOSING_MM / spacing) + 2)
        closed[name] = np.zeros_like(lung)
        closed[name][box] = _close(lung[box], _CLOSING_MM / spacing) & body[box] & ~airway.mask[box]
    lungs = Lungs(right=closed["right"] & ~left, left=closed["left"] & ~closed["right"] | left)
    require_plausible(lungs, spacing)
    height = bounding_box(lungs.both)[2]
    share = (airway.carina[2] / spacing - height.start) / (height.stop - height.start)
    if not _CARINA_HEIGHT[0] < share < _CARINA_HEIGHT[1]:
        raise DataError("the trachea does not end between the lungs; it was not found")
    return lungs


def _two_sides(air: Mask, airway: Airway, spacing: float) -> tuple[Mask, Mask]:
    """Air of the right and of the left lung; where the two touch, the border lies at their narrowest."""
    litre = 1e6 / spacing**3
    for margin in np.arange(0.0, 20.0, 2.0):
        core = air if margin == 0 else _depth(air) * spacing > margin
        markers = _lung_pieces(core, airway, 0.25 * litre * (1 - margin / 25), spacing)
        if markers is not None:
            break
    else:
        raise DataError("the lungs were not found: no two large pieces of air lie beside the trachea")
    if margin > 0:
        markers = watershed(-_depth(air), markers, mask=air)
    return markers == 1, markers == 2


def _lung_pieces(air: Mask, airway: Airway, least: float, spacing: float) -> NDArray[np.uint8] | None:
    """1 where the right lung is and 2 where the left is; None unless both are there and apart."""
    pieces, count = ndimage.label(air)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    boxes = ndimage.find_objects(pieces)
    markers = np.zeros(air.shape, dtype=np.uint8)
    sides = []
    for number in np.argsort(sizes)[::-1][:6]:
        if sizes[number] < least or boxes[number - 1][2].stop * spacing < airway.carina[2]:
            continue  # a piece that ends below the carina is bowel gas
        piece = pieces[boxes[number - 1]] == number
        columns = (np.arange(piece.shape[0]) + boxes[number - 1][0].start) * spacing
        share = piece[columns > airway.carina[0]].sum() / piece.sum()
        if 0.1 < share < 0.9:
            return None  # one piece on both sides: the lungs touch
        side = 2 if share >= 0.9 else 1
        if side not in sides:
            sides.append(side)
            markers[boxes[number - 1]][piece] = side
    return markers if len(sides) == 2 else None


def require_plausible(lungs: Lungs, spacing: float) -> None:
    """Refuse lungs of a volume no person has.

    Raises:
        DataError: naming the side and the volume.
    """
    litres = {side: float(lungs.of(side).sum()) * spacing**3 / 1e6 for side in ("right", "left")}
    low, high = _LUNG_LITRES
    for side, volume in litres.items():
        if not low <= volume <= high:
            raise DataError(f"the {side} lung measures {volume:.2f} l; {low} to {high} l are expected")
    if max(litres.values()) > _LARGEST_RATIO * min(litres.values()):
        raise DataError(f"the lungs measure {litres['right']:.2f} and {litres['left']:.2f} l, too unequal")


def split_lobes(lungs: Lungs) -> dict[str, Mask]:
    """Lobes by name, cut where fissures usually lie.

    The oblique fissure runs from the back at four fifths of the lung's height to the front of its base, the
    horizontal one of the right lung at half of its height. Proportions, not measurements: the border of
    a consolidation looks right, the lobe of a voxel near a fissure may not be.
    """
    lobes = {}
    for side in LOBES:
        lung = lungs.of(side)
        box = bounding_box(lung)
        inside = lung[box]
        _, y, z = (np.linspace(0, 1, size, dtype=np.float32) for size in inside.shape)
        lower = z[None, None, :] < 0.82 - 0.75 * y[None, :, None]
        middle = ~lower & (z[None, None, :] < 0.5) & (side == "right")
        for name, part in (("lower", lower), ("middle", middle), ("upper", ~lower & ~middle)):
            if name != "middle" or side == "right":
                lobe = np.zeros_like(lung)
                lobe[box] = inside & part
                lobes[f"lung_{name}_lobe_{side}"] = lobe
    return lobes


def _depth(mask: Mask) -> Volume:
    """Distance in voxels to the nearest voxel outside; 0 outside."""
    depth = np.zeros(mask.shape, dtype=np.float32)
    if mask.any():
        box = bounding_box(mask, margin=1)
        depth[box] = ndimage.distance_transform_edt(mask[box])
    return depth


def _close(mask: Mask, radius: float) -> Mask:
    """Morphological closing by a ball, holes filled."""
    margin = int(radius) + 2
    padded = np.pad(mask, margin)
    near = ndimage.distance_transform_edt(~padded) <= radius
    closed = ndimage.distance_transform_edt(near) > radius
    inner = tuple(slice(margin, -margin) for _ in range(3))
    return np.asarray(ndimage.binary_fill_holes(closed[inner] | mask))
