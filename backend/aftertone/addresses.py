"""Addresses that people give: which host they name, and whether the operator allows it."""

from collections.abc import Sequence
from fnmatch import fnmatch
from urllib.parse import urlsplit


def host_of(url: str) -> str:
    """Name of the host of an http(s) address; '' where there is none."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "") if parts.scheme in ("http", "https") and parts.port != 0 else ""
    except ValueError:
        return ""


def allows(patterns: Sequence[str], host: str) -> bool:
    """Whether a host is one of those that are named; `*.example.org` is understood."""
    return any(fnmatch(host, pattern.lower()) for pattern in patterns)
