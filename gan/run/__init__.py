"""What every stage that trains is made of: a run, its files, its data, and the loop."""
