"""A table of configurations over seeds: trained, judged, and laid beside each other."""
