"""Reads networks that other programs saved, and converts them to the form that bundles need."""
