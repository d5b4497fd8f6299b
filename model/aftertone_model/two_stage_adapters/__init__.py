"""Two-stage adapters with multi-task learning: transcripts and emotions first, then other attributes in adapters."""
