"""Loads networks that Keras 2 saved: translates their description to Keras 3, and fills in the weights."""
