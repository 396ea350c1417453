"""Short games: what a bad setting is called in the log, and that a stopped game goes on to the bit."""

import json
import re
import signal
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import GradientState
from torch import nn

from data import PairBatch
from gan.adversarial.options import PRESETS
from gan.adversarial.stage import AdversarialStage, build_state
from gan.run.commandline import parse
from tests.calling import call
from tests.micro import MICRO_ADVERSARIAL
from tests.stopping import signal_after

STEPS = 80
SMALL = [
    *("--preset", "tiny", "--cpu", "--pretrained", "none", "--weights.perceptual", "0"),
    *("--generator", "tests.gan.adversarial.test_play:Blurry", "--data.image-size", "32"),
    *("--data.augment.no-enabled", "--optim.warmup-steps", "10", "--optim.lr-generator", "0.02"),
    *("--optim.schedule", "constant", "--loss.foreground-weight", "10"),
    *("--disc.base-channels", "8", "--disc.num-layers", "1", "--disc.standardise"),
    *("--game.warmup-steps", "10", "--game.look-every", "2"),
]


class Blurry(nn.Module):
    """A generator that sees no detail, so that its maps never are quite the true ones."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1), nn.Sigmoid()
        )
        nn.init.constant_(self.layers[-2].bias, -4)

    def forward(self, baseline, followup):
        """Change map."""
        coarse = nn.functional.avg_pool2d(10 * (followup - baseline), 2)
        return nn.functional.interpolate(self.layers(coarse), scale_factor=2, mode="bilinear")


def batch_of(step, size=4, side=32):
    """Bright squares that appear in smooth images."""
    generator = torch.Generator().manual_seed(step)
    coarse = torch.rand(size, 1, 4, 4, generator=generator)
    baseline = 0.5 * nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
    target = torch.zeros(size, 1, side, side)
    for number, corner in enumerate(torch.randint(2, side - 10, (size, 2), generator=generator).tolist()):
        target[number, :, corner[0] : corner[0] + 8, corner[1] : corner[1] + 8] = 0.4
    return PairBatch(
        id=[f"{step}/{number}" for number in range(size)],
        baseline=baseline,
        followup=baseline + 0.4 * target,
        target=target,
        findings=[()] * size,
    )


def play(*options, steps=STEPS):
    """The stage's steps without the loop around them, and what they said."""
    GradientState._reset_state()
    config = parse([*SMALL, *options], prog="test", presets=PRESETS)
    said: list[str] = []
    stage = AdversarialStage(
        config=config,
        state=build_state(Accelerator(cpu=True), config, None),
        loaders=SimpleNamespace(total_steps=steps, steps_per_epoch=steps),
        cases=[],
        directory=None,
        log=SimpleNamespace(say=said.append),
    )
    terms = [stage.step([batch_of(step)], 0, step) for step in range(steps)]
    return said, terms


RATE = "--optim.lr-discriminator"


def test_a_game_in_which_both_play_goes_without_a_word():
    said, terms = play(RATE, "0.002")
    assert said == []
    accuracy = sum((step["right_real"] + step["right_fake"]).item() / 2 for step in terms[-20:]) / 20
    assert 0.55 < accuracy < 0.95
    assert 0 < terms[-1]["gradient/adversarial"] < 0.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((RATE, "0.2"), r"the discriminator is blind: .*--optim\.lr-discriminator \(now 0\.2\)"),
        ((RATE, "0"), r"the discriminator is blind: .*--optim\.lr-discriminator \(now 0\)"),
        (
            ("--weights.l1", "0", "--game.warmup-steps", "0"),
            r"the maps have collapsed, they are (empty|full): .*; raise --weights\.l1 \(now 0\)",
        ),
        (
            (RATE, "0.002", "--weights.adversarial", "1e-6"),
            r"the adversarial gradient has vanished: .*--weights\.adversarial \(now 1e-06\)",
        ),
    ],
)
def test_a_bad_setting_is_called_by_its_name(options, words):
    """The discriminator's rate times 100 and 0, no distance to the target, an adversary nobody hears."""
    said, _ = play(*options)
    assert [sentence for sentence in said if re.search(f"^WARNING: {words}", sentence)], said


def test_a_discriminator_whose_generator_cannot_answer_has_won():
    said, _ = play(RATE, "0.005", "--optim.lr-generator", "0", "--disc.no-spectral-norm")
    assert [sentence for sentence in said if re.search(r"has won: .*--game\.pause-above", sentence)], said


EVERYTHING = [
    *(*MICRO_ADVERSARIAL, "--epochs", "3", "--data.batch-size", "1", "--gradient-accumulation", "2"),
    *("--discriminator", "networks:ProjectedDiscriminator", "--disc.standardise", "--disc.map-gain", "2"),
    *("--loss.adversarial", "relativistic", "--loss.r1", "1", "--loss.r2", "1", "--loss.penalty-every", "2"),
    *("--game.warmup-steps", "1", "--game.ramp-steps", "1", "--game.gradient-share", "0.2"),
    *("--game.augment", "translation", "cutout", "colour", "--game.pause-above", "0.5"),
    *("--game.look-every", "1", "--optim.disc-steps", "2", "--checkpoint-every", "100", "--log-every", "1"),
]


def test_a_game_with_everything_in_it_resumes_to_the_bit(workplace, tmp_path, pairs_folder):
    """Stopped in the last epoch, once there are averages that decide."""
    options = [*EVERYTHING, "--data.path", pairs_folder, "--pretrained", workplace / "runs" / "pretrain"]
    straight = call("gan.adversarial", *options, "--run-dir", "straight", cwd=tmp_path)
    assert straight.returncode == 0, straight.stderr
    train = [line for line in lines(tmp_path / "straight") if line["split"] == "train"]
    seen = set().union(*train)
    assert {"r1", "r2", "right_real", "gradient/l1", "gradient/adversarial"} <= seen
    assert train[0]["adversarial_weight"] == 0 < train[-1]["adversarial_weight"]
    assert all("disc_accuracy" in line for line in lines(tmp_path / "straight") if line["split"] == "val")

    with pytest.MonkeyPatch.context() as patch:
        signal_after(patch, signal.SIGINT, "gan.adversarial.stage.adversarial_step", len(train) - 2)
        stopped = call("gan.adversarial", *options, "--run-dir", "stopped", cwd=tmp_path)
    assert stopped.returncode == 130, stopped.stderr
    done = call("gan.adversarial", "--resume", "stopped", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert lines(tmp_path / "stopped") == lines(tmp_path / "straight")


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
