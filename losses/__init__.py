"""Unweighted, named terms of the training objectives: pure functions of tensors, float32 scalars."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
