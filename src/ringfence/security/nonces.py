"""Nonces that cost the server no memory until they are used with the right password.

A nonce carries its own proof: "1", its time of issue, and a MAC over both and the flow it was given to. So
a challenge stores nothing, and a flood of unauthenticated requests can't fill a table. Whether a nonce is
ours, for this flow and young enough is `Nonces.check`; whether this use of it is the first is
`NcWindow.accept`, which the caller asks only after the response was found right. The window is the one
thing that grows, and it has a limit: what it drops it remembers as a point in time, and a nonce from before
that point is stale. It is never taken for a new one.

The binding is text that stays the same while the peer does: for a connection its flow key, for UDP the
remote address. RFC 7616 section 3.3 warns that requests of one user may come by different proxies; such a
user gets one challenge more, with stale=true, and no failure.
"""

from __future__ import annotations

import hmac
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

NONCE_LIFETIME = 300.0
"""Seconds. Long enough that a phone refreshing over UDP each minute is challenged rarely; a stolen nonce
dies soon."""

CLOCK_SKEW = 5.0
"""Seconds that the clock of another worker or machine with our key may be ahead of ours."""

MAX_NONCES = 65_536
"""Nonces whose counts are remembered, about 15 MB: 200 authenticated phones a second at the full
lifetime."""

NC_WINDOW = 64
"""How far behind the highest count a late request may be: UDP reorders, and phones send a few requests at
once."""

MIN_KEY = 32
"""Bytes of a nonce key: 256 bits."""

MAX_KEY: Final = 64
"""Bytes of the longest key that BLAKE2b takes."""

_VERSION = "1"
_HEAD: Final = 15  # version, and 14 hexadecimal digits of microseconds: enough for 2000 years
_MAC_OCTETS: Final = 18  # 144 bits, 36 hexadecimal digits
_LENGTH: Final = _HEAD + _MAC_OCTETS * 2
_BITMAP: Final = (1 << NC_WINDOW) - 1


class Freshness(StrEnum):
    """What a nonce turned out to be."""

    FRESH = "fresh"
    STALE = "stale"
    FORGED = "forged"
    """Not made by us, or made for another flow, or with a key that has been rotated out."""


class Count(StrEnum):
    """What a nonce count turned out to be."""

    NEW = "new"
    REPLAYED = "replayed"
    FORGOTTEN = "forgotten"
    """The nonce is older than what the full window remembers: to be treated as stale."""


class Nonces:
    """Makes and checks nonces. To rotate, build another with the new key and this one's key as
    `previous`."""

    __slots__ = ("_keys", "lifetime")

    def __init__(
        self, key: bytes, previous: bytes | None = None, *, lifetime: float = NONCE_LIFETIME
    ) -> None:
        """Raises ValueError for a key of less than MIN_KEY or more than MAX_KEY bytes."""
        self._keys = (key,) if previous is None else (key, previous)
        if not all(MIN_KEY <= len(each) <= MAX_KEY for each in self._keys):
            raise ValueError(f"a nonce key has {MIN_KEY} to {MAX_KEY} bytes")
        self.lifetime = lifetime

    def make(self, now: float, binding: str) -> str:
        """A nonce for the peer behind `binding`. Microseconds of `now` (wall clock) make it unique on one
        flow."""
        return _signed(f"{_VERSION}{int(now * 1e6):014x}", binding, self._keys[0])

    def check(self, nonce: str, now: float, binding: str) -> Freshness:
        """Whether the nonce is ours, for this peer, and young enough."""
        if len(nonce) != _LENGTH or not nonce.isascii() or nonce[0] != _VERSION:
            return Freshness.FORGED
        head = nonce[:_HEAD]
        if not any(hmac.compare_digest(_signed(head, binding, key), nonce) for key in self._keys):
            return Freshness.FORGED
        age = now - issued_at(nonce)
        return Freshness.FRESH if -CLOCK_SKEW <= age <= self.lifetime else Freshness.STALE

    def ageing(self, nonce: str, now: float) -> bool:
        """Whether a fresh nonce has lived more than half its life, so that `nextnonce` saves a
        challenge."""
        return now - issued_at(nonce) > self.lifetime / 2


def issued_at(nonce: str) -> float:
    """When a nonce that `Nonces.check` found to be ours was made, in seconds."""
    return int(nonce[1:_HEAD], 16) / 1e6


def _signed(head: str, binding: str, key: bytes) -> str:
    # Keyed BLAKE2b is a MAC by itself (RFC 7693 section 2.9), and takes a tenth of the time of HMAC by OpenSSL.
    keyed = _keyed(key).copy()
    keyed.update((head + binding).encode("utf-8", "surrogateescape"))
    return head + keyed.hexdigest()  # type: ignore[no-any-return]


@lru_cache(8)
def _keyed(key: bytes) -> Any:
    """A hash that has taken the key already; the octet behind it has the key's own block hashed, too."""
    keyed = blake2b(key=key, digest_size=_MAC_OCTETS, person=b"nonce")
    keyed.update(b"\0")
    return keyed


class NcWindow:
    """Remembers which counts of which nonces were used (RFC 7616 section 3.4, `nc`); bounded.

    Each count is accepted once, in any order within NC_WINDOW of the highest.
    """

    __slots__ = ("_horizon", "_limit", "_seen")

    def __init__(self, limit: int = MAX_NONCES) -> None:
        self._limit = limit
        self._horizon = float("-inf")
        # nonce -> highest count << NC_WINDOW | bitmap, where bit i stands for the count highest - i. One
        # integer a nonce: the table has no inner objects for the garbage collector to walk.
        self._seen: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def accept(self, nonce: str, count: int) -> Count:
        """Take note of a use. Call it last, for a nonce that is fresh and a response that is right."""
        seen = self._seen.get(nonce)
        if seen is None:
            return self._first(nonce, count)
        highest = seen >> NC_WINDOW
        ahead = count - highest
        if ahead > 0:
            # A peer may jump to any count of 32 bits: never shift by that much.
            bitmap = (seen << ahead | 1) & _BITMAP if ahead < NC_WINDOW else 1
            self._seen[nonce] = count << NC_WINDOW | bitmap
            return Count.NEW
        if ahead <= -NC_WINDOW or seen >> -ahead & 1:
            return Count.REPLAYED
        self._seen[nonce] = seen | 1 << -ahead
        return Count.NEW

    def _first(self, nonce: str, count: int) -> Count:
        if issued_at(nonce) <= self._horizon:
            return Count.FORGOTTEN
        if len(self._seen) >= self._limit:
            # The first used, so about the oldest. From now on nothing issued up to then is taken as unused.
            oldest = next(iter(self._seen))
            del self._seen[oldest]
            self._horizon = max(self._horizon, issued_at(oldest))
        self._seen[nonce] = count << NC_WINDOW | 1
        return Count.NEW
