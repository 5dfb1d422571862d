"""The response context of a stateful proxy (RFC 3261 section 16.7): which response goes upstream, and when.

A context knows the branches of one request and what each has answered. It is given responses and failures and
returns outcomes; it sends nothing, arms nothing and knows no destination. Whoever forwards the request keeps
the client transactions, and turns each outcome into a message.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Generic, NamedTuple, TypeVar

from ringfence.message import Request, Response, reason_phrase, response_to

MAX_BRANCHES = 32
"""Most branches of one request: a bound on amplification beside Max-Breadth (RFC 5393 section 5)."""

# RFC 3261 section 16.7 step 6: within 4xx, "preference to responses that provide information affecting
# resubmission of this request, such as 401, 407, 415, 420, and 484".
_RESUBMIT: Final = frozenset({401, 407, 415, 420, 484})
_CHALLENGES: Final = frozenset({401, 407})


class BranchState(StrEnum):
    """How far one branch has come."""

    PENDING = "Pending"
    FINAL = "Final"


class Branch:
    """One target of a request. ``user`` is whatever the forwarder keeps with it."""

    __slots__ = ("cancelled", "final", "held_back", "provisional", "state")

    def __init__(self) -> None:
        self.state = BranchState.PENDING
        self.final: Response | None = None
        self.provisional = False
        self.cancelled = False
        self.held_back = False  # not sent, since the next hop wants less (RFC 7339)


B = TypeVar("B", bound=Branch)
"""The kind of branch that the forwarder keeps."""


class Upstream:
    """Send this response through the server transaction."""

    __slots__ = ("response",)

    def __init__(self, response: Response) -> None:
        self.response = response


class Cancel(NamedTuple, Generic[B]):
    """Cancel this branch (RFC 3261 section 16.7 step 10, 16.10)."""

    branch: B
    why: str


class Proceed(NamedTuple):
    """Every branch so far has failed, and there are ``more`` targets: try the next ones (section 16.6)."""


Outcome = Upstream | Cancel[B] | Proceed

CALL_COMPLETED = 'SIP;cause=200;text="Call completed elsewhere"'
"""Reason of a CANCEL to the phones that lost the race (RFC 3326 section 2): they show no missed call."""


class ResponseContext(Generic[B]):
    """The branches of one request, and whether a final response has gone upstream."""

    __slots__ = ("answered", "branches", "cancelled", "more", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.branches: list[B] = []
        self.answered = False  # a final response went upstream
        self.cancelled = False
        self.more = False  # the forwarder has targets that have not been tried

    @property
    def pending(self) -> int:
        """How many branches have no final response yet."""
        return sum(branch.state is BranchState.PENDING for branch in self.branches)

    def receive(self, branch: B, response: Response) -> tuple[Outcome[B], ...]:
        """A response came from a branch; its topmost Via, which is ours, has been removed (16.7 step 3)."""
        status = response.status
        if status < 200:
            branch.provisional = True
            # step 5: every provisional but 100, until a final has gone upstream
            return (Upstream(response),) if status > 100 and not self.answered else ()
        if status < 300:
            return self._success(branch, response)
        if branch.state is BranchState.FINAL:
            return ()
        branch.state = BranchState.FINAL
        branch.final = response
        if status >= 600 and not self.answered:
            # step 5: a 6xx is not forwarded yet, but no other branch goes on
            return (*self._cancel_pending("", but=branch), *self.settle())
        return self.settle()

    def fail(
        self,
        branch: B,
        status: int,
        reason: str | None = None,
        *,
        to_tag: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> tuple[Outcome[B], ...]:
        """A branch got no answer: 408 when it timed out, 503 when nothing could be sent (RFC 3261 16.8, 16.9)."""
        response = response_to(self.request, status, reason, to_tag=to_tag)
        for name, value in headers:
            response.headers.add(name, value)
        return self.receive(branch, response)

    def cancel(self, why: str = "") -> tuple[Outcome[B], ...]:
        """The client cancelled the request (RFC 3261 section 16.10)."""
        self.cancelled = True
        return self._cancel_pending(why)

    def settle(self) -> tuple[Outcome[B], ...]:
        """Send the best response when no branch is pending and none has been sent (16.7 step 6)."""
        if self.answered:
            return ()
        for branch in self.branches:
            if branch.state is BranchState.PENDING:
                return ()
        if self.more and not self.cancelled and not self._refused_everywhere():
            return (Proceed(),)
        self.answered = True
        return (Upstream(self.best()),)

    def best(self) -> Response:
        """The response to send when all branches have answered (RFC 3261 section 16.7 steps 6 and 7)."""
        finals = [branch.final for branch in self.branches if branch.final is not None]
        if not finals:
            return response_to(self.request, 408)
        chosen = min(finals, key=_rank)
        if chosen.status in _CHALLENGES and len(finals) > 1:
            chosen = _with_challenges(chosen, finals)
        elif chosen.status == 503 and not all(branch.held_back for branch in self.branches):
            # RFC 7339 section 5.10 wants a 503, without Retry-After, for what was held back here. For others, 16.7
            # step 6: "A proxy which receives a 503 SHOULD NOT forward it upstream": it says nothing about us.
            chosen = chosen.copy()
            chosen.status = 500
            chosen.reason = chosen.reason.replace(reason_phrase(503), reason_phrase(500))
            chosen.headers.remove("Retry-After")
        return chosen

    def _refused_everywhere(self) -> bool:
        """Step 5: after a 6xx the proxy "MUST NOT create any new branches in this context"."""
        return any(branch.final is not None and branch.final.status >= 600 for branch in self.branches)

    def _success(self, branch: B, response: Response) -> tuple[Outcome[B], ...]:
        branch.state = BranchState.FINAL
        if self.request.method != "INVITE" and self.answered:
            return ()  # only an INVITE may have several 2xx (16.7 step 5)
        self.answered = True
        if len(self.branches) == 1:
            return (Upstream(response),)
        return (Upstream(response), *self._cancel_pending(CALL_COMPLETED, but=branch))

    def _cancel_pending(self, why: str, but: B | None = None) -> tuple[Outcome[B], ...]:
        outcomes: list[Outcome[B]] = []
        for branch in self.branches:
            if branch is not but and branch.state is BranchState.PENDING and not branch.cancelled:
                branch.cancelled = True
                outcomes.append(Cancel(branch, why))
        return tuple(outcomes)


def _rank(response: Response) -> tuple[int, int]:
    """Sort key: 6xx first, then the lowest class, then what helps to try again; 408 and 503 last in theirs."""
    status = response.status
    klass = status // 100
    if klass == 6:
        return 0, status
    if status in _RESUBMIT:
        return klass, 0
    # RFC 4320 section 4.2 and common sense: a branch that said something beats one that said nothing.
    return klass, 2 if status in {408, 503} else 1


def _with_challenges(chosen: Response, finals: list[Response]) -> Response:
    """Step 7: the challenges of every 401 and 407 go upstream together."""
    merged = chosen.copy()
    for other in finals:
        if other is not chosen and other.status in _CHALLENGES:
            for name in ("WWW-Authenticate", "Proxy-Authenticate"):
                for value in other.headers.all(name):
                    merged.headers.add(name, value)
    return merged
