"""Everything that reads the ledger and changes nothing: search, statistics, status, comparisons, the feed."""
