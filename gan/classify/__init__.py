"""Multi-label classification of single radiographs: judges an encoder in minutes."""
