"""Whether a signature was seen before: the state that lets sixty seconds of freshness be enough.

RFC 8224 section 12.1 and RFC 3893 section 10 ask receivers to remember what they accepted for as long as it
stays fresh. What is signed does not cover the Call-ID, so the same signature with another Call-ID is a
replay, and with the same one it is a fork or a spiral of the same request.
"""

from __future__ import annotations

from collections import OrderedDict

MAX_REMEMBERED = 100_000
"""Signatures kept: 1600 accepted calls a second for a minute, at about 200 bytes each. Only what verified
gets in, so nobody without a trusted certificate can fill it."""


class ReplayWindow:
    """A bounded memory of what was accepted. ``seconds`` is how long each stays; time is an argument."""

    __slots__ = ("_seen", "limit", "seconds")

    def __init__(self, seconds: float, limit: int = MAX_REMEMBERED) -> None:
        self.seconds = seconds
        self.limit = limit
        self._seen: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def replayed(self, key: bytes, call: str, now: float) -> bool:
        """Whether ``key`` was accepted before for another call. Changes nothing."""
        known = self._seen.get(key)
        return known is not None and now - known[1] <= self.seconds and known[0] != call

    def remember(self, key: bytes, call: str, now: float) -> None:
        """Keep what was accepted. The oldest give way when it is full."""
        seen = self._seen
        # A key that is known keeps its place, so that repeating a call does not prolong its memory.
        seen.setdefault(key, (call, now))
        while seen and (len(seen) > self.limit or now - next(iter(seen.values()))[1] > self.seconds):
            seen.popitem(last=False)
