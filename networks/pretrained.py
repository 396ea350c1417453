"""ImageNet weights for the encoder, from a local Hugging Face folder or the hub."""

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import EfficientNetModel, PreTrainedModel, ViTModel

from networks.bottleneck import BottleneckEncoder
from networks.efficientnet import set_norm
from networks.hub import mismatch_named
from networks.transformer import position_grid


def load_imagenet_weights(
    model: nn.Module,
    *,
    efficientnet: str | Path | None = None,
    vit: str | Path | None = None,
) -> None:
    """Copy ImageNet weights into the encoder of `model`, in place.

    The EfficientNet blocks get BatchNorm layers instead of GroupNorm, since that is what their weights were
    trained with; from then on their training depends on the batch. The ViT's positions are interpolated
    to the encoder's grid. Layers without a counterpart (channel expansion, projections to and from the
    transformer, convolutional branch) keep their weights. Make optimisers after this, not before.

    Args:
        model: a `BottleneckEncoder` or a model with one.
        efficientnet: folder in Hugging Face layout (`config.json`, `model.safetensors`), or a hub id such as
            `google/efficientnet-b7`, which is downloaded.
        vit: the same for a ViT such as `google/vit-base-patch16-224-in21k`.

    Raises:
        ValueError: `model` has no encoder, a folder is not there, or the weights are of another size.
    """
    encoder = model if isinstance(model, BottleneckEncoder) else getattr(model, "encoder", None)
    if not isinstance(encoder, BottleneckEncoder):
        raise ValueError(f"{type(model).__name__} has no BottleneckEncoder to load ImageNet weights into")
    if efficientnet is not None:
        _load_efficientnet(encoder, read_local(EfficientNetModel, efficientnet), str(efficientnet))
    if vit is not None:
        _load_vit(encoder, read_local(ViTModel, vit, add_pooling_layer=False), str(vit))


def read_local(kind: Any, source: str | Path, **options: bool) -> PreTrainedModel:
    """A model of transformers from a folder, or from a hub id given as a string.

    Raises:
        ValueError: there is none, or what is there cannot be read.
    """
    local = Path(source).is_dir()
    if isinstance(source, Path) and not local:
        raise ValueError(
            f"{source}: no such folder; give one in Hugging Face layout, or a hub id as a string"
        )
    try:
        model: PreTrainedModel = kind.from_pretrained(source, local_files_only=local, **options)
    except (OSError, ValueError) as error:
        raise ValueError(f"{source}: no {kind.__name__} there ({str(error).splitlines()[0]})") from error
    return model


def _load_efficientnet(encoder: BottleneckEncoder, source: EfficientNetModel, name: str) -> None:
    block_idxs = encoder.efficientnet.block_idxs
    available = len(source.encoder.blocks)
    if max(block_idxs) >= available:
        raise ValueError(f"{name}: has {available} blocks, the encoder wants block {max(block_idxs)}; use B7")
    # On a copy, so that weights of another size leave the encoder as it was.
    blocks = deepcopy(encoder.efficientnet.blocks)
    set_norm(blocks, "batch")
    chosen = nn.ModuleList(source.encoder.blocks[index] for index in block_idxs)
    with mismatch_named(blocks, name):
        blocks.load_state_dict(chosen.state_dict())
    encoder.efficientnet.blocks = blocks
    encoder.config.norm = "batch"


@torch.no_grad()
def _load_vit(encoder: BottleneckEncoder, source: ViTModel, name: str) -> None:
    branch = encoder.bottleneck.transformer
    layers, layernorm = deepcopy(branch.layers), deepcopy(branch.layernorm)
    with mismatch_named(branch, name):
        layers.load_state_dict(source.layers.state_dict())
        layernorm.load_state_dict(source.layernorm.state_dict())
    branch.layers, branch.layernorm = layers, layernorm
    patches = source.embeddings.position_embeddings[:, 1:]  # the first belongs to the class token
    side = math.isqrt(branch.embeddings.positions.shape[1])
    branch.embeddings.positions.copy_(position_grid(patches, side, side).flatten(2).transpose(1, 2))
