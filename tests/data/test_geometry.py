import pytest
import torch
from torch.nn.functional import interpolate

from data import Geometry, fit_to_square, restore_from_square
from data.geometry import boxes_in_square, content_of, mask_in_square

SHAPES = [(64, 64), (48, 64), (64, 48), (200, 100), (37, 91), (20, 30), (1, 300)]


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_valid_marks_the_image_and_nothing_else(height, width):
    square, valid = fit_to_square(torch.ones(2, height, width), 64)
    assert square.shape == (2, 64, 64)
    assert valid.shape == (1, 64, 64)
    torch.testing.assert_close(square, valid.expand(2, -1, -1))
    rows, columns = valid[0].any(1).sum().item(), valid[0].any(0).sum().item()
    assert max(rows, columns) == 64
    assert rows / columns == pytest.approx(height / width, abs=1 / min(rows, columns))
    # Centred, up to the odd pixel.
    assert abs(valid[0].any(1).nonzero().double().mean().item() - 31.5) <= 0.5
    assert abs(valid[0].any(0).nonzero().double().mean().item() - 31.5) <= 0.5


def test_an_image_of_the_right_size_is_untouched():
    image = torch.rand(1, 64, 64)
    square, valid = fit_to_square(image, 64)
    assert torch.equal(square, image)
    assert valid.all()


def test_shrinking_is_antialiased():
    # Every fourth column is bright, and no sample of plain bilinear interpolation touches it.
    stripes = (torch.arange(256) % 4 == 0).float().expand(1, 256, 256)
    inner = fit_to_square(stripes, 64)[0][:, 1:-1, 1:-1]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.25))


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_range_is_kept(height, width):
    image = 2 * torch.rand(1, height, width) - 1
    square, _ = fit_to_square(image, 64)
    assert square.min() >= -1
    assert square.max() <= 1


@pytest.mark.parametrize(("height", "width"), [shape for shape in SHAPES if shape != (1, 300)])
def test_restoring_undoes_fitting(height, width):
    smooth = interpolate(torch.rand(1, 1, 4, 4), size=(height, width), mode="bicubic", align_corners=False)[0]
    restored = restore_from_square(fit_to_square(smooth, 128)[0], Geometry(height=height, width=width))
    assert restored.shape == smooth.shape
    torch.testing.assert_close(restored, smooth, atol=0.08, rtol=0)
    assert (restored - smooth).abs().mean() < 0.01


def test_channels_share_one_geometry():
    image = torch.rand(1, 50, 80)
    square, _ = fit_to_square(torch.cat([image, image]), 64)
    assert torch.equal(square[0], square[1])


def test_cropping_keeps_the_centre_and_the_scale():
    columns = torch.arange(96.0).expand(1, 64, 96)
    geometry = Geometry(height=64, width=96, framing="crop")
    square, valid = fit_to_square(columns, 64, geometry)
    assert torch.equal(square, columns[:, :, 16:80])
    assert valid.all()
    restored = restore_from_square(square, geometry)
    expected = columns.clone()
    expected[:, :, :16] = expected[:, :, 80:] = 0  # nothing is known of what was cut away
    assert torch.equal(restored, expected)


def test_stretching_fills_the_square_and_is_undone():
    columns = torch.linspace(0, 1, 128).expand(1, 32, 128)
    geometry = Geometry(height=32, width=128, framing="stretch")
    square, valid = fit_to_square(columns, 64, geometry)
    assert valid.all()
    assert square[:, :, -1].min() > 0.98
    restored = restore_from_square(square, geometry)
    assert restored.shape == (1, 32, 128)
    torch.testing.assert_close(restored, columns, atol=0.01, rtol=0)


