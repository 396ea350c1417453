"""Decode and resize every file of a data set once, into the Arrow store."""
