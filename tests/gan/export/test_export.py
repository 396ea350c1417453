"""What is exported says the same as PyTorch, at any size, also without this package; else it is not kept."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from data.base.errors import UserError
from gan.export.options import parse
from gan.export.program import program_of, save_onnx, with_weights_as
from gan.run.change_model import ChangeModel
from gan.run.exported import load_generator
from gan.run.feeding import fit_pair
from gan.run.handover import Preprocessing, save_network
from networks import EarlyFusionUNet, LongitudinalMIMModelBig
from networks.config import NetworkConfig
from tests.calling import call
from tests.micro import MICRO_SIZES, ROOT
from tests.shared import made_once

SIZES = {"stem_channels": 8, "decoder_channels": (32, 32, 16, 16)}
HOW = Preprocessing(
    network="networks:EarlyFusionUNet", image_size=64, framing="pad", intensity="dicom", change="magnitude"
)


class Loud(nn.Module):
    """Branches on the size of images, of which an exported program knows one side only."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """The difference, twice of large images."""
        return self.weight * (followup - baseline).abs() * (2 if followup.shape[-1] > 100 else 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory, pairs_folder):
    """A generator, and what came of exporting it twice; read only."""

    def make(folder):
        torch.manual_seed(0)
        network = EarlyFusionUNet(config=NetworkConfig(**{**MICRO_SIZES, **SIZES}))
        nn.init.zeros_(network.head.pointwise.bias)  # a fresh map is nearly empty
        save_network(network, folder / "generator", HOW)
        for name in ("change.onnx", "change.pt2"):
            done = call(
                "gan.export", "generator", name, "--data.path", pairs_folder, "--split", "val", cwd=folder
            )
            assert done.returncode == 0, done.stderr
            (folder / f"{name}.txt").write_text(done.stdout)

    return made_once(tmp_path_factory, "exported", make)


@pytest.mark.parametrize("name", ["change.onnx", "change.pt2"])
def test_an_exported_file_stands_for_the_model(made, name, pairs_folder):
    model = ChangeModel.load(made / "generator")
    exported = ChangeModel.load(made / name, trust_remote_code=True)
    assert exported.preprocessing == model.preprocessing == HOW
    pair = [pairs_folder / kind / "p0_0.png" for kind in ("baseline", "followup")]
    assert model(*pair).std() > 0.01
    assert torch.allclose(exported(*pair), model(*pair), atol=1e-5)
    for shape in ((3, 1, 64, 96), (1, 1, 50, 39)):
        images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert torch.allclose(exported.generator(*images), model.generator(*images), atol=1e-5)


def test_two_sizes_and_the_cost_are_told(made):
    for name in ("change.onnx", "change.pt2"):
        text = (made / f"{name}.txt").read_text()
        differences = re.findall(r"(\S+) at (\d+) x (\d+)", text)
        assert [(int(h), int(w)) for _, h, w in differences] == [(64, 64), (81, 96)]
        assert all(float(value) < 1e-5 for value, *_ in differences)
        assert re.search(r"average precision: (\S+), in PyTorch \1; difference [+-]0.0000", text)


def test_the_lines_in_the_docs_use_it_without_this_package(made, pairs_folder, tmp_path, monkeypatch):
    text = (ROOT / "docs" / "export.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in program.splitlines() if line and "import" not in line]) <= 10
    monkeypatch.chdir(tmp_path)
    (tmp_path / "change.onnx").symlink_to(made / "change.onnx")
    for kind in ("baseline", "followup"):
        grey = np.asarray(Image.open(pairs_folder / kind / "p0_0.png")) // 256
        Image.fromarray(grey.astype(np.uint8)[:, :24]).save(f"{kind}.png")
    for package in ("data", "networks", "losses", "gan"):
        monkeypatch.setitem(sys.modules, package, None)  # an import of it fails
    space: dict = {}
    exec(program, space)
    monkeypatch.undo()
    model = ChangeModel.load(made / "generator")
    before, after = (model.read(tmp_path / f"{kind}.png") for kind in ("baseline", "followup"))
    pair = fit_pair(before, after, model.preprocessing)
    with torch.no_grad():
        change = model.generator(pair.baseline[None], pair.followup[None])
    assert np.abs(space["change"] - change.numpy()).max() < 1e-3


def test_a_program_file_is_loaded_only_if_it_is_trusted(made):
    with pytest.raises(UserError, match=r"change.pt2 can hold any code; .*--trust-remote-code"):
        ChangeModel.load(made / "change.pt2")


def default_generator() -> nn.Module:
    torch.manual_seed(0)
    return LongitudinalMIMModelBig(config=NetworkConfig(**MICRO_SIZES)).eval()


def require_the_same(exported: nn.Module, network: nn.Module) -> None:
    for shape in ((2, 1, 64, 64), (3, 1, 96, 128), (1, 1, 70, 99), (1, 1, 512, 512)):  # learned at 512
        images = torch.rand(2, *shape)
        with torch.no_grad():
            assert torch.allclose(exported(*images), network(*images), atol=1e-4)


def test_the_default_generator_is_a_program_for_any_size():
    network = default_generator()
    require_the_same(program_of(network, 64).module(), network)


@pytest.mark.slow
def test_the_default_generator_is_an_onnx_file_for_any_size(tmp_path):
    network = default_generator()
    save_onnx(program_of(network, 64), tmp_path / "a.onnx", json.dumps(vars(HOW)))
    require_the_same(load_generator(tmp_path / "a.onnx")[0], network)


def test_half_weights_stay_close_and_take_half_the_room(made):
    network, _ = load_generator(made / "generator")
    images = torch.rand(2, 2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for dtype, most in ((torch.float16, 2e-3), (torch.bfloat16, 2e-2)):  # eight times as coarse
            halved = with_weights_as(network, dtype)
            assert {weights.dtype for weights in halved.parameters()} == {dtype}
            difference = (halved(*images) - network(*images)).abs().max()
            assert 0 < difference < most


def test_eight_bits_are_smaller_and_their_cost_is_told(made, pairs_folder, tmp_path, monkeypatch):
    def copied(_, path, __):  # which takes less time than making it again
        shutil.copyfile(made / "change.onnx", path)

    monkeypatch.setattr("gan.export.export.save_onnx", copied)
    done = call(
        *("gan.export", made / "generator", "small.onnx", "--precision", "int8"),
        *("--data.path", pairs_folder, "--pairs", "4"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "small.onnx").stat().st_size < 0.7 * (made / "change.onnx").stat().st_size
    assert "difference" in done.stdout.splitlines()[-1]
    model, exported = (ChangeModel.load(path) for path in (made / "generator", tmp_path / "small.onnx"))
    images = torch.rand(2, 1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = (exported.generator(*images) - model.generator(*images)).abs()
    assert difference.max() > 0
    assert difference.mean() < 0.1


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loud") / "generator"
    how = vars(HOW) | {"network": "tests.gan.export.test_export:Loud"}
    save_network(Loud(), folder, Preprocessing(**how))
    return folder


MISTAKES = {
    "another suffix": ("{made}/generator change.h5", ["change.h5", ".onnx or .pt2"]),
    "8 bits in a program": ("{made}/generator change.pt2 --precision int8", ["int8", ".onnx"]),
    "no model": ("{tmp}/nothing change.onnx", ["nothing", "gan.adversarial"]),
    "what is exported already": ("{made}/change.onnx again.onnx", ["change.onnx", "already"]),
    "code of somebody": ("{loud} change.onnx --data.path {pairs}", ["--trust-remote-code"]),
    "a file that differs": (
        "{loud} change.onnx --data.path {pairs} --trust-remote-code",
        ["change.onnx is not kept", "differs from PyTorch", "64 x 64", "0.0001 of float32"],
    ),
    "no pairs": ("{made}/generator change.pt2 --data.path absent.csv", ["absent.csv"]),
    "a place that cannot be written": (
        "{made}/generator {pairs}/target/p0_0.png/a.pt2 --data.path {pairs}",
        ["p0_0.png"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_line_and_leaves_nothing(mistake, made, loud, pairs_folder, tmp_path):
    command, words = MISTAKES[mistake]
    arguments = command.format(made=made, tmp=tmp_path, loud=loud, pairs=pairs_folder).split()
    done = call("gan.export", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_package_names_the_extra(made, monkeypatch):
    monkeypatch.setattr("gan.run.generator.find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(UserError, match=r"onnx missing; .*\[export\]"):
        parse([str(made / "generator"), "change.onnx"])
