"""Several sources as one, each seen as often as its weight says."""
