"""Holds the disk against the ledger, and repairs the differences that can be repaired."""
