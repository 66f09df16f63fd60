"""Networks that other programs saved: read, understood, and brought into the form that bundles have."""
