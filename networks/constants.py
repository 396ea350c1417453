"""The reference model's sizes, and the switch of the weight initialisation."""

IMG_SIZE = 512
"""Side in pixels of the images the reference model is sized for (a default, not a limit)."""
FEATURE_SIZE = 32
"""Side of the encoder's feature map at `IMG_SIZE`: one sixteenth of it."""
FEATURE_CHANNELS = 640
"""Channels of the encoder's feature map."""
HIDDEN_CHANNELS = 768
"""Width of the transformer (ViT-Base)."""
INTER_CHANNELS = 704
"""Width halfway between the features and the transformer."""
PATCHES_NUM = 256
"""Learned transformer positions: a 16 x 16 grid."""
GROUP_NORM_GROUPS = 32
"""Groups of a GroupNorm; a layer uses its greatest common divisor with the channel count."""
INIT_STD = 0.02
"""Standard deviation of embeddings and transformer weights at initialisation."""
INIT_WEIGHTS = True
"""Initialise weights as documented in `networks.init`; False keeps the layers' library defaults.
Read when a network is built, from this module: set `networks.constants.INIT_WEIGHTS`."""
