"""Data sets as they are published or handed over -> manifests of images and of pairs."""
