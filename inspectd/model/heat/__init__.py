"""The methods of heat: one formula a file, and the table of their names."""
