"""Addresses that people give: which host they name, and whether the operator allows it."""

import re
from collections.abc import Sequence
from fnmatch import fnmatch
from urllib.parse import parse_qsl, urlencode, urlsplit

FILE_IN_QUERY = {"d": "/data/local-files/", "fileuri": "/resolve/"}
"""Names in a query that tell which file is meant -> part of the paths of Label Studio where they do."""

SIGNED = re.compile(
    r"""([?&;][\w.-]*(?:signature|sig|token|credential|secret|password|session|keyid|apikey)[\w.-]*=)[^\s&;"'<>]+""",
    re.IGNORECASE,
)
"""A parameter of an address, with its name in group 1, whose value lets whoever has it in."""


def host_of(url: str) -> str:
    """Name of the host of an http(s) address; '' where there is none."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "") if parts.scheme in ("http", "https") and parts.port != 0 else ""
    except ValueError:
        return ""


def without_secrets(address: str) -> str:
    """Where a task's audio lies, without user name, password, signature or token; for people and for exports.

    Of a query only what names the file stays: `d` of local files, `fileuri` of Label Studio's storage. Audio that is
    written out in the address itself is left out.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    if parts.scheme == "data":
        return "data:"
    kept = [(name, value) for name, value in parse_qsl(parts.query) if FILE_IN_QUERY.get(name, "?") in parts.path]
    query = urlencode([(name, value.partition("?")[0]) for name, value in kept], safe="/:")
    path = SIGNED.sub("", parts.path)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], path=path, query=query, fragment="").geturl()


def allows(patterns: Sequence[str], host: str) -> bool:
    """Whether a host is one of those that are named; `*.example.org` is understood."""
    return any(fnmatch(host, pattern.lower()) for pattern in patterns)
