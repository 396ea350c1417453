from .blocks import ChannelExpansionBlock, ChannelExpansionLayer, DecoderBlock
from .classification import ClassificationModel
from .config import PRESETS, NetworkConfig
from .constants import (
    FEATURE_CHANNELS,
    FEATURE_SIZE,
    GROUP_NORM_GROUPS,
    HIDDEN_CHANNELS,
    IMG_SIZE,
    INIT_STD,
    INIT_WEIGHTS,
    INTER_CHANNELS,
    PATCHES_NUM,
)
from .discriminator import Discriminator
from .efficientnet import EfficientNetMiniEncoder
from .encoders import BottleneckEncoder, ContrastiveEncoder
from .init import freeze, unfreeze
from .longitudinal import LongitudinalMIMModel, LongitudinalMIMModelBig
from .pretrained import load_imagenet_weights
from .reconstruction import MaskedReconstructionModel
from .transformer import BottleneckBlock, FeatureEmbeddings, TransformerBranch

__all__ = [
    "FEATURE_CHANNELS",
    "FEATURE_SIZE",
    "GROUP_NORM_GROUPS",
    "HIDDEN_CHANNELS",
    "IMG_SIZE",
    "INIT_STD",
    "INIT_WEIGHTS",
    "INTER_CHANNELS",
    "PATCHES_NUM",
    "PRESETS",
    "BottleneckBlock",
    "BottleneckEncoder",
    "ChannelExpansionBlock",
    "ChannelExpansionLayer",
    "ClassificationModel",
    "ContrastiveEncoder",
    "DecoderBlock",
    "Discriminator",
    "EfficientNetMiniEncoder",
    "FeatureEmbeddings",
    "LongitudinalMIMModel",
    "LongitudinalMIMModelBig",
    "MaskedReconstructionModel",
    "NetworkConfig",
    "TransformerBranch",
    "freeze",
    "load_imagenet_weights",
    "unfreeze",
]
