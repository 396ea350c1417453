"""The embedded data set: radiograph pairs projected from a chest CT with findings inserted in 3D."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
