"""The default data: rendered once from a CT or a phantom, kept in a cache, then read from memory."""
