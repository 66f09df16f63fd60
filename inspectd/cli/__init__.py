"""The command line: one short file for each group of commands. It parses, prints and exits; the rooms below have the
logic."""
