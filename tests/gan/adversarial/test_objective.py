import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data import PairBatch
from data.base.errors import UserError
from data.config import DataConfig
from gan.adversarial.networks import build_discriminator, build_generator
from gan.adversarial.objective import build_objective
from gan.adversarial.options import PRESETS, AdversarialConfig, DiscriminatorConfig, GameConfig
from gan.run.handover import ANY, Preprocessing, load_network, save_network
from gan.run.plugins import import_object, parse_weighted
from losses import PIXEL_LOSSES, SIMILARITIES, LossConfig, LossWeights
from networks import BottleneckEncoder, Discriminator, LongitudinalMIMModel
from tests.gan import plugins
from tests.networks.encoders import Shrinking

HERE = "tests.gan.plugins"
CPU = torch.device("cpu")


def config(**changes):
    made = deepcopy(PRESETS["tiny"])
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def pair_batch():
    images = torch.rand(3, 2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    return PairBatch(
        id=["a", "b"], baseline=images[0], followup=images[1], target=images[2], findings=[(), ()]
    )


def test_classes_are_found_by_name_and_ours_take_the_options():
    assert isinstance(build_generator(config(generator=f"{HERE}:Generator")), plugins.Generator)
    assert isinstance(
        build_discriminator(config(discriminator=f"{HERE}:Discriminator")), plugins.Discriminator
    )
    small = build_generator(config(generator="networks:LongitudinalMIMModel"))
    assert isinstance(small, LongitudinalMIMModel)
    ours = build_discriminator(config(disc=DiscriminatorConfig(base_channels=4, num_scales=2, num_layers=1)))
    assert isinstance(ours, Discriminator)
    image = torch.rand(1, 1, 32, 32)
    assert len(ours(image, image, image)) == 2


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("Net", "write pkg.mod:Name"),
        ("absent.module:Net", "importing absent.module failed"),
        (f"{HERE}:Absent", "has no Absent"),
        (f"{HERE}:NOT_A_CLASS", "not a torch.nn.Module class"),
        (f"{HERE}:NeedsArguments", "cannot be built without arguments"),
        ("networks:Discriminator", "cannot be built with the options"),
    ],
)
def test_a_generator_that_cannot_be_had_is_named(spec, words):
    with pytest.raises(UserError, match=f"--generator {spec}.*{words}"):
        build_generator(config(generator=spec))


@pytest.mark.parametrize(
    "spec", ["pkg:f", "pkg:f=", "pkg:f=-1", "pkg:f=nan", "f=1", "pkg:f=inf", "pkg:f=much"]
)
def test_an_extra_loss_without_a_weight_is_refused(spec):
    with pytest.raises(UserError, match=r"write pkg\.mod:function=WEIGHT"):
        parse_weighted(spec, "--extra-loss")


def test_a_generator_of_the_users_own_is_saved_and_loaded(tmp_path):
    settings = config(generator=f"{HERE}:Generator")
    model = build_generator(settings)
    save_network(model, tmp_path / "generator", Preprocessing.of(settings.generator, settings.data))
    loaded, _ = load_network(tmp_path / "generator", trusted=ANY)
    image = torch.rand(1, 1, 8, 8)
    assert torch.equal(loaded(image, image), model(image, image))
    assert not loaded.training


def test_a_folder_runs_no_code_of_its_own_unless_trusted(tmp_path, monkeypatch):
    settings = config(generator=f"{HERE}:Generator")
    how = replace(Preprocessing.of(settings.generator, settings.data), network="hostile:Network")
    save_network(build_generator(settings), tmp_path / "generator", how)
    (tmp_path / "hostile.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()")
    monkeypatch.syspath_prepend(tmp_path)
    for trusted in ("", "other:Network"):
        with pytest.raises(UserError, match=r"code of its own .*hostile:Network.* add --trust-remote-code"):
            load_network(tmp_path / "generator", trusted=trusted)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("surprise", 1, "surprise"),
        ("hidden_channels", 10**12, "hidden_channels is 10{12}; no network is that"),
    ],
)
def test_a_configuration_of_no_network_is_refused_before_it_is_built(tmp_path, key, value, words):
    settings = config()
    save_network(
        build_generator(settings), tmp_path / "generator", Preprocessing.of(settings.generator, settings.data)
    )
    file = tmp_path / "generator" / "config.json"
    content = json.loads(file.read_text())
    content["config"][key] = value
    file.write_text(json.dumps(content))
    file.with_name("SHA256SUMS").unlink()
    with pytest.raises(UserError, match=words) as caught:
        load_network(tmp_path / "generator")
    assert "\n" not in str(caught.value)


def test_a_generator_of_ours_takes_an_encoder_of_the_users_own_and_finds_it_again(tmp_path):
    settings = config(encoder="tests.networks.encoders:Shrinking")
    model = build_generator(settings)
    assert isinstance(model.encoder, Shrinking)
    save_network(model, tmp_path / "generator", Preprocessing.of(settings.generator, settings.data))
    loaded, _ = load_network(tmp_path / "generator", trusted=ANY)
    image = torch.rand(1, 1, 32, 32)
    assert torch.equal(loaded(image, image), model.eval()(image, image))


