"""What a launcher's configuration may be."""

import pytest

from data.base.errors import UserError
from gan.run.processes import require_whole_networks
from tests.calling import call
from tests.micro import PRETRAIN


@pytest.mark.parametrize("name", ["FSDP", "DEEPSPEED", "MEGATRON_LM"])
def test_networks_are_not_sharded(name, monkeypatch):
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "false")
    require_whole_networks()
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    with pytest.raises(UserError, match=f"launch without --use_{name.lower()}"):
        require_whole_networks()


def test_sharding_is_refused_before_anything_is_written(tmp_path, pairs_folder, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    done = call("gan.pretrain", *PRETRAIN, "--data.path", pairs_folder, "--run-dir", "run", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: accelerate is configured to shard networks (FSDP)")
    assert not (tmp_path / "run").exists()
