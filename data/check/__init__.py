"""Open every file of a data set and say what is wrong with which."""
