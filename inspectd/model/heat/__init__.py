"""The methods of heat: one formula in each file, and the table of their names."""
