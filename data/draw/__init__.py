"""Changes drawn into real radiographs: two copies of one image, findings in one of them, the exact map."""
