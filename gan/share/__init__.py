"""A trained generator on the hub, with a card that says what it is."""
