"""The command line: one short file per group of commands. It parses, prints and exits; all logic lives below."""
