from types import SimpleNamespace

import pytest

from gan.run.directory import RunDir
from gan.run.handover import seen_by


def splits(**patients):
    return {name: SimpleNamespace(patients=names) for name, names in patients.items()}


@pytest.fixture
def pretrained(tmp_path):
    run = RunDir(tmp_path)
    run.split.write_text("patient_id,split\na,train\nb,train\nc,val\nd,test\n")
    return run


def test_patients_that_pretraining_saw_are_said(pretrained):
    said = seen_by(pretrained, splits(train=["c", "d"], val=["a"], test=["b", "e"]))
    assert "2 of the 3 patients held out here (such as a) were trained on by the pretraining" in said
    assert "--data.split-seed" in said


def test_the_same_split_says_nothing(pretrained):
    assert not seen_by(pretrained, splits(train=["a", "b"], val=["c"], test=["d"]))


def test_where_nobody_knows_nothing_is_said(pretrained, tmp_path):
    assert not seen_by(pretrained, splits(train=None, val=["c"], test=None))
    assert not seen_by(RunDir(tmp_path / "elsewhere"), splits(train=["a"], val=["b"], test=["c"]))
