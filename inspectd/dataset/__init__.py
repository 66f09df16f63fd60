"""Finds images of known class, hashes them, splits them into training, validation and test, and reads them for a
network.
"""
