from .config import LAYOUT_NAMES as LAYOUT_NAMES
from .config import IndexConfig as IndexConfig
from .indexer import Summary as Summary
from .indexer import index as index
