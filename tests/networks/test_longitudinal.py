"""The generators: range, start, order of the two images, bad input."""

import json
from dataclasses import replace

import pytest
import torch

from networks import PRESETS, LongitudinalMIMModel, LongitudinalMIMModelBig

TINY = PRESETS["tiny"]
both = pytest.mark.parametrize("kind", [LongitudinalMIMModelBig, LongitudinalMIMModel])


def pair(size: int = 64) -> torch.Tensor:
    return torch.rand(2, 2, 1, size, size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@both
@pytest.mark.parametrize(("change", "low"), [("magnitude", 0.0), ("signed", -1.0)])
def test_map_stays_in_its_range_even_for_extreme_logits(kind, change: str, low: float) -> None:
    model = kind(config=TINY, change=change)
    model.head.pointwise.weight.data.mul_(1e4)
    output = model(*pair())
    assert output.min() >= low
    assert output.max() <= 1
    assert output.min() < low + 0.1
    assert output.max() > 0.9


@both
@pytest.mark.parametrize("change", ["magnitude", "signed"])
def test_training_starts_near_the_empty_map_but_alive(kind, change: str) -> None:
    model = kind(config=TINY, change=change)
    output = model(*pair())
    assert output.abs().mean() < 0.1
    output.mean().backward()
    slope = {"magnitude": 0.005, "signed": 0.9}[change]  # of sigmoid or tanh at the start
    assert model.head.pointwise.bias.grad.item() > slope


@both
def test_order_of_the_images_matters_and_pairs_do_not_mix(kind) -> None:
    model = kind(config=TINY).eval()
    model.head.pointwise.weight.data.mul_(100)
    baseline, followup = pair()
    output = model(baseline, followup)
    assert (output - model(followup, baseline)).abs().max() > 1e-3
    other = followup.clone()
    other[1] = 0
    torch.testing.assert_close(model(baseline, other)[0], output[0], rtol=1e-4, atol=1e-5)
    assert (model(baseline, other)[1] - output[1]).abs().max() > 1e-3


@both
def test_both_images_share_one_pass_through_the_encoder(kind) -> None:
    model = kind(config=TINY)
    batches: list[int] = []
    model.encoder.efficientnet.expansion.register_forward_hook(lambda *call: batches.append(len(call[-1])))
    model(*pair())
    assert batches == [4]


def test_fine_detail_of_both_images_reaches_the_big_model_through_skips() -> None:
    """With the bottleneck cut off, only skips can carry an image to the output."""
    for index in (0, 1):
        images = [image.requires_grad_() for image in pair()]
        model = LongitudinalMIMModelBig(config=TINY)
        model.fusion.register_forward_hook(lambda *call: torch.zeros_like(call[-1]))
        model(*images).sum().backward()
        assert images[index].grad is not None
        assert (images[index].grad != 0).float().mean() > 0.9


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_activations_keep_a_healthy_scale_from_block_to_block(preset: str) -> None:
    model = LongitudinalMIMModelBig(config=PRESETS[preset])
    scales: dict[str, float] = {}
    blocks = [f"encoder.efficientnet.blocks.{index}" for index in range(8)]
    for name in [*blocks, "encoder.bottleneck", "fusion", "residual.0", "decoder"]:
        model.get_submodule(name).register_forward_hook(
            lambda *call, name=name: scales.update({name: call[-1].std().item()})
        )
    output = model(*pair())
    (output * torch.randn_like(output)).mean().backward()
    assert len(scales) == 12
    assert all(0.2 < scale < 5 for scale in scales.values()), scales
    pulls = {
        name: (parameter.grad.norm() / parameter.norm()).item()
        for name, parameter in model.named_parameters()
        if parameter.ndim == 4 and "squeeze_excite" not in name and not name.startswith("head")
    }
    assert max(pulls.values()) < 1e3 * min(pulls.values()), pulls


@both
def test_bad_images_are_named(kind) -> None:
    model = kind(config=TINY)
    with pytest.raises(ValueError, match=r"differ in shape: \(1, 1, 64, 64\) and \(1, 1, 64, 32\)"):
        model(torch.rand(1, 1, 64, 64), torch.rand(1, 1, 64, 32))
    with pytest.raises(ValueError, match=r"\(1, 3, 64, 64\) is not \[B, 1, H, W\]"):
        model(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match=r"\(64, 64\) is not \[B, 1, H, W\]"):
        model(torch.rand(64, 64), torch.rand(64, 64))
    with pytest.raises(ValueError, match="change='both' is not one of 'magnitude', 'signed'"):
        kind(config=TINY, change="both")


def test_what_two_equal_images_show_does_not_matter_to_a_comparison_by_difference() -> None:
    """One image against itself gives the same map whatever it shows; both images' features do not."""
    first, second = pair()[0]
    for comparison, same in (("difference", True), ("concatenation", False)):
        model = LongitudinalMIMModelBig(config=replace(TINY, comparison=comparison)).eval()
        for parameter in model.parameters():
            if parameter.ndim == 1:  # with biases of 0, as at the start, norms would magnify rounding
                torch.nn.init.normal_(parameter, 0.5, 0.5)
        with torch.no_grad():
            maps = [model(image[None], image[None]) for image in (first, second)]
        assert torch.allclose(*maps, atol=1e-4) is same


def test_a_model_saved_before_there_was_a_choice_is_as_it_was(tmp_path) -> None:
    config = replace(TINY, comparison="concatenation")
    model = LongitudinalMIMModel(config=config).eval()
    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    del saved["config"]["comparison"], saved["config"]["upsampling"]
    (tmp_path / "config.json").write_text(json.dumps(saved))
    loaded = LongitudinalMIMModel.from_pretrained(tmp_path)
    assert loaded.config == config
    assert torch.equal(loaded(*pair()), model(*pair()))


def test_a_decoder_that_resizes_is_saved_and_loaded(tmp_path) -> None:
    model = LongitudinalMIMModelBig(config=replace(TINY, upsampling="resize")).eval()
    assert not any(isinstance(layer, torch.nn.ConvTranspose2d) for layer in model.decoder.modules())
    model.save_pretrained(tmp_path)
    assert torch.equal(LongitudinalMIMModelBig.from_pretrained(tmp_path)(*pair()), model(*pair()))


@pytest.mark.parametrize("model", [LongitudinalMIMModel, LongitudinalMIMModelBig])
def test_two_images_that_are_alike_leave_gradients_of_a_usual_size(model):
    torch.manual_seed(0)
    network, image = model(config=TINY), torch.rand(2, 1, 64, 64)
    network(image, image).mean().backward()
    largest = max(
        parameter.grad.abs().max() for parameter in network.parameters() if parameter.grad is not None
    )
    assert 0 < largest < 10  # 1e22 without the biases of the fusions
