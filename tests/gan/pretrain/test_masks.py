import pytest
import torch

from data.config import DataConfig
from gan.pretrain.masks import patch_masks
from gan.pretrain.options import MaskConfig, PretrainConfig


def masks(ids=("a", "b"), size=(32, 48), patch_size=8, ratio=0.6, seed=0, epoch=0):
    return patch_masks(ids, size, MaskConfig(patch_size=patch_size, ratio=ratio), seed=seed, epoch=epoch)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75])
def test_the_asked_share_of_whole_patches_is_hidden(ratio):
    mask = masks(ratio=ratio)
    patches = mask.unfold(2, 8, 8).unfold(3, 8, 8).flatten(-2).float().mean(-1)
    assert mask.shape == (2, 1, 32, 48)
    assert set(patches.unique().tolist()) <= {0.0, 1.0}
    assert patches.sum(dim=(1, 2, 3)).tolist() == [round(ratio * 24)] * 2


def test_something_is_hidden_and_something_visible_at_extreme_ratios():
    assert masks(ratio=0.001).any(dim=-1).any(dim=-1).all()
    assert (~masks(ratio=0.999)).any(dim=-1).any(dim=-1).all()


def test_a_mask_follows_from_seed_epoch_and_id_alone():
    alone = masks(ids=["b"])
    assert torch.equal(masks()[1:], alone)
    assert not torch.equal(masks()[:1], alone)
    assert not torch.equal(masks(ids=["b"], epoch=1), alone)
    assert not torch.equal(masks(ids=["b"], seed=1), alone)


def test_patches_at_the_edge_are_cut_off():
    mask = masks(size=(20, 20), ratio=0.5)
    assert mask.shape == (2, 1, 20, 20)
    assert torch.equal(mask[..., 16:, :].any(dim=-2), mask[..., 16, :])


def test_a_patch_as_large_as_the_image_is_refused():
    with pytest.raises(ValueError, match=r"mask.patch_size is 64; it must be smaller than data.image_size"):
        PretrainConfig(mask=MaskConfig(patch_size=64), data=DataConfig(image_size=64))
