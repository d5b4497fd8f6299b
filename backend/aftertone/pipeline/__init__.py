"""The background work: `advance` decides a project's next step and does it."""
