"""Data decoded and resized once, into memory-mapped Arrow."""