def test_a_broken_generator_file_is_named(tmp_path):
    settings = config(generator=f"{HERE}:Generator")
    save_network(
        build_generator(settings), tmp_path / "generator", Preprocessing.of(settings.generator, settings.data)
    )
    (tmp_path / "generator" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"generator/model.safetensors is damaged or was changed; copy"):
        load_network(tmp_path / "generator", trusted=ANY)
    (tmp_path / "generator" / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match="is not a saved generator"):
        load_network(tmp_path / "generator", trusted=ANY)


def test_every_weight_of_the_configuration_has_its_term():
    others = {"perceptual", "adversarial", "feature_matching"}
    assert {*PIXEL_LOSSES, *SIMILARITIES, *others} == set(vars(config().weights))


def test_terms_with_weight_zero_are_not_built():
    settings = config()
    settings.weights.perceptual = 0
    objective = build_objective(settings, None, CPU)
    assert set(objective.pair_terms) == {"l1"}


def test_the_perceptual_term_reaches_the_prediction_and_not_the_encoder():
    settings = config()
    settings.weights.l1 = 0
    encoder = BottleneckEncoder(settings.network)
    objective = build_objective(settings, encoder, CPU)
    batch = pair_batch()
    prediction = torch.rand_like(batch.target, requires_grad=True)
    objective.pair_terms["perceptual"](batch, prediction).backward()
    assert prediction.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert objective.pair_terms["perceptual"](batch, batch.target) == 0


def test_feature_matching_is_what_the_discriminator_makes_of_target_and_prediction():
    settings = config(
        disc=DiscriminatorConfig(base_channels=4, num_scales=2, num_layers=1, spectral_norm=False)
    )
    settings.weights.perceptual = settings.weights.l1 = 0
    settings.weights.feature_matching = 3
    term = build_objective(settings, None, CPU).judged_terms["feature_matching"]
    batch, discriminator = pair_batch(), build_discriminator(settings)
    prediction = torch.rand_like(batch.target, requires_grad=True)
    assert term(discriminator, batch, batch.target) == 0
    term(discriminator, batch, prediction).backward()
    assert prediction.grad.abs().sum() > 0
    settings.discriminator = f"{HERE}:Discriminator"
    with pytest.raises(UserError, match=r"--weights.feature-matching: .* does not show its features"):
        build_objective(settings, None, CPU)


@pytest.mark.parametrize(
    ("change", "weights", "words"),
    [
        ("magnitude", {"sign": 1}, "weights.sign is for signed maps"),
        ("signed", {"feature_matching": 1, "adversarial": 0}, "needs a discriminator that learns"),
        ("signed", {"dists": 1}, "need loss.vgg16-weights"),
    ],
)
def test_a_term_that_cannot_be_had_is_refused(change, weights, words):
    data = DataConfig(change=change)
    with pytest.raises(ValueError, match=words):
        AdversarialConfig(data=data, weights=LossWeights(**weights))
    if "sign" in weights:
        assert AdversarialConfig(data=DataConfig(change="signed"), weights=LossWeights(sign=1))


@pytest.mark.parametrize(
    ("weights", "loss", "words"),
    [
        (
            {"lpips": 1},
            {"vgg16_weights": Path("absent.pth")},
            r"--loss.vgg16-weights: absent.pth does not exist",
        ),
        (
            {"perceptual": 1},
            {"perceptual": "vit", "perceptual_weights": Path("absent")},
            "--loss.perceptual-weights: absent: no such folder",
        ),
    ],
)
def test_weights_that_are_not_there_are_named_by_their_option(weights, loss, words):
    settings = config(weights=LossWeights(**{"perceptual": 0, **weights}), loss=LossConfig(**loss))
    with pytest.raises(UserError, match=words):
        build_objective(settings, None, CPU)


def test_an_extra_loss_joins_the_objective_under_its_name():
    settings = config(extra_loss=(f"{HERE}:total_variation=0.5", "torch.nn:L1Loss=2"))
    settings.weights.perceptual = 0
    objective = build_objective(settings, None, CPU)
    assert objective.weights["extra/total_variation"] == 0.5
    batch = pair_batch()
    prediction = torch.rand_like(batch.target)
    terms = {name: term(batch, prediction) for name, term in objective.pair_terms.items()}
    torch.testing.assert_close(
        terms["extra/total_variation"], plugins.total_variation(prediction, batch.target)
    )
    torch.testing.assert_close(terms["extra/L1Loss"], (prediction - batch.target).abs().mean())
    expected = 100 * terms["l1"] + 0.5 * terms["extra/total_variation"] + 2 * terms["extra/L1Loss"]
    torch.testing.assert_close(objective.total(terms), expected)


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        (["torch.nn.functional:absent=1"], "has no absent"),
        ([f"{HERE}:total_variation=1", f"{HERE}:total_variation=2"], "called the same"),
        ([f"{HERE}:NOT_A_CLASS=1"], "not a function"),
        ([f"{HERE}:NeedsArguments=1"], "cannot be built without arguments"),
    ],
)
def test_an_extra_loss_that_cannot_be_had_is_named(specs, words):
    settings = config(extra_loss=tuple(specs))
    settings.weights.perceptual = 0
    with pytest.raises(UserError, match=words):
        build_objective(settings, None, CPU)


