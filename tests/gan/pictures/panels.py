"""Where the panels of a grid are, to look at their colours."""

import numpy as np

from gan.pictures.grid import DPI, GAP_INCHES, LABEL_INCHES, PANEL_INCHES, TITLE_INCHES


def panel_is_there(picture, column, row, rows, colour):
    """Whether the middle of a panel has a colour; the raster is that of the module."""
    pitch = PANEL_INCHES + GAP_INCHES
    x = int((LABEL_INCHES + pitch * column + PANEL_INCHES / 2) * DPI)
    y = int((TITLE_INCHES + pitch * row + PANEL_INCHES / 2) * DPI)
    assert rows > row
    return np.abs(picture[y, x, :3] / 255 - np.array(colour)).max() < 0.02
