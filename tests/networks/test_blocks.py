"""Building blocks with the constructor arguments of the reference document."""

import pytest
import torch
from torch import nn
from transformers import ViTConfig, ViTModel

import networks
from networks import PRESETS
from networks.blocks import DifferenceFusion, ResidualBlock, compare, group_norm, halves, pad_to_multiple
from networks.transformer import position_grid, vision_transformer


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


def test_documented_constructors_have_the_documented_shapes() -> None:
    with torch.device("meta"):
        layer = networks.ChannelExpansionLayer(in_channels=64, out_multiplier=2)
        assert layer(meta(2, 64, 8, 8)).shape == (2, 128, 8, 8)
        assert networks.ChannelExpansionBlock()(meta(2, 1, 8, 8)).shape == (2, 64, 8, 8)
        encoder = networks.EfficientNetMiniEncoder(
            block_idxs=(0, 4, 11, 18, 28, 38, 51, 52), inp=1, exp=8.0, exp2=8.0, dropout=False
        )
        assert encoder(meta(1, 1, 512, 512)).shape == (1, 640, 32, 32)
        vit = ViTModel(ViTConfig(), add_pooling_layer=False)
        features = meta(1, 640, 32, 32)
        assert networks.FeatureEmbeddings()(features).shape == (
            1,
            networks.PATCHES_NUM,
            networks.HIDDEN_CHANNELS,
        )
        assert networks.TransformerBranch(vit)(features).shape == features.shape
        assert networks.BottleneckBlock(vit)(features).shape == features.shape
        block = networks.DecoderBlock(
            in_channels=640, out_channels=320, deconv_kernel_size=2, deconv_stride=2, sigmoid=False
        )
        assert block(features).shape == (1, 320, 64, 64)


def test_efficientnet_scales_are_those_of_b7() -> None:
    with torch.device("meta"):
        features = networks.EfficientNetMiniEncoder().forward_features(meta(1, 1, 64, 64))
    assert [tuple(f.shape[1:]) for f in features] == [
        (32, 64, 64),
        (48, 32, 32),
        (80, 16, 16),
        (224, 8, 8),
        (640, 4, 4),
    ]


def test_an_expansion_the_first_block_cannot_take_is_refused() -> None:
    with pytest.raises(ValueError, match="expand to 512 channels; the first block takes 64"):
        networks.EfficientNetMiniEncoder(exp=64.0, exp2=8.0)
    with pytest.raises(ValueError, match="leaves no channel"):
        networks.ChannelExpansionLayer(2, 0.1)


def test_dropout_touches_the_residual_blocks_in_training_only() -> None:
    encoder = networks.EfficientNetMiniEncoder(dropout=True)
    rates = [m.p for m in encoder.modules() if isinstance(m, nn.Dropout)]
    assert rates[-1] == pytest.approx(0.2 * 52 / 55)
    assert all(m.p == 0 for m in networks.EfficientNetMiniEncoder().modules() if isinstance(m, nn.Dropout))


def test_group_norm_divides_any_width() -> None:
    assert [group_norm(width).num_groups for width in (640, 60, 40, 7)] == [32, 4, 8, 1]


def test_no_layer_depends_on_the_batch() -> None:
    with torch.device("meta"):
        model = networks.LongitudinalMIMModelBig()
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 50), (7, 31)])
def test_padding_repeats_the_border_and_leaves_the_image(height: int, width: int) -> None:
    image = torch.rand(2, 1, height, width)
    padded = pad_to_multiple(image)
    assert padded.shape[-2] % 32 == padded.shape[-1] % 32 == 0
    assert torch.equal(padded[..., :height, :width], image)
    assert torch.equal(
        padded[..., :height, width:], image[..., -1:].expand(-1, -1, -1, padded.shape[-1] - width)
    )
    assert padded is image or padded.shape != image.shape


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (4, 2), (3, 1), (4, 4)])
def test_decoder_block_upsamples_by_its_stride(kernel: int, stride: int) -> None:
    block = networks.DecoderBlock(8, 4, kernel, stride, norm_groups=4)
    assert block(torch.rand(1, 8, 5, 6)).shape == (1, 4, 5 * stride, 6 * stride)


def test_decoder_block_ends_in_a_sigmoid_when_asked() -> None:
    output = networks.DecoderBlock(8, 1, sigmoid=True)(100 * torch.randn(1, 8, 5, 5))
    assert output.min() >= 0
    assert output.max() <= 1


def test_decoder_block_joins_its_skip() -> None:
    block = networks.DecoderBlock(8, 4, skip_channels=3, norm_groups=4)
    x, skip = torch.rand(1, 8, 4, 4), torch.rand(1, 3, 8, 8, requires_grad=True)
    block(x, skip).square().sum().backward()
    assert skip.grad is not None
    assert (skip.grad != 0).all()


