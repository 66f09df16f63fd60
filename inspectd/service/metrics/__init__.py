"""The figures that a monitoring system scrapes, and what they are counted from."""
