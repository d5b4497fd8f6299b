"""A Label Studio ML backend for speech emotion recognition."""

__version__ = "0.1.0"  # the only place that says it; pyproject.toml reads it here
