"""Names and addresses that somebody can be written to by: what a customer types in is checked where it comes in."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_LOCAL_PART = r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_TOP_LEVEL = r"[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_EMAIL = rf"^{_LOCAL_PART}(?:\.{_LOCAL_PART})*@(?:{_LABEL}\.)+{_TOP_LEVEL}$"
"""RFC 5321's dot-string and domain, without quotes and literals, at a host with a domain; no header fits in."""
_NOBODYS = re.compile(r"\.(?:localhost|invalid)$", re.IGNORECASE)
"""Domains in which there are no mailboxes (RFC 6761)."""
MAX_LOCAL_PART = 64
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bq]\?[^?\s]*\?=", re.IGNORECASE)
"""RFC 2047: a mail reader shows other text in its place."""
_INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Fillers that Unicode counts as letters or symbols."""
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})


def _can_be_written_to(email: str) -> str:
    if len(email.rpartition("@")[0]) > MAX_LOCAL_PART:
        raise ValueError(f"must have at most {MAX_LOCAL_PART} characters before the @")
    if _NOBODYS.search(email):
        raise ValueError("must be in a domain that has mailboxes")
    return _without_encoded_words(email)


def _can_be_seen(text: str) -> str:
    if any(unicodedata.category(char) in _CONTROLS for char in text):
        raise ValueError("must not have control characters")
    if not any(unicodedata.category(char)[0] in "LNSP" and char not in _INVISIBLE for char in text):
        raise ValueError("must have a character that can be seen")
    return text


def _without_encoded_words(text: str) -> str:
    if _ENCODED_WORD.search(text):
        raise ValueError("must not have an encoded word, such as =?utf-8?q?...?=")
    return text


Email = Annotated[str, StringConstraints(max_length=254, pattern=_EMAIL), AfterValidator(_can_be_written_to)]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_can_be_seen),
    AfterValidator(_without_encoded_words),
]
