"""A folder of images per class becomes a bundle."""
