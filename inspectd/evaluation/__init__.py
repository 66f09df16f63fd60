"""Evaluates a bundle on images of known class, in the terms and pictures of quality work."""
