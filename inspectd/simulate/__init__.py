"""The commissioning test: files arrive in every way, faults happen, and books are kept of what was dropped."""
