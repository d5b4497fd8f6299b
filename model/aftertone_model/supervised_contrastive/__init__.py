"""Cross-corpus supervised contrastive learning: a transformer learns emotions from corpora with labels, then a head."""
