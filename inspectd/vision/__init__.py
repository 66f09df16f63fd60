"""Seeing: bytes become pixels, heat becomes regions and a picture. Networks, ledger and folders are unknown here."""
