"""From files in watched folders to rows in the ledger: hints, the scan, and the wait until a file is whole.

Events are hints, the scan is the truth, the ledger row is the claim. Nothing here opens an image or judges one.
"""
