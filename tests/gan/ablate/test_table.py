"""A table is checked before anything runs; a mistake in it is one line that names it."""

import pytest

from data.base.errors import UserError
from gan.ablate.table import OWN, read_table
from tests.micro import ROOT

TABLE = """
seeds: [0, 1]
base:
  gan.pretrain: --preset tiny
  gan.adversarial: [--preset, tiny, --epochs, 2]
  gan.evaluate: --critic
sources:
  own:
  other films: --data.path other.csv
rows:
  masked: {command: gan.pretrain}
  L1: --weights.perceptual 0
  L1, pretrained: {pretrained: masked, options: [--weights.perceptual, 0]}
"""


def written(tmp_path, text):
    path = tmp_path / "table.yaml"
    path.write_text(text)
    return path


def test_rows_take_the_base_of_their_command(tmp_path):
    table = read_table(written(tmp_path, TABLE))
    assert [(row.name, row.command, row.pretrained) for row in table.rows] == [
        ("masked", "gan.pretrain", None),
        ("L1", "gan.adversarial", None),
        ("L1, pretrained", "gan.adversarial", "masked"),
    ]
    assert table.rows[1].options == ("--preset", "tiny", "--epochs", "2", "--weights.perceptual", "0")
    assert table.rows[2].options == table.rows[1].options
    assert table.seeds == (0, 1)
    assert table.sources == {"own": ("--critic",), "other films": ("--critic", "--data.path", "other.csv")}
    alone = read_table(written(tmp_path, "seeds: [0]\nrows: {A: --preset tiny}"))
    assert alone.sources == {OWN: ()}


_L1, _MASKED = "L1: --weights.perceptual 0", "command: gan.pretrain"
MISTAKES = {
    "an unknown option": (_L1, "L1: --weight.l1 0", "row L1: gan.adversarial: .*--weight.l1"),
    "a bad value": ("[--preset, tiny, --epochs, 2]", "--preset tiny --epochs 0", "row L1: .*epochs"),
    "an unknown option of the evaluation": ("films: --data.path", "films: --path", "source other films"),
    "a name twice": ("  L1, pretrained:", "  L1:", "line 13: L1 is there twice"),
    "no seeds": ("seeds: [0, 1]", "seeds: []", "no seeds; give a list"),
    "a seed twice": ("seeds: [0, 1]", "seeds: [1, 1]", "names one twice"),
    "a seed that is none": ("seeds: [0, 1]", "seeds: [0, one]", "no seeds; give a list"),
    "an unknown command": (_MASKED, "command: gan.predict", "row masked: command is 'gan.predict'"),
    "an unknown key": ("sources:", "source:", "the table: unknown key source"),
    "an encoder of no row": ("pretrained: masked", "pretrained: L1", "L1 is no row of gan.pretrain"),
    "a seed among the options": (_L1, "L1: --seed 3", "--seed is what gan.ablate itself"),
    "a name of no folder": ("  L1: ", "  L/1: ", "cannot be the name of a folder"),
    "no YAML": ("rows:", "rows: [", "is not YAML"),
    "no rows": (TABLE.split("rows:")[1], " {}\n", "no rows"),
}


@pytest.mark.parametrize(("old", "new", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named(tmp_path, old, new, words):
    assert old in TABLE
    with pytest.raises(UserError, match=rf"table\.yaml:? .*{words}") as caught:
        read_table(written(tmp_path, TABLE.replace(old, new)))
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent.yaml: No such file"):
        read_table(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "ablations").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_tables_of_the_docs_are_legal(path, monkeypatch):
    monkeypatch.setattr("gan.run.commandline.preset_for_hardware", lambda **_: "tiny")
    assert len(read_table(path).seeds) >= 3
