"""The commissioning test: files arrive in every way, faults happen, and notes are kept of what was dropped."""
