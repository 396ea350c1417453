"""Which parameters learn, from which labels."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from data import ImageBatch
from gan.classify.measures import known_bce
from gan.classify.options import PRESETS
from gan.classify.stage import ClassifyStage, build_model
from gan.run.learner import Learner
from gan.run.options import OptimConfig
from networks import BottleneckEncoder, NetworkConfig
from tests.micro import MICRO_SIZES

LABELS = ("nodule", "device")


def stage(*, frozen=False, norm="group", encoder=None):
    network = NetworkConfig(**MICRO_SIZES, norm=norm)
    config = replace(PRESETS["tiny"], network=network, frozen=frozen)
    config = replace(config, data=replace(config.data, augment=replace(config.data.augment, enabled=False)))
    model = build_model(config, LABELS, encoder)
    learner = Learner.prepare(Accelerator(cpu=True), model, OptimConfig(warmup_steps=0, clip_norm=0))
    return ClassifyStage(config, learner, SimpleNamespace(total_steps=10, splits={}), [], None, LABELS)


def batch(labels=((1.0, 0.0), (0.0, float("nan")))):
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    return ImageBatch(id=["a", "b"], image=images, labels=torch.tensor(labels))


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_a_linear_probe_moves_the_head_alone_statistics_included(norm):
    made = stage(frozen=True, norm=norm)
    before = {name: tensor.clone() for name, tensor in made.learner.network.state_dict().items()}
    made.step([batch()], 0, 0)
    after = made.learner.network.state_dict()
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    statistics = {f"norm.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert moved == {"head.weight", "head.bias", *statistics}


def test_a_linear_probe_sees_features_of_equal_spread_and_one_image_is_no_obstacle():
    made = stage(frozen=True).learner.network
    for _ in range(100):
        made(batch().image)
    made.eval()
    features = made.norm(made.pooled(batch().image))
    torch.testing.assert_close(features.mean(0), torch.zeros(8), atol=0.02, rtol=0)
    made.train()
    before = made.norm.running_mean.clone()
    assert made(batch().image[:1]).isfinite().all()
    assert torch.equal(made.norm.running_mean, before)


def test_fine_tuning_moves_every_parameter_and_says_the_loss():
    made = stage()
    before = [parameter.detach().clone() for parameter in made.learner.network.parameters()]
    with torch.no_grad():
        expected = known_bce(made.learner.network(batch().image), batch().labels)
    terms = made.step([batch()], 0, 0)
    torch.testing.assert_close(terms["bce"], expected)
    pairs = zip(before, made.learner.network.parameters(), strict=True)
    assert not [1 for old, new in pairs if torch.equal(old, new)]


def test_a_pretrained_encoder_is_taken_whole():
    encoder = BottleneckEncoder(NetworkConfig(**MICRO_SIZES))
    made = stage(encoder=encoder).learner.network
    assert made.labels == LABELS
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(made.encoder.state_dict()[name], tensor)


def test_images_that_stand_in_for_unreadable_ones_are_not_judged():
    made = stage()
    samples = batch(((1.0, 0.0), (0.0, 1.0)))
    valid = torch.ones_like(samples.image)
    valid[1] = 0
    report = made.report(made.learner.network, [replace(samples, valid=valid)])
    assert report["images"] == 1
    assert report["labels"]["nodule"] == {"auroc": None, "positives": 1, "known": 1}
