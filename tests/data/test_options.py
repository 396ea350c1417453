"""One thing has one name on every command line, and its help is written once."""

from typing import get_type_hints

import pytest

from data.base.commandline import tyro_parse
from data.check.__main__ import CheckConfig
from data.config import DataConfig, EmbeddedConfig, ScenarioOptions
from data.draw.options import DrawConfig
from data.index.options import IndexConfig
from data.prepare.__main__ import PrepareConfig
from data.synthesize.options import SynthesizeConfig

COMMANDS = (CheckConfig, DataConfig, DrawConfig, IndexConfig, PrepareConfig, SynthesizeConfig)


@pytest.mark.parametrize("config", [DrawConfig, PrepareConfig])
def test_the_size_of_images_has_one_name_and_its_old_one(config):
    for flag in ("--image-size", "--size"):
        parsed = tyro_parse(config, ["in", "out", flag, "96"], prog="test")
        assert parsed.image_size == 96
        assert tyro_parse(config, ["in", "out", flag, "native"], prog="test").image_size == "native"


@pytest.mark.parametrize("name", ["change", "intensity", "framing"])
def test_an_option_of_several_commands_is_described_once(name):
    hints = [get_type_hints(config, include_extras=True) for config in COMMANDS]
    assert len({hint[name] for hint in hints if name in hint}) == 1


@pytest.mark.parametrize("name", ["unchanged", "second", "stable", "nuisance"])
def test_drawing_and_synthesis_share_what_a_scenario_is_drawn_by(name):
    assert issubclass(DrawConfig, ScenarioOptions) and issubclass(SynthesizeConfig, ScenarioOptions)
    with pytest.raises(ValueError, match=f"{name} is -0.1; it must be between 0 and 1"):
        ScenarioOptions(**{name: -0.1})


@pytest.mark.parametrize("config", [DrawConfig, EmbeddedConfig])
def test_nuisances_leave_a_finding_that_can_change(config, tmp_path):
    places = {"images": tmp_path, "out": tmp_path / "out"} if config is DrawConfig else {}
    with pytest.raises(ValueError, match=r"nuisances is nodule.*leave at least one of the findings"):
        config(findings=("nodule",), nuisances=("nodule",), **places)
    with pytest.raises(ValueError, match="nuisances"):
        config(nuisances=("nothing",), **places)
