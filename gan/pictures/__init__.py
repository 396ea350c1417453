"""The pictures a run draws: sample grids, overlays, curves."""
