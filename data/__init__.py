"""From files, folders and CT volumes to batches of radiograph pairs and single radiographs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
