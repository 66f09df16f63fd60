"""The model room: bundles, and what turns prepared pixels into logits, verdicts and heat."""