def test_names_of_the_log_are_free_for_losses_of_the_users_own():
    names = ("step", "split", "weights", "l1", "generator")
    settings = config(extra_loss=tuple(f"{HERE}:{name}=1" for name in names))
    settings.weights.perceptual = 0
    terms = build_objective(settings, None, CPU).pair_terms
    assert set(terms) == {"l1", *(f"extra/{name}" for name in names)}


def test_weights_and_buffers_of_a_loss_belong_to_the_run():
    settings = config(extra_loss=(f"{HERE}:Learned=1", f"{HERE}:total_variation=1", "torch.nn:L1Loss=1"))
    settings.weights.perceptual = 0
    objective = build_objective(settings, None, CPU)
    assert list(objective.modules) == ["extra/Learned"]
    assert set(objective.modules.state_dict()) == {"extra/Learned.scale", "extra/Learned.mean"}


@pytest.mark.parametrize(
    ("option", "spec", "words"),
    [
        ("generator", "Small", r"maps images \(2, 1, 64, 64\) to \(2, 1, 32, 32\); make it \(2, 1, 64, 64\)"),
        ("generator", "Faulty", r"fails on 2 images \(2, 1, 64, 64\) \(RuntimeError: no luck\)"),
        ("discriminator", "Faulty", r"fails on 3 images \(2, 1, 64, 64\) \(RuntimeError: no luck\)"),
        ("discriminator", "TwoChannels", r".* by \(2, 2, 64, 64\); make it \(2, 1, h, w\)"),
        ("discriminator", "Nested", r".* by \[\[\(2, 1, 64, 64\)\]\]; make it"),
    ],
)
def test_networks_of_the_users_own_are_tried_before_training(option, spec, words):
    build = {"generator": build_generator, "discriminator": build_discriminator}[option]
    with pytest.raises(UserError, match=f"--{option} {HERE}:{spec} {words}"):
        build(config(**{option: f"{HERE}:{spec}"}))


@pytest.mark.parametrize("option", ["generator", "discriminator"])
def test_trying_a_network_leaves_no_trace(option):
    """Its statistics stay, batch norm of one pixel is no obstacle, and what comes next is drawn as before."""
    torch.manual_seed(5)
    plugins.Norm()
    expected = torch.rand(3)
    torch.manual_seed(5)
    build = {"generator": build_generator, "discriminator": build_discriminator}[option]
    built = build(config(**{option: f"{HERE}:Norm"}))
    assert torch.equal(torch.rand(3), expected)
    assert built.training
    assert built.norm.num_batches_tracked == 0
    assert torch.equal(built.norm.running_mean, torch.zeros(4))


def test_an_extra_loss_must_return_a_scalar():
    settings = config(extra_loss=(f"{HERE}:unreduced=1",))
    settings.weights.perceptual = 0
    batch = pair_batch()
    with pytest.raises(UserError, match="not a scalar tensor"):
        build_objective(settings, None, CPU).pair_terms["extra/unreduced"](batch, batch.target)


def test_nothing_to_train_on_is_refused():
    settings = config()
    settings.weights.l1 = settings.weights.perceptual = settings.weights.adversarial = 0
    with pytest.raises(UserError, match="every weight"):
        build_objective(settings, None, CPU)


@pytest.mark.parametrize(
    ("option", "change"),
    [
        ("--adversarial-start 1", {"adversarial_start": 1}),
        ("--game.warmup-steps 5", {"game": GameConfig(warmup_steps=5)}),
        ("--game.gradient-share 0.2", {"game": GameConfig(gradient_share=0.2)}),
    ],
)
def test_a_term_must_be_there_before_the_adversarial_one_starts(option, change):
    settings = config(**change)
    settings.weights.l1 = settings.weights.perceptual = 0
    with pytest.raises(UserError, match=f"{option} leaves the generator without any term to begin with"):
        build_objective(settings, None, CPU)


def test_a_generator_with_tied_weights_is_saved_and_loaded(tmp_path):
    settings = config(generator=f"{HERE}:Tied")
    model = build_generator(settings)
    save_network(model, tmp_path / "generator", Preprocessing.of(settings.generator, settings.data))
    loaded, _ = load_network(tmp_path / "generator", trusted=ANY)
    image = torch.rand(1, 1, 8, 8)
    assert torch.equal(loaded(image, image), model(image, image))


def test_import_object_reports_what_the_module_raised(tmp_path, monkeypatch):
    (tmp_path / "faulty.py").write_text("raise RuntimeError('no luck')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"importing faulty failed \(RuntimeError: no luck\)"):
        import_object("faulty:x", "--generator")