@pytest.mark.parametrize("framing", ["pad", "crop", "stretch"])
@pytest.mark.parametrize(("height", "width"), [(200, 150), (150, 200), (333, 190)])
def test_a_smaller_copy_lands_where_its_file_does(framing, height, width):
    smooth = interpolate(torch.rand(1, 1, 4, 4), size=(height, width), mode="bicubic", align_corners=False)[0]
    geometry = Geometry(height=height, width=width, framing=framing)
    copy = interpolate(smooth[None], scale_factor=0.5, mode="area")[0]
    square, valid = fit_to_square(copy, 64, geometry)
    direct, direct_valid = fit_to_square(smooth, 64, geometry)
    assert torch.equal(valid, direct_valid)
    torch.testing.assert_close(square, direct, atol=0.06, rtol=0)


@pytest.mark.parametrize("framing", ["pad", "crop", "stretch"])
@pytest.mark.parametrize(("height", "width", "aspect"), [(100, 200, 2.0), (200, 100, 0.5), (90, 150, 1.25)])
def test_pixels_that_are_not_square_become_so_and_are_led_back(framing, height, width, aspect):
    smooth = interpolate(torch.rand(1, 1, 4, 4), size=(height, width), mode="bicubic", align_corners=False)[0]
    geometry = Geometry(height=height, width=width, framing=framing, pixel_aspect=aspect)
    lengths = (height * aspect, width) if framing != "stretch" else (1, 1)
    scale = 128 / (max(lengths) if framing == "pad" else min(lengths))
    assert geometry.box(128)[2:] == tuple(round(length * scale) for length in lengths)
    restored = restore_from_square(fit_to_square(smooth, 128, geometry)[0], geometry)
    assert restored.shape == smooth.shape
    known = restore_from_square(torch.ones(1, 128, 128), geometry) > 0.999
    assert known.float().mean() > 0.6
    assert (restored - smooth)[known].abs().mean() < 0.01


def test_a_smaller_copy_of_pixels_that_are_not_square_lands_where_its_file_does():
    smooth = interpolate(torch.rand(1, 1, 4, 4), size=(100, 150), mode="bicubic", align_corners=False)[0]
    geometry = Geometry(height=100, width=150, pixel_aspect=2.0)
    copy = content_of(smooth, 96, geometry)
    assert copy.shape == (1, 96, 72)
    square, valid = fit_to_square(copy, 64, geometry)
    direct, direct_valid = fit_to_square(smooth, 64, geometry)
    assert torch.equal(valid, direct_valid)
    torch.testing.assert_close(square, direct, atol=0.06, rtol=0)


@pytest.mark.parametrize("framing", ["pad", "crop", "stretch"])
@pytest.mark.parametrize(("height", "width", "aspect"), [(96, 160, 1.0), (160, 96, 1.0), (96, 96, 1.5)])
def test_a_box_and_a_mask_land_where_the_pixels_land(framing, height, width, aspect):
    image = torch.zeros(1, height, width)
    image[0, height // 4 : height // 2, width // 2 : 3 * width // 4] = 1
    geometry = Geometry(height=height, width=width, framing=framing, pixel_aspect=aspect)
    seen = fit_to_square(image, 64, geometry)[0]
    inside = boxes_in_square([(0.5, 0.25, 0.75, 0.5)], 64, geometry)
    mask = mask_in_square(image[0] > 0, 64, geometry)
    coarse = mask_in_square(image[0, ::4, ::4] > 0, 64, geometry)  # a smaller copy says the same
    for found in (inside, mask, coarse):
        assert found[seen > 0.99].all()
        assert not found[seen < 0.01].any()
        # Border pixels, which are bright in part, are inside where their centre is.
        assert abs(found.sum() / seen.sum() - 1) < 0.15


def test_boxes_are_united_cropped_away_and_never_lost_between_pixels():
    geometry = Geometry(height=100, width=200, framing="crop")
    assert not boxes_in_square([(0.0, 0.0, 0.2, 1.0)], 10, geometry).any()
    both = boxes_in_square([(0.25, 0.0, 0.5, 1.0), (0.5, 0.0, 0.75, 1.0)], 10, geometry)
    assert both.all()
    assert boxes_in_square([(0.5, 0.5, 0.5001, 0.5001)], 10, geometry).sum() == 1
    assert not boxes_in_square([], 10, geometry).any()
