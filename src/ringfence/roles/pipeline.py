"""Steps, verdicts and the runner. A role is a literal tuple of steps, read top to bottom as policy.

A step that never waits is a plain function, and a run of plain functions schedules nothing. The first step that
has to wait gives a coroutine; from there on the run is a coroutine too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ringfence.roles.call import Call, Target
from ringfence.transport.driver import Work

ONCE_TAG: Final = "once-"
"""How the To tag of a response begins that was sent once. Its ACK finds no transaction, and ends here."""


class Continue:
    """Go on to the next step."""

    __slots__ = ()


@dataclass(slots=True, init=False)
class Answer:
    """Answer the request with this status and stop.

    ``once``: send it without keeping a transaction (challenges, RFC 3261 section 26.3.2.4).
    """

    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    once: bool = False
    body: bytes = b""

    def __init__(
        self,
        status: int,
        reason: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        once: bool = False,
        body: bytes = b"",
    ) -> None:  # spelt out, so that it is compiled
        self.status = status
        self.reason = reason
        self.headers = headers
        self.once = once
        self.body = body


class Forward:
    """Forward the request to these targets and stop."""

    __slots__ = ("targets",)

    def __init__(self, targets: tuple[Target, ...]) -> None:
        self.targets = targets


@dataclass(slots=True, init=False)
class Drop:
    """Say nothing and stop: for ACK, and for what must not be answered."""

    reason: str

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Taker(Protocol):
    """What does more with a request than a proxy does."""

    def start(self) -> Work | None:
        """Do it; what has to wait is returned."""


@dataclass(slots=True, frozen=True)
class Hand:
    """Hand the request to somebody and stop."""

    to: Taker


CONTINUE: Final = Continue()

DECIDED: Final = (Answer, Forward, Drop, Hand)
"""The verdicts that end a run. A tuple: a union is made anew each time it is asked about."""

Verdict = Continue | Answer | Forward | Drop | Hand
Step = Callable[[Call], Verdict | Awaitable[Verdict]]


def run(steps: tuple[Step, ...], call: Call) -> Verdict | Coroutine[Any, Any, Verdict]:
    """Run the steps until one decides. A role whose last step does not decide drops the request."""
    for place, step in enumerate(steps):
        verdict = step(call)
        if verdict is CONTINUE:
            continue
        if isinstance(verdict, DECIDED):
            return verdict
        # What waits is no coroutine of Python's where the step was compiled, so it is known by what it is not.
        return _go_on(verdict, steps[place + 1 :], call)  # type: ignore[arg-type]
    return Drop("no step decided")


async def _go_on(waiting: Awaitable[Verdict], rest: tuple[Step, ...], call: Call) -> Verdict:
    verdict = await waiting
    for step in rest:
        if verdict is not CONTINUE:
            return verdict
        found = step(call)
        verdict = found if isinstance(found, (Continue, *DECIDED)) else await found
    return verdict if verdict is not CONTINUE else Drop("no step decided")
