"""Self-supervised speech models: a frozen CNN over the waveform, a transformer over its frames."""
