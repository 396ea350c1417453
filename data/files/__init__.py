"""Radiographs and change maps on disk: reading them in every format, and writing maps."""
