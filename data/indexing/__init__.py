"""Data sets as they are published or handed over -> manifests of images and of pairs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
