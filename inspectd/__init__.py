"""inspectd: drop an image into a folder; get a verdict, the reason for it, and a record."""

__version__ = "0.1.0"
