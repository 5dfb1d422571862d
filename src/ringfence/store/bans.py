"""Bans in memory, found by network. The read half of both stores."""

from __future__ import annotations

from collections.abc import Iterable

from ringfence.store.records import Ban


class BanIndex:
    """All bans, ended ones included. Its methods belong to the event loop's thread."""

    def __init__(self) -> None:
        self._bans: dict[str, Ban] = {}
        self.version = 0

    def all(self) -> tuple[Ban, ...]:
        """See `ports.Bans.all`."""
        return tuple(self._bans.values())

    def count(self) -> int:
        """How many there are."""
        return len(self._bans)

    def hold(self, ban: Ban) -> None:
        """Put a ban in place of the one before."""
        self._bans[ban.network] = ban
        self.version += 1

    def drop(self, network: str) -> bool:
        """Hold it no longer; gives whether it was held."""
        self.version += 1
        return self._bans.pop(network, None) is not None

    def ended(self, before: float) -> list[str]:
        """The networks whose bans have ended before this time."""
        return [ban.network for ban in self._bans.values() if ban.until and ban.until < before]

    def keep_only(self, networks: Iterable[str]) -> None:
        """Drop everything that is not among these."""
        for network in self._bans.keys() - set(networks):
            self.drop(network)
