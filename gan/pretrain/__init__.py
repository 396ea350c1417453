"""Pretraining of the encoder on single radiographs."""
