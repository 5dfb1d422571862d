"""Random text for tags, branches and Call-IDs, from the operating system's generator, in batches.

RFC 3261 section 19.3 wants at least 32 random bits in a tag, and that nobody can guess them; one system call
for each would cost more than the machine step that needs it.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import Final

from ringfence.message import Request

OCTETS = 10
"""80 bits: guessing one, or two being alike within the life of a node, is out of reach."""

_BATCH = 512
_TELLING: Final = frozenset({"Via", "Call-ID", "CSeq", "From", "To"})
"""What a request has in common with its retransmission, and with no other (RFC 3261 section 17.2.3)."""


class Tokens:
    """Call it for a token: 20 hexadecimal digits, unique and not to be guessed, then the mark of the worker if any."""

    __slots__ = ("_mark", "_place", "_text")

    def __init__(self, mark: str = "") -> None:
        self._mark = mark
        self._text = ""
        self._place = 0

    def __call__(self) -> str:
        place = self._place
        if place >= len(self._text):
            self._text = os.urandom(OCTETS * _BATCH).hex()
            place = 0
        self._place = place + 2 * OCTETS
        token = self._text[place : place + 2 * OCTETS]
        return token + self._mark if self._mark else token


class StatelessTags:
    """Call it with a request for the To tag of an answer that nothing is kept of: whoever sends the request again has
    to get the same one (RFC 3261 section 8.2.7). Nobody can guess it, since it is a MAC with a key of this process."""

    __slots__ = ("_key",)

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def __call__(self, request: Request) -> str:
        headers = request.headers
        said = "\n".join(
            [line for name, line in zip(headers.names, headers.lines, strict=True) if name in _TELLING]
        )
        return blake2b(said.encode("utf-8", "surrogateescape"), key=self._key, digest_size=OCTETS).hexdigest()
