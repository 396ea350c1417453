"""A card tells what a run was and how good it is, and names neither patients nor places."""

import json

import pytest
import torch
from huggingface_hub import ModelCard
from torch import nn

from data import PairBatch
from gan.measures.evaluation import Tally
from gan.measures.report import summarise, write_summary
from gan.run.handover import Preprocessing, load_network, save_network
from networks import EarlyFusionUNet
from networks.config import NetworkConfig
from tests.calling import call
from tests.micro import MICRO_SIZES

NAME = "somebody/change"
SECRETS = ("HOSPITAL", "/home", "smith", "jones", "case_", "runs/")


class FakeApi:
    """A hub that keeps what it is given; `refuses` is what it says instead."""

    kept: dict = {}  # noqa: RUF012
    refuses: Exception | None = None

    def create_repo(self, name, **options):
        if self.refuses:
            raise self.refuses
        self.kept[name] = options
        return f"hub/{name}"

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        assert commit_message
        self.kept[repo_id]["files"] = {path.name: path.read_bytes() for path in folder_path.iterdir()}


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(FakeApi, "kept", {})
    monkeypatch.setattr("huggingface_hub.HfApi", FakeApi)
    monkeypatch.setattr("gan.share.push.HfApi", FakeApi)
    return FakeApi


def evaluated():
    """A summary of eight pairs of four patients, in half of which a square changed."""
    generator = torch.Generator().manual_seed(0)
    target = torch.zeros(8, 1, 16, 16)
    target[::2, :, 4:9, 4:9] = 0.5
    images = torch.rand(2, 8, 1, 16, 16, generator=generator)
    batch = PairBatch(
        baseline=images[0],
        followup=images[1],
        target=target,
        id=[f"case_{n}" for n in range(8)],
        patient_id=[f"smith-{n // 2}" for n in range(8)],
        findings=[("nodule",) if n % 2 == 0 else () for n in range(8)],
    )
    maps = {"model": (0.5 * target + 0.5 * images[0]).clamp(0, 1), "empty": torch.zeros_like(target)}
    tally = Tally(signed=False, thresholds=dict.fromkeys(maps, 2000))
    tally.add(maps, batch)
    return summarise(tally.judge(), models=["model"], by=["finding"], replicates=200)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("share") / "runs" / "adversarial"
    how = Preprocessing(
        network="networks:EarlyFusionUNet",
        image_size=64,
        framing="pad",
        intensity="dicom",
        change="magnitude",
    )
    save_network(EarlyFusionUNet(config=NetworkConfig(**MICRO_SIZES)), folder / "generator", how)
    (folder / "config.yaml").write_text("preset: tiny\ndata:\n  path: /home/jones/HOSPITAL/pairs.csv\n")
    rows = ["patient_id,split", "smith-1,train", "smith-2,train", "jones,val", "smith-3,test"]
    (folder / "split.csv").write_text("\n".join(rows) + "\n")
    write_summary(folder / "evaluation" / "summary.json", evaluated())
    return folder


def test_a_card_has_data_numbers_with_intervals_limits_and_licence(hub, run, tmp_path):
    done = call("gan.share", run, NAME, "--licence", "cc-by-nc-4.0", "--private", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"hub/{NAME}"
    sent = hub.kept[NAME]
    assert sent["private"]
    assert sent["files"].keys() == {
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessing.json",
        "SHA256SUMS",
    }
    card = ModelCard(sent["files"]["README.md"].decode())
    assert card.data.license == "cc-by-nc-4.0"
    summary = json.loads((run / "evaluation" / "summary.json").read_text())
    precision = summary["methods"]["model"]["average_precision"]
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results["average_precision"] == precision["value"]
    told = f"{precision['value']:.3f} [{precision['low']:.3f}, {precision['high']:.3f}]"
    assert f"| pixels | average precision (AP) | {told} |" in card.content
    assert "8 pairs of 4 patients" in card.content
    assert "Patients: 2 to train on, 1 to choose the model by, 1 to measure it on." in card.content
    assert "| nodule | 4 |" in card.content
    assert "no medical device" in card.content
    assert not [secret for secret in SECRETS if secret in card.content]


def test_what_is_shared_is_a_generator(run, tmp_path):
    done = call("gan.share", run, NAME, "--license", "mit", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again, _ = load_network(tmp_path / "out")
    first, _ = load_network(run / "generator")
    for one, other in zip(again.parameters(), first.parameters(), strict=True):
        assert torch.equal(one, other)
    assert isinstance(again, nn.Module)
    assert (tmp_path / "out" / "README.md").read_text().startswith("---\n")


def test_the_numbers_of_an_evaluation_take_the_place_of_those_of_the_run(run, tmp_path):
    summary = evaluated()
    summary["methods"]["/home/jones/runs/adversarial"] = summary["methods"].pop("model")
    for group in summary["by"]["finding"].values():
        group["methods"]["/home/jones/runs/adversarial"] = group["methods"].pop("model")
    summary["pairs"] = 77
    write_summary(tmp_path / "evaluate" / "summary.json", summary)
    options = ("--licence", "mit", "--out", "out", "--evaluation", "evaluate")
    done = call("gan.share", run, NAME, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "out" / "README.md").read_text()
    assert "77 pairs of 4 patients" in card
    assert "The numbers are of pairs of an evaluation." in card
    assert not [secret for secret in SECRETS if secret in card]


MISTAKES = {
    "no run": ("nowhere owner/name --licence mit", ["nowhere", "gan.adversarial"]),
    "no owner": ("{run} name --licence mit", ["name", "OWNER/NAME"]),
    "no licence": ("{run} owner/name", ["--licence"]),
    "a licence in words": ("{run} owner/name --licence MIT!", ["--licence MIT!", "cc-by-nc-4.0"]),
    "a folder that is taken": ("{run} owner/name --licence mit --out {run}", ["--out", "taken"]),
    "no evaluation": ("{run} owner/name --licence mit --evaluation nowhere", ["--evaluation", "nowhere"]),
    "a hub that refuses": ("{run} owner/name --licence mit", ["owner/name", "no token", "hf auth login"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_line_and_sends_nothing(mistake, hub, run, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "refuses", PermissionError("no token\nmore of it"))
    command, words = MISTAKES[mistake]
    done = call("gan.share", *command.format(run=run).split(), cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not hub.kept
