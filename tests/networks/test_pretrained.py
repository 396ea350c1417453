"""ImageNet weights from Hugging Face folders, here random ones of small width."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import EfficientNetConfig, EfficientNetModel, ViTConfig, ViTModel

from networks import PRESETS, BottleneckEncoder, Discriminator, LongitudinalMIMModelBig, load_imagenet_weights
from networks.config import NetworkConfig
from networks.efficientnet import EfficientNetMiniEncoder, efficientnet_config
from networks.transformer import position_grid

TINY = PRESETS["tiny"]


def randomise(model: nn.Module) -> nn.Module:
    """Random everywhere, running statistics included, so that a tensor left out shows."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) * 0.2 + (0.5 if name.endswith("running_var") else 0.0))
    return model


@pytest.fixture
def efficientnet(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = efficientnet_config(TINY)
    config.hidden_dim = 1280
    randomise(EfficientNetModel(config)).save_pretrained(tmp_path / "efficientnet")
    return tmp_path / "efficientnet"


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    config = ViTConfig(
        hidden_size=128, num_hidden_layers=3, num_attention_heads=4, intermediate_size=256, image_size=96
    )
    randomise(ViTModel(config)).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


def test_selected_blocks_are_those_of_b7() -> None:
    """Names and shapes of every tensor, against the real B7 configuration."""
    with torch.device("meta"):
        b7 = EfficientNetModel(EfficientNetConfig(width_coefficient=2.0, depth_coefficient=3.1))
        ours = EfficientNetMiniEncoder(norm="batch")
    assert len(b7.encoder.blocks) == 55
    theirs = nn.ModuleList(b7.encoder.blocks[index] for index in ours.block_idxs)
    assert {n: t.shape for n, t in ours.blocks.state_dict().items()} == {
        n: t.shape for n, t in theirs.state_dict().items()
    }


def test_efficientnet_blocks_compute_what_the_pretrained_ones_do(efficientnet: Path) -> None:
    model = LongitudinalMIMModelBig(config=TINY).eval()
    load_imagenet_weights(model, efficientnet=efficientnet)
    model.eval()
    source = EfficientNetModel.from_pretrained(efficientnet).eval()
    x = expected = torch.rand(1, TINY.stem_channels, 32, 32)
    for block, index in zip(model.encoder.efficientnet.blocks, TINY.block_idxs, strict=True):
        x, expected = block(x), source.encoder.blocks[index](expected)
    torch.testing.assert_close(x, expected)


def test_group_norm_gives_way_to_batch_norm_only_where_weights_come(efficientnet: Path, vit: Path) -> None:
    encoder = BottleneckEncoder(TINY)
    load_imagenet_weights(encoder, vit=vit)
    assert encoder.config.norm == "group"
    load_imagenet_weights(encoder, efficientnet=efficientnet)
    assert encoder.config.norm == "batch"
    kinds = {type(m) for m in encoder.efficientnet.blocks.modules()}
    assert nn.BatchNorm2d in kinds
    assert nn.GroupNorm not in kinds
    assert any(isinstance(m, nn.GroupNorm) for m in encoder.bottleneck.modules())
    assert TINY.norm == "group"  # the preset itself is left alone


def test_vit_layers_and_positions_are_copied(vit: Path) -> None:
    encoder = BottleneckEncoder(TINY)
    load_imagenet_weights(encoder, vit=vit)
    source = ViTModel.from_pretrained(vit)
    branch = encoder.bottleneck.transformer
    for ours, theirs in ((branch.layers, source.layers), (branch.layernorm, source.layernorm)):
        assert all(torch.equal(t, theirs.state_dict()[n]) for n, t in ours.state_dict().items())
    patches = source.embeddings.position_embeddings[:, 1:]  # 6 x 6, without the class token
    expected = position_grid(patches, 8, 8).flatten(2).transpose(1, 2)
    assert torch.equal(branch.embeddings.positions, expected)
    assert branch.embeddings.positions.requires_grad


def test_loaded_weights_survive_saving_through_the_model_that_owns_the_encoder(
    efficientnet: Path, tmp_path: Path
) -> None:
    model = LongitudinalMIMModelBig(config=TINY)
    load_imagenet_weights(model.encoder, efficientnet=efficientnet)
    model.eval().save_pretrained(tmp_path / "generator")
    loaded = LongitudinalMIMModelBig.from_pretrained(tmp_path / "generator")
    assert loaded.config == replace(TINY, norm="batch")
    images = torch.rand(2, 1, 1, 64, 64)
    assert torch.equal(loaded(*images), model(*images))


def test_weights_of_another_width_leave_the_encoder_as_it_was(efficientnet: Path, vit: Path) -> None:
    encoder = BottleneckEncoder(replace(TINY, stage_channels=(8, 16, 24, 48, 64, 96, 112), mlp_channels=512))
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(ValueError, match=r"efficientnet: not the weights .*size mismatch"):
        load_imagenet_weights(encoder, efficientnet=efficientnet)
    with pytest.raises(ValueError, match=r"vit: not the weights .*size mismatch"):
        load_imagenet_weights(encoder, vit=vit)
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_mistakes_are_named(tmp_path: Path, vit: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        load_imagenet_weights(BottleneckEncoder(TINY), vit=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="Discriminator has no BottleneckEncoder"):
        load_imagenet_weights(Discriminator(base_channels=4), vit=vit)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no EfficientNetModel there"):
        load_imagenet_weights(BottleneckEncoder(TINY), efficientnet=tmp_path / "empty")


def test_a_shallower_efficientnet_is_refused(tmp_path: Path) -> None:
    config = EfficientNetConfig(width_coefficient=0.25, depth_coefficient=1.0, hidden_dim=320)
    EfficientNetModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has 16 blocks, the encoder wants block 52"):
        load_imagenet_weights(BottleneckEncoder(NetworkConfig(**vars(TINY))), efficientnet=tmp_path)
