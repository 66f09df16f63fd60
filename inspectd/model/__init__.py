"""Model bundles, and the networks that turn prepared pixels into logits, verdicts and heat."""
