"""Addresses that people give: which host they name, and whether the operator allows it."""

import base64
import binascii
import re
from collections.abc import Sequence
from fnmatch import fnmatch
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

FILE_IN_QUERY = {"d": "/data/local-files/", "fileuri": "/resolve/"}
"""Names in a query that tell which file is meant -> part of the paths of Label Studio where they do."""

MOST_DECODED = 5  # times that percent-encoding is undone: what is encoded more often names no file

_PERCENT = rf"%(?:25){{0,{MOST_DECODED}}}"
_BEGINS = rf"(?:[?&;#]|{_PERCENT}(?:3F|26|3B|23)|\\u00(?:3F|26|3B|23))"  # the last as JSON has it
_EQUALS = rf"(?:=|{_PERCENT}3D|\\u003D)"
_COLON = rf"(?::|{_PERCENT}3A)"
_SLASH = rf"(?:/|{_PERCENT}2F)"
_USER = rf"""(?:(?!{_PERCENT}(?:2F|3F|23))[^\s"'<>/?#\\])*(?:@|{_PERCENT}40)"""
SECRET_WORDS = r"signature|token|credentials?|secret|password"
_IN_ADDRESS = rf"{SECRET_WORDS}|sig|session|key|pass|passwd|pwd|auth|authorization|jwt"
SECRET_END = r"(?:[_.-]?id)?"  # of a name, as in AWSAccessKeyId; `max_tokens` and `tokenizer` are no secrets

SIGNED = re.compile(
    rf"""((?:{_BEGINS}(?:[\w.-]{{0,60}}(?:{_IN_ADDRESS}){SECRET_END}|code)"""
    rf"""|(?<![\w.-])[\w.-]{{0,60}}(?:{SECRET_WORDS}){SECRET_END}){_EQUALS})(?:(?!\\u00)[^\s&;"'<>])+""",
    re.IGNORECASE,
)
"""A parameter of an address, with its name in group 1, whose value lets whoever has it in; percent-encoded ones too.

The name ends with the word that says so. Without what begins a parameter, `?` or `&` or `#`, only words that mean
nothing else count: `key=value` is no secret. A name has a bounded length, or a long text of a stranger would take
seconds.
"""

FILE_PARAMETER = re.compile(rf"""((?:{_BEGINS}|(?<![\w.%-]))(d|fileuri){_EQUALS})([^\s&;"'<>]+)""", re.IGNORECASE)
"""What names a file in a query, wherever it stands in a text, `&amp;` too: what is before the value with the name in
group 2, and the value."""

ENCODED = re.compile(
    rf"""\b[a-z][a-z0-9+.-]{{0,30}}(?!://){_COLON}{_SLASH}{{2}}(?:{_USER})?[^\s"'<>)\]}},&;]+""", re.IGNORECASE
)
"""An address that is percent-encoded, as a whole or in part."""

USER = re.compile(rf"({_COLON}(?:\\?{_SLASH}){{2}}){_USER}", re.IGNORECASE)
"""What is before the host of an address, wherever it stands in a text or in another address: `://` in group 1, which
JSON may have as `:\\/\\/`, and user name and password."""


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
    query = urlencode([(name, _file(name, value)) for name, value in kept], safe="/:")
    path = USER.sub(r"\1", SIGNED.sub("", parts.path))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], path=path, query=query, fragment="").geturl()


def without_secret_files(text: str) -> str:
    """A text whose `?d=` and `?fileuri=` name files without what is secret in their addresses."""

    def clean(found: re.Match[str]) -> str:
        name, value = found[2].lower(), unquote(found[3])
        safe = _file(name, value)
        return found[0] if safe == value else found[1] + urlencode({name: safe}, safe="/:").partition("=")[2]

    return FILE_PARAMETER.sub(clean, text)


def without_encoded_secrets(text: str) -> str:
    """A text whose percent-encoded addresses are readable, and without what is secret in them."""
    return ENCODED.sub(lambda found: without_secrets(_decoded(found[0]) or ""), text)


def _file(name: str, value: str) -> str:
    """What names a file in a query, without secrets: a path, or a storage's address, which `fileuri` has as base64."""
    if name != "fileuri":
        return _stored(value)
    if "://" in value:
        return _stored(value)
    try:
        padded = unquote(value).rstrip("=")
        address = base64.b64decode(padded + "=" * (-len(padded) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return ""  # nobody knows what it holds
    safe = _stored(address)
    return value if safe == address else base64.urlsafe_b64encode(safe.encode()).decode()


def _stored(address: str) -> str:
    """Where a file lies, without query, user name and password, however often it was percent-encoded."""
    plain = _decoded(address)
    if plain is None:
        return ""
    secret = "?" in plain or "#" in plain or "@" in plain.partition("://")[2].partition("/")[0] or SIGNED.search(plain)
    return without_secrets(plain.partition("?")[0].partition("#")[0]) if secret else address


def _decoded(address: str) -> str | None:
    """Without percent-encoding; None where there is more of it than anybody needs."""
    for _ in range(MOST_DECODED):
        address, before = unquote(address), address
        if address == before:
            return address
    return None


def allows(patterns: Sequence[str], host: str) -> bool:
    """Whether a host is one of those that are named; `*.example.org` is understood."""
    return any(fnmatch(host, pattern.lower()) for pattern in patterns)
