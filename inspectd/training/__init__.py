"""The training room: a folder per class becomes a bundle."""
