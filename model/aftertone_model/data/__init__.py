"""Audio in: decoding, the pool of clips, manifests, batches, files."""
