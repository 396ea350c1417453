"""What changed between two radiographs, with a trained generator."""
