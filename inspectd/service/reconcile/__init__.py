"""Compares the disk with the ledger, and closes the gaps that can be closed."""
