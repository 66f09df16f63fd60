"""The demo: a synthetic camera, a model that knows its surfaces, and the real daemon between them."""
