"""Annotators' votes: from several answers about a clip to its soft label, and where the next vote is worth most."""
