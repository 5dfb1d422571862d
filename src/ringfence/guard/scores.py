"""What speaks against a source, and how much.

Points come off again: with time, and with each success. A phone with an old password tries it for ever, once a minute,
and an office has many phones behind one address; neither is an attack. Whoever guesses passwords has no success, and
does not wait.

What a nonce says is told apart from what a password says: a stale nonce counts nothing, since only somebody who knows
the password is told that it is stale.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

BAN_AT = 100.0
"""Points at which a source is banned."""

DECAY = 0.25
"""Points that come off each second. A phone that has a wrong password and tries it every 8 seconds is never banned;
some try it a dozen times at once."""

FORGIVEN = 0.5
"""What is left, after a success, of the points for what honest phones do too."""


class Offence(StrEnum):
    """What a source has done."""

    WRONG_PASSWORD = "wrong password"  # noqa: S105  (a name of it)
    UNKNOWN_USER = "unknown user"
    UNKNOWN_DESTINATION = "calls to addresses that there are not"
    MANY_USERS = "tries many users"
    MALFORMED = "malformed messages"
    SCANNER = "a scanner by its own words"
    FLOOD = "far more than it may send"


WEIGHTS = MappingProxyType(
    {
        Offence.WRONG_PASSWORD: 2.0,
        Offence.UNKNOWN_USER: 5.0,
        Offence.UNKNOWN_DESTINATION: 4.0,
        Offence.MANY_USERS: 50.0,
        Offence.MALFORMED: 0.005,
        Offence.SCANNER: 100.0,
        Offence.FLOOD: 20.0,
    }
)
"""Points for each. Bad software sends malformed messages, all day long: twenty thousand in a row are a ban."""

FORGIVABLE = frozenset({Offence.WRONG_PASSWORD, Offence.MALFORMED, Offence.FLOOD})
"""What a success takes off. Somebody who has one account and looks for others goes on being counted."""


class Score:
    """The points of one source."""

    __slots__ = ("_at", "_forgivable", "_lasting", "worst")

    def __init__(self, now: float) -> None:
        self._at = now
        self._forgivable = 0.0
        self._lasting = 0.0
        self.worst = Offence.MALFORMED
        """The offence that weighed most: the reason that a ban is given."""

    def points(self, now: float) -> float:
        """What is left of all points."""
        self._decay(now)
        return self._forgivable + self._lasting

    def add(self, offence: Offence, now: float) -> float:
        """Count an offence; gives the points that there are then."""
        self._decay(now)
        weight = WEIGHTS[offence]
        if offence in FORGIVABLE:
            self._forgivable += weight
        else:
            self._lasting += weight
        if weight >= WEIGHTS[self.worst]:
            self.worst = offence
        return self._forgivable + self._lasting

    def forgive(self, now: float) -> None:
        """Count a success."""
        self._decay(now)
        self._forgivable *= FORGIVEN

    def _decay(self, now: float) -> None:
        off = (now - self._at) * DECAY
        self._at = now
        # What honest phones do as well goes first.
        rest = max(0.0, off - self._forgivable)
        self._forgivable = max(0.0, self._forgivable - off)
        self._lasting = max(0.0, self._lasting - rest)
