"""What a data set consists of, before any file of it is opened: manifests, folder layouts, splits."""
