"""CT volumes -> radiograph pairs whose change is known."""
