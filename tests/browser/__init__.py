"""The status page in a real browser; outside of `make test`, which needs none."""
