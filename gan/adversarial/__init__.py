"""Adversarial training of a change model."""
