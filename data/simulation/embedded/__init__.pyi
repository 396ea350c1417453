from .dataset import SyntheticImages, SyntheticPairs
from .render import render_splits

__all__ = ["SyntheticImages", "SyntheticPairs", "render_splits"]
