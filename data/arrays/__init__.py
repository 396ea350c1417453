"""Many pairs or images in one file of NumPy arrays."""
