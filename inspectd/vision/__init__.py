"""Decodes image files, finds hot regions and draws overlays. Imports neither networks nor ledger nor folders."""
