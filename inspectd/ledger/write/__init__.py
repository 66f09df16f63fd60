"""Everything that changes the ledger: arrivals, claims, outcomes, lists of work to do, retention."""
