"""Masked pretraining: nothing hidden leaks, the token is learnt, the encoder transfers."""

from dataclasses import replace

import pytest
import torch

from networks import (
    PRESETS,
    ClassificationModel,
    ContrastiveEncoder,
    LongitudinalMIMModel,
    LongitudinalMIMModelBig,
    MaskedReconstructionModel,
)

TINY = PRESETS["tiny"]


@pytest.fixture
def model() -> MaskedReconstructionModel:
    torch.manual_seed(0)
    return MaskedReconstructionModel(config=TINY, patch_size=8)


def patch_mask(height: int, width: int) -> torch.Tensor:
    mask = torch.zeros(2, 1, height, width, dtype=torch.bool)
    mask[:, :, 8:24, 16:32] = True
    return mask


@pytest.mark.parametrize("hidden", [0.0, 1e6, float("nan"), float("inf")])
def test_output_does_not_depend_on_hidden_pixels(model: MaskedReconstructionModel, hidden: float) -> None:
    image, mask = torch.rand(2, 1, 40, 50), patch_mask(40, 50)
    assert torch.equal(model(image, mask), model(image.masked_fill(mask, hidden), mask))


def test_no_gradient_flows_into_hidden_pixels_and_some_into_visible_ones(
    model: MaskedReconstructionModel,
) -> None:
    image, mask = torch.rand(2, 1, 64, 64, requires_grad=True), patch_mask(64, 64)
    model(image, mask)[mask].sum().backward()
    assert image.grad is not None
    assert (image.grad[mask] == 0).all()
    assert (image.grad[~mask] != 0).any()
    assert model.mask_token.grad is not None
    assert (model.mask_token.grad != 0).all()


def test_hidden_patches_show_the_token_and_visible_pixels_the_image(model: MaskedReconstructionModel) -> None:
    image, mask = torch.rand(2, 1, 40, 50), patch_mask(40, 50)
    seen = model.hide(image, mask)
    assert torch.equal(seen[~mask], image[~mask])
    for top, left in [(8, 16), (16, 24)]:
        assert torch.equal(seen[1, :, top : top + 8, left : left + 8], model.mask_token[0])


def test_no_mask_hides_nothing(model: MaskedReconstructionModel) -> None:
    image = torch.rand(1, 1, 64, 64)
    assert torch.equal(model(image), model(image, torch.zeros(1, 1, 64, 64, dtype=torch.bool)))


def test_reconstruction_is_in_the_range_of_images(model: MaskedReconstructionModel) -> None:
    reconstruction = model(torch.rand(2, 1, 64, 64), patch_mask(64, 64))
    assert reconstruction.min() >= 0
    assert reconstruction.max() <= 1


@pytest.mark.parametrize(
    "kind", [LongitudinalMIMModelBig, LongitudinalMIMModel, ClassificationModel, ContrastiveEncoder]
)
def test_every_tensor_of_the_encoder_transfers(model: MaskedReconstructionModel, kind: type) -> None:
    target = kind(config=TINY)
    pretrained = model.encoder.state_dict()
    assert any(not torch.equal(t, pretrained[name]) for name, t in target.encoder.state_dict().items())
    target.encoder.load_state_dict(pretrained, strict=True)
    assert target.encoder.state_dict().keys() == pretrained.keys()
    assert all(torch.equal(t, pretrained[name]) for name, t in target.encoder.state_dict().items())


def test_encoder_travels_by_itself(model: MaskedReconstructionModel, tmp_path) -> None:
    model.encoder.save_pretrained(tmp_path)
    encoder = type(model.encoder).from_pretrained(tmp_path)
    assert encoder.config == TINY
    image = torch.rand(1, 1, 64, 64)
    assert torch.equal(encoder(image), model.encoder.eval()(image))


def test_convolutional_features_are_the_skips_and_never_run_the_transformer(
    model: MaskedReconstructionModel,
) -> None:
    encoder, image = model.encoder, torch.rand(1, 1, 64, 64)
    everything = encoder.forward_features(image)
    encoder.bottleneck.transformer.forward = None  # calling it would raise
    local = encoder.convolutional_features(image)
    assert [f.shape[-1] for f in local] == [64, 32, 16, 8, 4]
    assert tuple(f.shape[1] for f in local) == (*encoder.skip_channels, encoder.out_channels)
    assert all(torch.equal(a, b) for a, b in zip(local[:-1], everything[:-1], strict=True))
    assert not torch.equal(local[-1], everything[-1])


@pytest.mark.parametrize(
    ("mask", "complaint"),
    [
        (torch.zeros(2, 1, 64, 64), "mask is torch.float32"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.bool), r"not torch.bool \(2, 1, 64, 64\)"),
        (torch.zeros(64, 64, dtype=torch.bool), r"not torch.bool \(2, 1, 64, 64\)"),
    ],
)
def test_a_mask_of_another_kind_is_refused(
    model: MaskedReconstructionModel, mask: torch.Tensor, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        model(torch.rand(2, 1, 64, 64), mask)


def test_patch_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="patch_size=0"):
        MaskedReconstructionModel(config=TINY, patch_size=0)


def test_colour_images_are_reconstructed_in_colour() -> None:
    model = MaskedReconstructionModel(in_channels=3, config=replace(TINY, exp=1.0), patch_size=8)
    assert model(torch.rand(2, 3, 40, 50), patch_mask(40, 50)).shape == (2, 3, 40, 50)
