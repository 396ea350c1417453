"""The ground floor: errors, seeds, command lines, processes, files written whole, output folders."""