def test_a_decoder_that_resizes_spreads_a_pixel_evenly_where_a_deconvolution_need_not() -> None:
    """Over a constant image, the one differs from pixel to pixel of its stride, the other not at all."""
    x = torch.ones(1, 8, 6, 6)
    for upsampling, even in (("resize", True), ("deconvolution", False)):
        upsampled = networks.DecoderBlock(8, 4, norm_groups=4, upsampling=upsampling).deconv(x)
        assert upsampled.shape == (1, 4, 12, 12)
        inside = upsampled[..., 1:-1, 1:-1]
        assert torch.allclose(inside, inside[..., :1, :1], atol=1e-6) == even


def test_decoder_block_refuses_a_kernel_that_shifts() -> None:
    with pytest.raises(ValueError, match="deconv_kernel_size=3 is not deconv_stride=2 plus"):
        networks.DecoderBlock(8, 4, 3, 2)


def test_fusion_tells_which_image_came_first() -> None:
    fusion = DifferenceFusion(8, norm_groups=4)
    before, after = torch.rand(2, 1, 8, 6, 6)
    assert not torch.allclose(fusion(before, after), fusion(after, before), atol=1e-2)


def test_of_two_equal_maps_no_difference_is_seen_and_of_others_what_changed() -> None:
    before, after = torch.rand(2, 3, 4, 6, 6)
    assert not compare(before, before, "difference").any()
    difference, magnitude = compare(before, after, "difference").chunk(2, dim=1)
    torch.testing.assert_close(difference, after - before)
    torch.testing.assert_close(magnitude, (after - before).abs())
    assert torch.equal(compare(before, after, "concatenation"), torch.cat([before, after], dim=1))


def test_fusion_can_compute_the_signed_difference() -> None:
    """Least squares on its linear pointwise path reaches `after - before` exactly."""
    fusion = DifferenceFusion(4)
    before, after = torch.rand(2, 8, 4, 6, 6)
    identity = torch.eye(4)
    with torch.no_grad():
        fusion.pointwise.weight.copy_(torch.cat([-identity, identity], dim=1)[..., None, None])
    torch.testing.assert_close(fusion.pointwise(torch.cat([before, after], 1)), after - before)


def test_residual_block_is_the_identity_without_its_branch() -> None:
    block = ResidualBlock(8, norm_groups=4)
    nn.init.zeros_(block.branch[-1].weight)
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(block(x), x)


def test_transformer_runs_the_layers_of_the_vit_with_sdpa() -> None:
    vit = vision_transformer(PRESETS["tiny"]).eval()
    assert vit.config._attn_implementation == "sdpa"
    branch = networks.TransformerBranch(vit, 16, 24, stride=1, patches_num=16, norm_groups=4).eval()
    features = torch.rand(2, 16, 4, 4)
    tokens = branch.embeddings(features)
    vit.set_attn_implementation("eager")
    for layer in vit.layers:
        tokens = layer(tokens)
    expected = branch.upsample(vit.layernorm(tokens).transpose(1, 2).unflatten(2, (4, 4)))
    vit.set_attn_implementation("sdpa")
    torch.testing.assert_close(branch(features), expected, rtol=1e-4, atol=1e-5)
    assert not any("patch_embeddings" in name for name, _ in branch.named_parameters())


def test_bottleneck_takes_a_ready_branch() -> None:
    branch = networks.TransformerBranch(vision_transformer(PRESETS["tiny"]), 16, 24, norm_groups=4)
    block = networks.BottleneckBlock(branch, 16, norm_groups=4)
    assert block.transformer is branch


def test_positions_tell_tokens_apart_and_follow_the_grid() -> None:
    embeddings = networks.FeatureEmbeddings(4, 8, 16, stride=2, patches_num=16)
    tokens = embeddings(torch.ones(1, 4, 8, 8))
    assert not torch.allclose(tokens[:, 0], tokens[:, 1], atol=1e-3)

    ramp = torch.arange(4.0).repeat(4).view(1, 16, 1)  # grows along the columns
    assert torch.equal(position_grid(ramp, 4, 4)[0, 0, 0], torch.arange(4.0))
    wide = position_grid(ramp, 4, 9)
    assert wide.shape == (1, 1, 4, 9)
    assert (wide[0, 0, 0].diff() > 0).all()
    torch.testing.assert_close(wide[0, 0, 0], wide[0, 0, 3])
    torch.testing.assert_close(position_grid(torch.ones(1, 16, 2), 3, 7), torch.ones(1, 2, 3, 7))


def test_halves_are_the_two_chunks_of_a_batch() -> None:
    both = torch.rand(6, 4, 5, 3).to(memory_format=torch.channels_last)
    for half, chunk in zip(halves(both), both.chunk(2), strict=True):
        assert torch.equal(half, chunk)
        assert half.stride() == chunk.stride()
