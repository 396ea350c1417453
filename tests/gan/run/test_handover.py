import subprocess
from types import SimpleNamespace

import pytest
from torch import nn

from data.base.errors import UserError
from data.config import DataConfig
from gan.run.directory import RunDir
from gan.run.handover import ANY, Preprocessing, load_encoder, load_network, save_network, seen_by


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


class Network(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)


@pytest.fixture
def saved(tmp_path):
    run = RunDir(tmp_path)
    network = "tests.gan.run.test_handover:Network"
    save_network(Network(), run.encoder, Preprocessing.of(network, DataConfig()))
    return run


def test_any_tool_can_compare_a_saved_network_with_its_checksums(saved):
    load_network(saved.encoder, trusted=ANY)
    done = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=saved.encoder, capture_output=True, check=True
    )
    assert done.stdout == b"model.safetensors: OK\npreprocessing.json: OK\n"


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessing.json", "SHA256SUMS"])
def test_a_flipped_bit_in_a_saved_network_is_named(saved, name):
    content = bytearray((saved.encoder / name).read_bytes())
    content[len(content) // 4] ^= 1
    (saved.encoder / name).write_bytes(content)
    damaged = "model.safetensors" if name == "SHA256SUMS" else name
    with pytest.raises(UserError, match=rf"encoder/{damaged} is damaged .*; run gan.pretrain again$"):
        load_encoder(saved, "tests.gan.run.test_handover:Network")


def test_a_missing_file_of_a_saved_network_is_named(saved):
    (saved.encoder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"encoder/model.safetensors is damaged"):
        load_network(saved.encoder, trusted=ANY)
