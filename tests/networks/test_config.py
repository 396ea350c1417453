"""Network sizes: presets, validation, and no torch."""

import inspect
import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest

from networks.config import PRESETS, DiscriminatorConfig, NetworkConfig


@pytest.mark.parametrize("module", ["networks", "networks.config", "networks.constants"])
def test_importing_sizes_does_not_import_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_listed_name_can_be_imported() -> None:
    import networks

    assert all(getattr(networks, name) is not None for name in networks.__all__)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())
def test_presets_survive_json(preset: NetworkConfig) -> None:
    assert NetworkConfig(**json.loads(json.dumps(asdict(preset)))) == preset


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("attention_heads", 5, "attention_heads=5 does not divide hidden_channels=768"),
        ("patches_num", 200, "patches_num=200 is not a square number"),
        ("token_stride", 3, "token_stride=3 is not one of 1, 2"),
        ("norm", "layer", "norm='layer' is not one of 'group', 'batch'"),
        ("drop_rate", 1.0, r"drop_rate=1.0 is outside \[0, 1\)"),
        ("stage_channels", (8, 8), r"stage_channels=\(8, 8\) is not 7 positive numbers"),
        ("decoder_channels", (8, 8, 8, 0), r"decoder_channels=\(8, 8, 8, 0\) is not 4 positive numbers"),
        ("hidden_channels", -12, "hidden_channels=-12 is not a positive number"),
        ("residual_blocks", -1, "residual_blocks=-1 is negative"),
        ("exp", 0.0, "exp=0.0 is not a positive number"),
        ("block_idxs", (0, 4, 11, 18, 28, 38), r"lacks the first block of a stage: \[51\]"),
        ("block_idxs", (0, 4, 11, 18, 28, 38, 51, 55), "is not an increasing selection from 0..54"),
        ("block_idxs", (4, 0, 11, 18, 28, 38, 51), "is not an increasing selection from 0..54"),
    ],
)
def test_impossible_sizes_are_named(option: str, value: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as error:
        NetworkConfig(**{option: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("option", ["base_channels", "num_layers", "num_scales"])
def test_a_discriminator_needs_positive_counts(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}=0 is not a positive number"):
        DiscriminatorConfig(**{option: 0})


def test_the_discriminators_options_are_its_arguments_with_their_defaults() -> None:
    from networks import Discriminator, PixelDiscriminator, ProjectedDiscriminator

    known = asdict(DiscriminatorConfig())
    taken = {}
    for kind in (Discriminator, PixelDiscriminator, ProjectedDiscriminator):
        parameters = inspect.signature(kind).parameters
        options = {name: parameter.default for name, parameter in parameters.items() if name in known}
        taken |= options
        assert options == {
            name: known[name] if name != "features" else inspect.Parameter.empty for name in options
        }
        assert set(parameters) - set(options) <= {"in_channels"}
    assert set(taken) == set(known)
