"""Trains a network on a folder of images per class, and writes it as a bundle."""
