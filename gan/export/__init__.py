"""A trained generator as one file that other programs run."""
