"""What findings need to know of a real radiograph to be drawn into it."""
