"""How good maps are, in numbers."""
