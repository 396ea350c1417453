import gc
import json
import weakref

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from skimage.io import imread

from data import PairBatch
from gan.pictures.change import SHOWN_MAX, draw_change_grid, overlay, save_overlay
from gan.pictures.curves import draw_curves
from gan.pictures.grid import Column, draw_grid, save_figure
from tests.gan.pictures.panels import panel_is_there


@pytest.mark.parametrize("signed", [False, True])
def test_an_overlay_shows_the_radiograph_where_nothing_changed_and_the_colour_where_much_did(signed):
    radiograph = np.full((2, 2), 0.4)
    change = np.array([[0.0, 1.0], [0.1, -1.0 if signed else 1.0]])
    mixed = overlay(radiograph, change, signed=signed)
    np.testing.assert_allclose(mixed[0, 0], 0.4)
    strongest = np.array(colormaps["coolwarm" if signed else "inferno"](1.0)[:3])
    np.testing.assert_allclose(mixed[0, 1], 0.15 * 0.4 + 0.85 * strongest)
    assert 0 <= mixed.min() <= mixed.max() <= 1
    if signed:
        assert mixed[0, 1, 0] > mixed[0, 1, 2], "more attenuation is red"
        assert mixed[1, 1, 2] > mixed[1, 1, 0], "less attenuation is blue"


def test_the_change_grid_shows_every_image_in_its_place(tmp_path):
    values = {"baseline": 0.2, "followup": 0.6, "target": 1.0}
    maps = {name: torch.full((2, 1, 16, 16), value) for name, value in values.items()}
    batch = PairBatch(id=["case one", "case two"], findings=[(), ()], **maps)
    path = tmp_path / "grid.png"
    prediction = torch.full((2, 1, 16, 16), 0.3)
    draw_change_grid(path, batch, prediction, logits=torch.zeros(2, 1, 3, 3), signed=False)
    picture = imread(path)
    assert picture.shape[0] > 500
    assert picture.shape[1] > 1500
    inferno = colormaps["inferno"]
    for row in range(2):
        assert panel_is_there(picture, 0, row, 2, [0.2] * 3)
        assert panel_is_there(picture, 1, row, 2, [0.6] * 3)
        assert panel_is_there(picture, 2, row, 2, inferno(1.0)[:3])
        half = np.array(inferno(0.3 / SHOWN_MAX)[:3])
        assert panel_is_there(picture, 3, row, 2, half)
        assert panel_is_there(picture, 4, row, 2, 0.15 * 0.6 + 0.85 * half)
    label = picture[:, : int(1.4 * 110), :3]
    assert (label < 128).any(), "the cases are named on the left"


def test_an_overlay_file_is_large_enough_to_read(tmp_path):
    save_overlay(tmp_path / "o.png", np.zeros((20, 30)), np.zeros((20, 30)), signed=False)
    height, width = imread(tmp_path / "o.png").shape[:2]
    assert height >= 400
    assert width > height


def test_curves_are_drawn_from_the_log_even_if_its_last_line_was_cut(tmp_path):
    log = tmp_path / "metrics.jsonl"
    lines = [{"split": "train", "step": step, "epoch": 1, "l1": 1 / step} for step in (1, 2, 3)]
    lines.append({"split": "val", "step": 3, "epoch": 1, "auroc": 0.9, "average_precision": None})
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"split": "tr')
    draw_curves(tmp_path / "curves.png", log)
    assert imread(tmp_path / "curves.png").std() > 10


@pytest.mark.parametrize("name", ["$1", "a_$^{$", "\\frac", "n" * 300])
def test_any_name_of_a_patient_can_stand_beside_its_row(tmp_path, name):
    draw_grid(tmp_path / "grid.png", [name], [Column("image", np.zeros((1, 8, 8)))])
    assert (tmp_path / "grid.png").stat().st_size > 1000


def test_a_figure_that_is_written_keeps_no_pixels(tmp_path, monkeypatch):
    """Whatever the collector of rings does, which comes too rarely in long runs."""
    figure, seen = Figure(layout="constrained"), []
    seen.append(weakref.ref(figure.subplots().imshow(np.zeros((64, 64)))))
    renderer = FigureCanvasAgg.get_renderer
    monkeypatch.setattr(FigureCanvasAgg, "get_renderer", lambda canvas: note(renderer(canvas)))

    def note(found):
        seen.append(weakref.ref(found))
        return found

    gc.disable()
    try:
        save_figure(figure, tmp_path / "figure.png")
        assert len(seen) > 1
        assert not [one for one in seen if one() is not None]
    finally:
        gc.enable()
