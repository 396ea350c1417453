import subprocess
import sys
from pathlib import Path

import pytest

from losses.config import LossConfig, LossWeights


@pytest.mark.parametrize("name", ["l1", "perceptual", "adversarial"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_bad_weights_are_named(name, value):
    with pytest.raises(ValueError, match=rf"^weights\.{name} is .*not negative$"):
        LossWeights(**{name: value})


def test_zero_weights_are_legal():
    assert LossWeights(l1=0, perceptual=0, adversarial=0).l1 == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"adversarial": "logistic"},
            "'logistic'; it must be one of hinge, least_squares, non_saturating, relativistic, wasserstein",
        ),
        ({"perceptual": "resnet"}, "'resnet'; it must be one of encoder, vgg16, vgg19, vit"),
        ({"foreground_weight": -1}, "foreground_weight is -1"),
        ({"foreground_threshold": -0.1}, "foreground_threshold is -0.1"),
        ({"adversarial": "relativistic", "r1": 1.0}, "without r2, which diverges; set both"),
        ({"r2": -1}, "r2 is -1"),
        ({"penalty_every": 0}, "penalty_every is 0; it must be at least 1"),
        ({"perceptual": "vgg16"}, "perceptual_weights is not set"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LossConfig(**options)


def test_vgg_with_weights_is_legal():
    assert LossConfig(perceptual="vgg16", perceptual_weights=Path("torchvision")).perceptual == "vgg16"


def test_options_do_not_import_torch():
    program = "import sys, losses.config; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
