"""What is known of a private call: each pair of dialogs, and the two parties of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ringfence.engine.dialog import Dialog
from ringfence.message import NameAddr
from ringfence.roles.call import Call
from ringfence.roles.media import Party
from ringfence.security.privacy import NOTHING, Privacy
from ringfence.transport.flow import Flow
from ringfence.transport.mesh import PRIVATE_USER

MAX_PAIRS: Final = 32
"""Dialogs that one request may make: more phones than anybody has."""

MAX_INVITES: Final = 8
"""INVITEs of a party whose ACK may still be repeated."""

FOREVER: Final = float("inf")

NAME: Final = PRIVATE_USER
"""How the user part of a Contact of ours begins that stands for a party."""


@dataclass(slots=True, eq=False)
class Leg:
    """One party, and the dialog that it has with us."""

    dialog: Dialog
    flow: Flow
    """Where it was heard of last."""
    by_flow: bool
    """Whether it is reached by that only, and not by its Contact."""
    name: str
    """The user part of our Contact towards it."""
    hosts: set[str]
    """Where its requests come from."""
    invites: dict[int, int] = field(default_factory=dict)
    """The CSeq number of each of its INVITEs, with that of the INVITE that it became."""

    def note_invite(self, number: int, other: int) -> None:
        """Remember which INVITE has become which, for ACK and PRACK."""
        if len(self.invites) >= MAX_INVITES:
            del self.invites[min(self.invites)]
        self.invites[number] = other


@dataclass(slots=True, eq=False)
class Pair:
    """Two dialogs that are one call, or one subscription."""

    bridge: Bridge
    caller: Leg
    callee: Leg
    media: str = ""
    """The key of its session in the media plane; empty when that does not take part."""
    offer_by: Party | None = None
    """Whose offer has no answer yet."""
    expires: float = FOREVER
    """When it ends by itself (RFC 4028, RFC 6665), in the node's time."""
    reason: str = ""
    """Why, for the BYE."""
    over: bool = False

    def leg(self, party: Party) -> Leg:
        """The one of the party."""
        return self.caller if party is Party.CALLER else self.callee

    @property
    def confirmed(self) -> bool:
        """Whether both know that the call is answered."""
        return self.callee.dialog.confirmed


class Bridge:
    """One request that began a private call, a subscription, or nothing; with the pairs of dialogs that it has made.

    ``call_id``, ``tag`` and ``from_`` are what the callee knows of the caller: ours, not the caller's.
    """

    __slots__ = ("account", "asked", "call_id", "callee_account", "critical", "cseq", "first", "from_", "key", "method",
                 "pairs", "tag", "to", "unmet", "warned")  # fmt: skip

    def __init__(
        self,
        key: str,
        *,
        method: str,
        call_id: str,
        tag: str,
        cseq: int,
        from_: NameAddr,
        to: NameAddr,
        caller: frozenset[str] = NOTHING,
        callee: frozenset[str] = NOTHING,
        critical: bool = False,
        account: str = "",
    ) -> None:
        self.key = key
        self.method = method
        self.call_id = call_id
        self.tag = tag
        self.cseq = cseq
        self.from_ = from_
        self.to = to
        self.asked = {Party.CALLER: caller, Party.CALLEE: callee}
        self.critical = critical
        """What can't be kept private is refused."""
        self.account = account
        """Of the caller, if it is ours."""
        self.callee_account = ""
        self.first: Call | None = None
        """The request, where its callee may begin dialogs by itself."""
        self.unmet: frozenset[str] = NOTHING
        """What the caller asked for and did not get, since it left that to us."""
        self.warned = ""
        self.pairs: dict[str, Pair] = {}

    @property
    def relayed(self) -> bool:
        """Whether media have to go through the relay, since a party asks for that."""
        return any(Privacy.SESSION in values for values in self.asked.values())

    def asks(self, party: Party, value: str) -> bool:
        """Whether a party has asked for something."""
        return value in self.asked[party]

    def account_of(self, party: Party) -> str:
        """The account of a party of ours; empty for others."""
        return self.account if party is Party.CALLER else self.callee_account
