"""Removes old files and ledger rows by the rules of the configuration."""
