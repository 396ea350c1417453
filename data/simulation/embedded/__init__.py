"""The embedded data set: radiograph pairs projected from a chest CT with findings inserted in 3D."""
