"""How good trained generators are on any data, beside each other and beside no model at all."""
