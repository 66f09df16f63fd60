"""Everything that reads the ledger and changes nothing: searches, statistics, status, comparisons, the feed."""
