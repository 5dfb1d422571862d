"""Who may call whom again: what callees have said of callers (RFC 8197, and RFC 5360 in a simple form).

A report counts for the one who made it, at once. It counts for everybody when several have made it, and only about
a caller who has proved who it is: else anybody could have others silenced by calling in their name. What is said of a
caller who proved nothing is therefore kept by where the call came from, for its own callee alone.

Time is an argument, in seconds since the epoch.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ringfence.store.ports import Opinions
from ringfence.store.records import Opinion

EVERYBODY = "*"
"""The callee of an opinion that holds for all accounts: the owner's."""

PLACE = "address:"
"""What begins the name of a place that calls come from: such as that of a gateway which the owner knows."""

DAY = 86_400.0

MAX_REMEMBERED = 50_000
"""Calls that are kept so that a report after the answer finds its caller: an hour of fourteen a second. At 300
bytes each these are 15 MB."""

REMEMBERED_SECONDS = 7_200.0
"""How long a call may last and still be reported by the BYE that ends it."""

MAX_REASON = 200
"""Characters of a report's text that are kept."""


class Handle(NamedTuple):
    """How a caller is known again.

    ``names`` are what a report is kept under. ``proven`` says that the caller has proved them. ``groups`` are what it
    belongs to or says that it belongs to, such as its domain, on which the owner may have an opinion.
    """

    names: tuple[str, ...]
    proven: bool
    groups: tuple[str, ...] = ()


class Standing(StrEnum):
    """What a caller is to a callee."""

    UNKNOWN = "unknown"
    WANTED = "wanted"
    """The callee has called it, or said that it may call."""
    REPORTED = "reported"
    """The callee, or the owner for everybody, does not want to hear from it."""
    NOTORIOUS = "reported by several"


@dataclass(frozen=True, slots=True)
class ReputationPolicy:
    """Times in seconds."""

    reports: int = 3
    """Callees who must have reported a proven caller before it is refused to everybody."""

    report_time: float = 90 * DAY
    """How long a report holds: numbers change hands."""

    consent_time: float = 365 * DAY
    """How long a caller stays known to the one it may call."""


DEFAULT = ReputationPolicy()


class Reputation:
    """One for a node. What is said is kept in the store; which calls there are, only here."""

    def __init__(self, opinions: Opinions, policy: ReputationPolicy = DEFAULT) -> None:
        self.policy = policy
        self._opinions = opinions
        self._calls: OrderedDict[str, tuple[Handle, str, float]] = OrderedDict()

    def judge(self, caller: Handle, callee: str, now: float) -> Standing:
        """What a caller is to a callee. The callee's own word goes before everybody else's."""
        others: set[str] = set()
        general = Standing.UNKNOWN
        for name in (*caller.names, *caller.groups):
            for opinion in self._opinions.about(name, now):
                if opinion.wanted and not caller.proven and not name.startswith(PLACE):
                    continue  # anybody could borrow the name of one who is wanted
                if opinion.callee == callee:
                    return Standing.WANTED if opinion.wanted else Standing.REPORTED
                if opinion.callee == EVERYBODY:
                    general = Standing.WANTED if opinion.wanted else Standing.REPORTED
                elif not opinion.wanted:
                    others.add(opinion.callee)
        if general is Standing.UNKNOWN and caller.proven and len(others) >= self.policy.reports:
            return Standing.NOTORIOUS
        return general

    async def report(self, caller: Handle, callee: str, now: float, reason: str = "") -> None:
        """The callee does not want to hear from the caller again."""
        await self._say(caller.names, callee, now, now + self.policy.report_time, reason, wanted=False)

    async def allow(self, caller: Handle, callee: str, now: float, reason: str = "") -> None:
        """The caller may call."""
        await self._say(caller.names, callee, now, now + self.policy.consent_time, reason, wanted=True)

    async def _say(
        self, names: tuple[str, ...], callee: str, now: float, until: float, reason: str, *, wanted: bool
    ) -> None:
        text = "".join(each if each.isascii() and each.isprintable() else "?" for each in reason)[:MAX_REASON]
        await self._opinions.put(Opinion(name, callee, wanted, until, now, text) for name in names)

    async def forgive(self, name: str, callee: str = "") -> int:
        """Forget what was said of a caller, by one callee or by all. Gives how much that was."""
        return await self._opinions.remove(name, callee)

    def knows(self, caller: Handle, callee: str, now: float) -> bool:
        """Whether the callee has said of all names of the caller that they are wanted, and not long ago.

        Then there is nothing to store when it calls the caller again.
        """
        fresh = now + self.policy.consent_time / 2
        return all(
            any(each.callee == callee and each.wanted for each in self._opinions.about(name, fresh))
            for name in caller.names
        )

    # -- calls that are under way ----------------------------------------------------------------------

    def remember(self, call_id: str, caller: Handle, callee: str, now: float) -> None:
        """Keep who calls whom, should the callee report it when it hangs up."""
        self._calls.pop(call_id, None)
        self._calls[call_id] = (caller, callee, now)
        while len(self._calls) > MAX_REMEMBERED or self._oldest() + REMEMBERED_SECONDS < now:
            self._calls.popitem(last=False)

    def _oldest(self) -> float:
        return next(iter(self._calls.values()))[2]

    def remembered(self, call_id: str) -> tuple[Handle, str] | None:
        """Who called whom in this call."""
        found = self._calls.get(call_id)
        return None if found is None else found[:2]
