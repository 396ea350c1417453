"""Whatever tone curve a film has been through, `equalised` gives nearly the same."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.special import expit, logit
from skimage.io import imsave

from data import read_image
from data.files.intensity import as_read, equalise

TONES = {
    "bright": lambda x: x**0.5,
    "dark": lambda x: x**2,
    "steep": lambda x: expit(2 * logit(x) + 0.5),
    "flat": lambda x: 0.3 + 0.2 * x,
}


@pytest.fixture(scope="module")
def film():
    rng = np.random.default_rng(0)
    noise = sum(gaussian_filter(rng.normal(size=(96, 128)), s) * s for s in (1, 4, 16))
    return (0.05 + 0.9 * (noise - noise.min()) / np.ptp(noise)).astype(np.float32)


@pytest.mark.parametrize("tone", TONES)
def test_a_rising_tone_curve_is_undone(tmp_path, film, tone):
    for name, grey in (("film", film), ("toned", TONES[tone](film))):
        imsave(tmp_path / f"{name}.png", np.round(65535 * grey).astype(np.uint16), check_contrast=False)
    images = {
        policy: [read_image(tmp_path / f"{name}.png", policy) for name in ("film", "toned")]
        for policy in ("dicom", "equalised")
    }
    differences = {policy: np.abs(one - other).mean() for policy, (one, other) in images.items()}
    assert differences["equalised"] < 0.015 < 0.05 < differences["dicom"]
    assert images["equalised"][0].dtype == np.float32
    assert 0 <= images["equalised"][0].min() < 0.05 < 0.95 < images["equalised"][0].max() <= 1


def test_dense_tissue_stays_bright_where_white_is_zero(tmp_path, film):
    import tifffile

    stored = np.round(65535 * film).astype(np.uint16)
    tifffile.imwrite(tmp_path / "black.tif", stored, photometric="minisblack")
    tifffile.imwrite(tmp_path / "white.tif", 65535 - stored, photometric="miniswhite")
    one, other = (read_image(tmp_path / f"{name}.tif", "equalised") for name in ("black", "white"))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_black_border_changes_little_of_the_rest(film):
    bordered = film.copy()
    bordered[:, :24] = 0
    assert np.abs(equalise(film) - equalise(bordered))[:, 48:].mean() < 0.05


def test_an_image_in_memory_is_treated_like_its_file(tmp_path, film):
    np.save(tmp_path / "film.npy", film)
    for policy in ("dicom", "range", "percentile", "equalised"):
        expected = read_image(tmp_path / "film.npy", policy)
        np.testing.assert_array_equal(as_read(film, policy, tmp_path), expected)
