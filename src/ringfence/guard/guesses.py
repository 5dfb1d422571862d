"""Many addresses that guess the password of one account: slow for them, and not for its owner.

Bans are for one address that guesses much. Who has many tries a few passwords from each. So wrong passwords are counted
for each user name too, and while there are too many, credentials for that name are looked at once in
``TRY_SECONDS`` and no more: all others are refused unseen, whether they are right or wrong, and whether there is such a
user. Only the sources that the account has authenticated from before are judged as always; there the owner is.
So nobody is locked out by a stranger: an owner who comes from a new place meanwhile has to try for longer.

Pure: ``now`` is the time of the event loop. A source is what `source_of` says.
"""

from __future__ import annotations

from typing import Final

from ringfence.guard.bans import network_of
from ringfence.guard.rates import Limiter, Rate

WRONG: Final = Rate(1.0 / 60.0, 20.0)
"""Wrong passwords for one name, from wherever, that are nobody's attack: a phone with an old password tries it once a
minute, or a dozen times at once."""

TRY_SECONDS: Final = 10.0
"""How often a stranger's credentials are looked at meanwhile: 8,640 guesses a day, of the billions that a password of
ours takes."""

SLOW_SECONDS: Final = 900.0
"""How long that lasts after the last guess that was too many."""

MAX_SLOWED: Final = 10_000
"""Names that are slow at a time; the one guessed at the longest ago goes first."""

MAX_KNOWN: Final = 100_000
"""Accounts whose sources are remembered."""

MAX_SOURCES: Final = 8
"""Of one account: a desk, a mobile and the networks that it moves through. The one not seen for longest goes first."""


class Guesses:
    """All names of one worker."""

    def __init__(self) -> None:
        self.refused = 0
        """Credentials that were not looked at."""
        self._wrong = Limiter[str](WRONG)
        self._tries = Limiter[str](Rate(1.0 / TRY_SECONDS, 1.0))
        self._slowed: dict[str, float] = {}
        self._known: dict[str, tuple[str, ...]] = {}

    def limiters(self) -> dict[str, Limiter[str]]:
        """What nodes that serve the same accounts count together."""
        return {"guess": self._wrong, "try": self._tries}

    @property
    def any_slowed(self) -> bool:
        """Whether any name is slow; while none is, nothing else needs to be asked."""
        return bool(self._slowed)

    def failed(self, name: str, now: float) -> bool:
        """A wrong password, or a name that there is not. Gives whether the name has just become slow."""
        if self._wrong.take(name, now):
            return False
        fresh = self._slowed.pop(name, 0.0) <= now
        if len(self._slowed) >= MAX_SLOWED:
            del self._slowed[next(iter(self._slowed))]
        self._slowed[name] = now + SLOW_SECONDS
        return fresh

    def proved(self, name: str, source: str) -> None:
        """An account has authenticated."""
        known = self._known.get(name, ())
        if known and known[-1] == source:
            return
        if not known and len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[name] = (*(each for each in known if each != source), source)[-MAX_SOURCES:]

    def may_try(self, name: str, source: str, now: float) -> bool:
        """Whether credentials for a name are looked at."""
        until = self._slowed.get(name)
        if until is None:
            return True
        if until <= now:
            del self._slowed[name]
            return True
        if source in self._known.get(name, ()) or self._tries.take(name, now):
            return True
        self.refused += 1
        return False


def source_of(host: str) -> str:
    """An IPv4 address, or the network of an IPv6 one."""
    return network_of(host) if ":" in host else host


def name_of(username: str) -> str:
    """The name that is counted: ``alice`` and ``alice@example.org`` are one user."""
    return username.partition("@")[0]
