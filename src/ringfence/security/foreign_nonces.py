"""Nonces that somebody else chose, known again without keeping them (RFC 5090 sections 2.1.2 and 2.1.5).

Where a RADIUS server makes the nonces, a challenge still stores nothing: what we have to know when the phone comes
back goes into its `opaque`, which a client returns unchanged (RFC 7616 section 3.3). It is a nonce of our own, bound
to the flow, to the server's nonce and to a ticket, and behind it the ticket, which is text of whoever speaks to the
server. So a nonce that was never given out here, or was given to another peer, is refused without asking anybody.

A server may name the next nonce after a success (`nextnonce`), and no opaque goes with that one. Those are kept, for
users who have proved themselves only, and bounded like the counts of nonces.
"""

from __future__ import annotations

from typing import NamedTuple

from ringfence.security.credentials import Credentials
from ringfence.security.nonces import MAX_NONCES, Count, Freshness, NcWindow, Nonces, issued_at

_OWN = len(Nonces(bytes(32)).make(0.0, ""))
"""Characters of the nonce that an opaque begins with; the ticket is behind."""


class Known(NamedTuple):
    """What is known of the nonce of some credentials."""

    freshness: Freshness
    issued: float = 0.0
    """When it was given to this peer, in seconds; 0 for a forged one."""
    ticket: str = ""


FORGED = Known(Freshness.FORGED)


class ForeignNonces:
    """The server's nonces at one node. ``nonces``: how ours are made."""

    __slots__ = ("_limit", "_names", "_next", "_nonces", "_window")

    def __init__(self, nonces: Nonces, limit: int = MAX_NONCES) -> None:
        self._nonces = nonces
        self._limit = limit
        self._window = NcWindow(limit)
        self._names: dict[tuple[str, str], str] = {}
        self._next: dict[str, tuple[str, float, str]] = {}

    def opaque(self, nonce: str, ticket: str, now: float, binding: str) -> str:
        """What goes into a challenge beside the server's nonce."""
        return self._nonces.make(now, _bound(binding, nonce, ticket)) + ticket

    def known(self, credentials: Credentials, now: float, binding: str) -> Known:
        """Whether their nonce was given to this peer, and what goes with it."""
        nonce, opaque = credentials.nonce, credentials.opaque or ""
        own, ticket = opaque[:_OWN], opaque[_OWN:]
        freshness = self._nonces.check(own, now, _bound(binding, nonce, ticket))
        if freshness is not Freshness.FORGED:
            return Known(freshness, issued_at(own), ticket)
        named = self._next.get(nonce)
        if named is None or named[0] != binding:
            return FORGED
        young = now - named[1] <= self._nonces.lifetime
        return Known(Freshness.FRESH if young else Freshness.STALE, named[1], named[2])

    def follow(self, nonce: str, ticket: str, now: float, binding: str) -> None:
        """The server has named the next nonce of a user who has just proved itself."""
        self._next.pop(nonce, None)
        if len(self._next) >= self._limit:
            del self._next[next(iter(self._next))]
        self._next[nonce] = (binding, now, ticket)

    def accept(self, credentials: Credentials, known: Known) -> Count:
        """Take note of a use. Call it last, for a nonce that is fresh and a response that is right.

        By user, since a server may give the same nonce to several within a moment. Not by peer: what one has sent must
        not be good once more for another who is given the same nonce.
        """
        key = (credentials.username, credentials.nonce)
        name = self._names.get(key)
        if name is not None:
            return self._window.accept(name, credentials.count)
        name = f"1{int(known.issued * 1e6):014x}{len(key[0])} {key[0]}{key[1]}"  # `issued_at` reads its head
        count = self._window.accept(name, credentials.count)
        if count is Count.NEW:  # names go in the order in which the window forgets them
            if len(self._names) >= self._limit:
                del self._names[next(iter(self._names))]
            self._names[key] = name
        return count


def _bound(binding: str, nonce: str, ticket: str) -> str:
    return f"{binding}\0{len(nonce)} {nonce}{ticket}"
