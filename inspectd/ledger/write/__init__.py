"""Everything that changes the ledger: arrivals, claims, outcomes, the lists of work that follows, retention."""
