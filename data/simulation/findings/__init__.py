"""Findings in volumes and in films."""
