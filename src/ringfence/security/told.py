"""``Ringfence-Caller``: how a node tells the phones of its own users what it has found out about a caller.

3GPP's ``verstat`` says passed or failed and nothing else. A person who is called wants to know who calls and on what
evidence, so this header field says that too:

    Ringfence-Caller: verified;who="sip:bob@example.com";evidence="PASSporT signed by example.com";by="example.org"

A phone believes it only from its own server, over TLS; a node removes it from whatever comes from outside.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from ringfence.message.errors import PeerError
from ringfence.message.fields.valued import parse_valued
from ringfence.message.grammar import quote
from ringfence.message.headers import Headers

NAME = "Ringfence-Caller"

MAX_TEXT = 300
"""Characters of one text: what a peer has put into it must not make a message too long."""


class Told(StrEnum):
    """The verdict in one word."""

    VERIFIED = "verified"
    """It is who it says."""
    FAILED = "failed"
    """It was signed, and the signature is not for this call."""
    UNVERIFIED = "unverified"
    """Nothing speaks for it."""


class Word(NamedTuple):
    """What is told: the verdict, on what evidence, checked by whom, and who it is if that is proven and no secret."""

    verdict: Told
    evidence: str
    by: str
    who: str = ""
    unproven: str = ""
    """Values of Resource-Priority that stand in the request and that nobody has signed (RFC 8443)."""

    def __str__(self) -> str:
        who = f";who={quote(printable(self.who))}" if self.who else ""
        unproven = f";unproven-priority={quote(printable(self.unproven))}" if self.unproven else ""
        return (
            f"{self.verdict};evidence={quote(printable(self.evidence))};by={quote(printable(self.by))}"
            f"{who}{unproven}"
        )


def read_word(headers: Headers) -> Word | None:
    """What our own server tells of a caller, or None when it tells nothing that can be read."""
    text = headers.get(NAME)
    if text is None:
        return None
    try:
        verdict, params = parse_valued(text)
        return Word(
            Told(verdict.lower()),
            params.get("evidence") or "",
            params.get("by") or "",
            params.get("who") or "",
            params.get("unproven-priority") or "",
        )
    except (PeerError, ValueError):
        return None


def printable(text: str, limit: int = MAX_TEXT) -> str:
    """Text with what a peer has put into it, safe in a header field or a reason phrase: no line ends, ASCII only."""
    if not text.isascii() or not text.isprintable():
        text = "".join(each if each.isascii() and each.isprintable() else "?" for each in text)
    return text[:limit]
