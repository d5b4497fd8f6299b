"""Training a backbone without labels: TAPT on a pool, or from scratch."""
