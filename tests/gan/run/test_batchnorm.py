import os
from types import SimpleNamespace

import pytest
import torch
from torch import distributed, nn

from gan.run.batchnorm import synchronised

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")


def layer():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3, dtype=torch.float64)
    nn.init.normal_(norm.weight)
    return norm


def found(norm, rows, weights):
    """What a layer makes of rows, their gradients, and its state."""
    rows = rows.clone().requires_grad_()
    result = norm(rows)
    (result * weights).sum().backward()
    return {"result": result.detach(), "gradient": rows.grad, **norm.state_dict()}


def test_statistics_are_those_of_the_batches_of_all_processes(tmp_path):
    """Of five images in one process and three in another."""
    accelerator = SimpleNamespace(num_processes=2, device=torch.device("cpu"))
    rows, weights = torch.randn(
        2, 8, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    parts = (slice(0, 5), slice(5, 8))
    children = []
    for rank, part in enumerate(parts):
        children.append(os.fork())
        if children[-1] == 0:
            try:
                store = distributed.FileStore(str(tmp_path / "store"), 2)
                distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
                ours = found(synchronised(accelerator, layer()), rows[part], weights[part])
                torch.save(ours, tmp_path / f"{rank}.pt")
            finally:
                os._exit(0)
    for child in children:
        os.waitpid(child, 0)
    expected = found(layer(), rows, weights)
    for rank, part in enumerate(parts):
        ours = torch.load(tmp_path / f"{rank}.pt")
        assert set(ours) == set(expected)
        for name, value in expected.items():
            wanted = value[part] if name in ("result", "gradient") else value
            torch.testing.assert_close(ours[name], wanted, msg=name)


def test_one_process_keeps_its_layers():
    norm = layer()
    assert type(synchronised(SimpleNamespace(num_processes=1), norm)) is nn.BatchNorm2d
