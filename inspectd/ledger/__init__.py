"""The ledger: one database that is both the queue of images and the record of every verdict."""
