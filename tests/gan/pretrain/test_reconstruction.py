import torch
from matplotlib import colormaps
from skimage.io import imread

from data import ImageBatch
from gan.pretrain.reconstruction import (
    ReconstructionErrors,
    draw_reconstruction_grid,
    fill_by_interpolation,
    fill_with_visible_mean,
)
from tests.gan.pictures.panels import panel_is_there


def test_visible_mean_fills_hidden_pixels_only():
    image = torch.arange(16.0).view(1, 1, 4, 4) / 16
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[..., :2] = True
    filled = fill_with_visible_mean(image, mask)
    assert torch.equal(filled[~mask], image[~mask])
    assert torch.allclose(filled[mask], image[~mask].mean())


def test_interpolation_is_exact_on_a_plane_and_nearest_outside():
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    image = ((2 * rows + 3 * columns) / 60)[None, None]
    mask = torch.zeros_like(image, dtype=torch.bool)
    mask[..., 4:8, 4:8] = True
    assert torch.allclose(fill_by_interpolation(image, mask), image, atol=1e-6)
    corner = torch.zeros_like(mask)
    corner[..., :2, :2] = True
    filled = fill_by_interpolation(image, corner)
    assert filled[0, 0, 0, 0] in (image[0, 0, 0, 2], image[0, 0, 2, 0])


def test_padding_is_no_visible_pixel_to_fill_from():
    image = torch.full((1, 1, 6, 6), 0.8)
    image[..., 4:, :] = 0
    valid = torch.ones_like(image)
    valid[..., 4:, :] = 0
    mask = torch.zeros_like(image, dtype=torch.bool)
    mask[..., 1:4, 1:4] = True
    for fill in (fill_with_visible_mean, fill_by_interpolation):
        torch.testing.assert_close(fill(image, mask, valid)[mask], image[mask])
        assert (fill(image, mask)[mask] < 0.8).any()


def test_reconstruction_errors_count_hidden_and_valid_pixels_only():
    image = torch.zeros(1, 1, 4, 4)
    reconstruction = torch.full_like(image, 0.5)
    mask = torch.zeros_like(image, dtype=torch.bool)
    mask[..., :2, :] = True
    reconstruction[~mask] = 100
    valid = torch.ones_like(image)
    valid[..., 0, :] = 0
    reconstruction[..., 0, :] = 100
    errors = ReconstructionErrors()
    errors.add(image=image, reconstruction=reconstruction, mask=mask, valid=valid, baselines=True)
    assert errors.pixels == 4
    assert errors.report() == {"mae": 0.5, "visible_mean": 0, "interpolation": 0}


def test_the_reconstruction_grid_keeps_visible_pixels_and_marks_hidden_ones(tmp_path):
    image = torch.full((1, 1, 16, 16), 0.5)
    mask = torch.ones_like(image, dtype=torch.bool)
    path = tmp_path / "grid.png"
    reconstruction = torch.full_like(image, 0.75)
    draw_reconstruction_grid(path, ImageBatch(id=["case"], image=image), mask, reconstruction)
    picture = imread(path)
    assert panel_is_there(picture, 0, 0, 1, [0.5] * 3)
    assert panel_is_there(picture, 1, 0, 1, (0.16, 0.24, 0.36))
    assert panel_is_there(picture, 2, 0, 1, [0.75] * 3)
    assert panel_is_there(picture, 3, 0, 1, colormaps["inferno"](1.0)[:3])
