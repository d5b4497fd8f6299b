"""Text without what is secret in it, whoever wrote it: addresses, headers, named values, and audio written out."""

import re

from aftertone.addresses import (
    SECRET_END,
    SECRET_WORDS,
    SIGNED,
    USER,
    without_encoded_secrets,
    without_secret_files,
    without_secrets,
)

HIDDEN = "[hidden]"

_QUOTE = r"""\\{0,3}["']"""  # with backslashes where one text is quoted in another
_HEADER = r"(?<![\w.-])(?:(?:proxy-)?authorization|(?:set-)?cookie)"
_KEY_HEADER = r"(?<![\w.-])(?:x-[\w-]{0,60}|api-?)(?:key|token|secret|signature)"
_NAME = rf"(?<![\w.-])[\w.-]{{0,60}}(?:{SECRET_WORDS}|api[_-]?key|passwd|pwd){SECRET_END}"

ADDRESS = re.compile(r"""\b([a-zA-Z][a-zA-Z0-9+.-]{0,30}://)(?:[^\s"'<>/?#]*@)?([^\s"'<>)\]},]+)""")
"""An address, without the user name and password before its host: they may hold what ends an address in a sentence."""

QUOTED = re.compile(
    rf"""((?:{_NAME}(?:{_QUOTE})?\s?[:=]|(?:{_HEADER}|{_KEY_HEADER}){_QUOTE}\s?[:,])\s?b?({_QUOTE}))"""
    r"(?=\S)(?:(?!\2)(?:\\.|.))+(?=\2)",
    re.IGNORECASE,
)
"""A secret that is quoted behind its name, as in JSON and in Python; what is before it in group 1."""

HEADER_LINE = re.compile(rf"""({_HEADER}:\s?)(?:(?!\\[rn]).)+|({_KEY_HEADER}:\s?)[^\s"',;]+""", re.IGNORECASE)
"""A header that lets whoever has it in: its name in group 1 or 2, and its value, which may hold spaces or not."""

WRITTEN_OUT = re.compile(
    r"\b(data:(?:[a-z]{1,20}/[\w.+-]{1,60}(?:;[\w.+=-]{1,60}){0,5}|;base64),)[\w%+/=~-]+", re.IGNORECASE
)
"""Data written out in an address: what says of which kind they are in group 1, and the data."""


def without_anything_secret(text: str) -> str:
    """Without user names, passwords, signatures and tokens; data that are written out in an address are left out."""
    text = WRITTEN_OUT.sub(r"\1...", text)
    text = QUOTED.sub(rf"\1{HIDDEN}", text)
    text = HEADER_LINE.sub(lambda found: (found[1] or found[2]) + HIDDEN, text)
    text = ADDRESS.sub(lambda found: without_secrets(found[1] + found[2]) or HIDDEN, text)
    text = without_secret_files(without_encoded_secrets(text))
    text = USER.sub(r"\1", text)
    return SIGNED.sub(rf"\1{HIDDEN}", text)  # what stands behind a space or a bracket, or without a scheme
