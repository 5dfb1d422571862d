"""Calls whose media are led through our relay, as a proxy does it for phones behind NAT.

Each branch of an INVITE that needs it has an ``Anchor``: a session of the media plane, with the tags of the dialogs
that grow from the branch. ``RequestMedia`` goes with one request through ``roles.forward`` and gives the plane every
description that passes, offer or answer by the rules of RFC 3264 and RFC 6337: an INVITE, UPDATE or PRACK offers, its
responses answer; where an INVITE had no offer its responses have it, and the ACK or PRACK answers.

Whether a branch needs it is decided once, when it leaves: a party is behind NAT, or one speaks IPv4 and the other IPv6.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import structlog

from ringfence.message import Message, PeerError, Request, Response
from ringfence.roles.media import MediaPlane, Outcome, Party, Rewritten
from ringfence.roles.nat import callee_behind_nat, caller_behind_nat, media_host, other_version

if TYPE_CHECKING:
    from ringfence.roles.call import Call, Target
    from ringfence.transport.flow import Flow

log = structlog.get_logger("ringfence.media")

GONE: Final = frozenset({408, 481})
"""Answers to a BYE that end a dialog as a 200 does (RFC 3261 section 15.1.1)."""

PASSED_OVER: Final = frozenset({Outcome.NEEDS_ICE})
"""What NAT does not harm: ICE finds the way by itself."""

MAX_OF_STRANGER: Final = 100
"""Sessions at a time of one host that has proved nothing: each takes ports, and strangers may call our users. Another
domain's proxy is such a host too, unless it comes by TLS with a certificate."""


class MediaMode(StrEnum):
    """Which calls are led through the relay."""

    AUTO = "auto"
    """Those with a party behind NAT, or with IPv4 on one side and IPv6 on the other."""

    ALWAYS = "always"
    NEVER = "never"


@dataclass(slots=True, eq=False)
class Anchor:
    """The media session of one branch."""

    key: str
    call_id: str
    tag: str
    """The caller's."""
    dialogs: set[str] = field(default_factory=set)
    """Tags of callees, early dialogs included."""
    up: set[str] = field(default_factory=set)
    """Tags of those who have answered."""
    offerer: Party | None = None
    """Whose offer waits for an answer."""
    hosts: dict[Party, str] = field(default_factory=dict)
    """Where the messages of each party come from: a call that passes here twice has two anchors with the same tags."""
    settled: bool = False
    """An INVITE of it has been answered with a 2xx."""
    stranger: str = ""
    """The host that it counts against."""
    answers: dict[str, Response] = field(default_factory=dict)
    """Early answers, by the tags of those who have made them."""
    latest: str = ""
    """Who has answered last."""
    open: bool = False
    """A description has been rewritten: the plane has a session."""
    over: bool = False


class Anchors:
    """All anchors of this worker."""

    def __init__(
        self,
        plane: MediaPlane,
        mode: MediaMode,
        versions: frozenset[int],
        *,
        refuse: bool = False,
        ended: Callable[[Anchor], None] | None = None,
    ) -> None:
        """``versions``: the IP versions that the plane can bridge. ``refuse``: 488 to what can't be rewritten.

        ``ended`` is told of calls whose media have fallen silent.
        """
        self.plane = plane
        self.mode = mode
        self.versions = versions
        self.refuse = refuse
        self._ended = ended
        self._by_key: dict[str, Anchor] = {}
        self._by_call: dict[str, list[Anchor]] = {}
        self._made = 0
        self._strangers: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Anchor]:
        return iter(tuple(self._by_key.values()))

    def of(self, call: Call) -> RequestMedia | None:
        """What goes with a request; None where its media do not concern us."""
        request = call.request
        if call.call_id in self._by_call and request.to.tag is not None:
            found = self._find(call, request.from_.tag or "", request.to.tag)
            if found is not None:
                return RequestMedia(self, *found)
        if request.method != "INVITE" or self.mode is MediaMode.NEVER:
            return None
        return RequestMedia(self, None, Party.CALLER)

    def wants(self, call: Call, target: Target, flow: Flow) -> bool:
        """Whether the media of a branch have to be led through the relay."""
        if self.mode is MediaMode.ALWAYS:
            return True
        told = media_host(call.request.body)
        if caller_behind_nat(call, told) or callee_behind_nat(target, flow):
            return True
        return len(self.versions) > 1 and other_version(told, flow)

    def add(self, call: Call) -> Anchor:
        """A new anchor, for a branch of this INVITE.

        Raises:
            PeerError: 503, a stranger has too many.
        """
        stranger = ""
        proven = call.findings.user is not None or bool(call.findings.peer_name)
        if not proven and not (call.flow.peer is not None and call.flow.peer.verified):
            stranger = call.flow.remote.host
            if self._strangers[stranger] >= MAX_OF_STRANGER:
                raise PeerError(503, "too many calls from there")
            self._strangers[stranger] += 1
        self._made += 1
        tag = call.request.from_.tag or ""
        made = f"{call.call_id}\n{tag}\n{self._made}\n{call.services.driver.token()}"
        anchor = Anchor(
            blake2b(made.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest(), call.call_id, tag
        )
        anchor.stranger = stranger
        if (to_tag := call.request.to.tag) is not None:
            anchor.dialogs.add(to_tag)  # of a call that began before us
            anchor.up.add(to_tag)
        self._by_key[anchor.key] = anchor
        self._by_call.setdefault(anchor.call_id, []).append(anchor)
        return anchor

    def end(self, anchor: Anchor) -> None:
        """Free the ports."""
        if anchor.over:
            return
        anchor.over = True
        if anchor.stranger:
            self._strangers[anchor.stranger] -= 1
            if not self._strangers[anchor.stranger]:
                del self._strangers[anchor.stranger]
        del self._by_key[anchor.key]
        same = self._by_call[anchor.call_id]
        same.remove(anchor)
        if not same:
            del self._by_call[anchor.call_id]
        self.plane.end(anchor.key)

    def fell_silent(self, key: str) -> None:
        """The plane has freed a session in which nobody has sent anything for long."""
        anchor = self._by_key.get(key)
        if anchor is not None:
            self.end(anchor)
            if self._ended is not None:
                self._ended(anchor)

    def _find(self, call: Call, sender: str, receiver: str) -> tuple[Anchor, Party] | None:
        found: tuple[Anchor, Party] | None = None
        for anchor in self._by_call.get(call.call_id, ()):
            if anchor.tag == sender and receiver in anchor.dialogs:
                party = Party.CALLER
            elif anchor.tag == receiver and sender in anchor.dialogs:
                party = Party.CALLEE
            else:
                continue
            if found is None or anchor.hosts.get(party) == call.flow.remote.host:
                found = anchor, party
        return found


class RequestMedia:
    """One request on its way, as far as media are concerned. ``roles.forward`` asks it.

    What has to wait for the plane comes back as an awaitable; then what comes later waits too, in order. It does not
    hold the call that holds it: that would be a cycle for the garbage collector to find, for each request.
    """

    __slots__ = ("_anchor", "_anchors", "_offered", "_party", "_turn", "_waiting")

    def __init__(self, anchors: Anchors, anchor: Anchor | None, party: Party) -> None:
        self._anchors = anchors
        self._anchor = anchor  # of the dialog; None for an INVITE that begins one, or one that we do not know
        self._party = party  # who sent the request
        self._offered = False  # the request has an offer: its responses answer
        self._turn: asyncio.Lock | None = None
        self._waiting = 0  # how many want their turn, or have it

    def anchor(self, call: Call, target: Target, flow: Flow) -> Anchor | None:
        """The session for a branch; None if its media go their own way."""
        if self._anchor is not None:
            return self._anchor
        return self._anchors.add(call) if self._anchors.wants(call, target, flow) else None

    def leaves(self, call: Call, anchor: Anchor, request: Request, flow: Flow) -> Awaitable[None] | None:
        """The request is about to leave on a flow.

        Raises (when awaited, if that is needed):
            PeerError: 488 or 503, it must not.
        """
        if request.method == "INVITE":
            anchor.hosts = {self._party: call.flow.remote.host, self._party.other: flow.remote.host}
        if not request.body or anchor.over:
            return None
        answers = request.method == "ACK" or (
            request.method == "PRACK" and anchor.offerer is self._party.other
        )
        if not answers:
            self._offered = True
        return self._ask(anchor, request, self._party, answers, call.flow, flow)

    def returns(self, call: Call, anchor: Anchor, response: Response, flow: Flow) -> Awaitable[None] | None:
        """A response has come back on the flow that the request left on."""
        if anchor.over:
            return self._queue()
        status, method = response.status, response.cseq.method
        tag = response.to.tag
        if method == "INVITE" and 100 < status < 300 and tag is not None:
            anchor.dialogs.add(tag if self._party is Party.CALLER else (call.request.from_.tag or ""))
            if status >= 200:
                anchor.settled = True
                anchor.up.add(self._callee_tag(call, response))
        elif method == "BYE" and (200 <= status < 300 or status in GONE):
            anchor.up.discard(self._callee_tag(call, response))
            if anchor.settled and not anchor.up:
                self._anchors.end(anchor)
            return None
        settles = method == "INVITE" and 200 <= status < 300
        if status >= 300 or not (response.body or settles):
            return self._queue()
        if method == "INVITE" and tag is not None and self._offered:
            response = self._of_fork(anchor, response, tag)
        if not response.body and not anchor.open:
            self._anchors.end(anchor)  # a call of which nobody has described anything that we could read
            return self._queue()
        answers = self._offered or not response.body
        return self._ask(anchor, response, self._party.other, answers, flow, call.flow)

    def _of_fork(self, anchor: Anchor, response: Response, tag: str) -> Response:
        """The response whose description counts now: behind a proxy that forks, several phones have answered.

        The one that takes the call may have described its media in a 183 and not again, and another one since then.
        """
        if response.body:
            anchor.latest = tag
            if response.status < 200:
                anchor.answers[tag] = response.copy()
            return response
        earlier = anchor.answers.get(tag)
        if earlier is None or tag == anchor.latest:
            return response
        earlier.status = response.status
        return earlier

    def over(self, anchor: Anchor) -> None:
        """The branch has failed. That of a request inside a dialog leaves the session as it was."""
        if self._anchor is None and not anchor.settled:
            self._anchors.end(anchor)

    def _callee_tag(self, call: Call, response: Response) -> str:
        named = response.to if self._party is Party.CALLER else call.request.from_
        return named.tag or ""

    def _ask(
        self, anchor: Anchor, message: Message, party: Party, answers: bool, came: Flow, goes: Flow
    ) -> Awaitable[None] | None:
        if self._waiting:
            self._waiting += 1
            return self._in_turn(None, anchor, message, party, answers, came, goes)
        try:
            found = self._plane(anchor, message, party, answers, came, goes)
        except PeerError as error:
            found = _failed(message, error)
        if isinstance(found, Rewritten):
            self._put(anchor, message, party, answers, found)
            return None
        self._turn = self._turn or asyncio.Lock()
        self._waiting += 1
        return self._in_turn(found, anchor, message, party, answers, came, goes)

    def _plane(
        self, anchor: Anchor, message: Message, party: Party, answers: bool, came: Flow, goes: Flow
    ) -> Rewritten | Awaitable[Rewritten]:
        plane = self._anchors.plane
        if answers:
            return plane.answer(anchor.key, party, message, seen=came.remote, toward=goes.remote)
        return plane.offer(
            anchor.key, party, message, seen=came.remote, toward=goes.remote, silent=self._anchors.fell_silent
        )

    async def _in_turn(
        self,
        asked: Awaitable[Rewritten] | None,
        anchor: Anchor,
        message: Message,
        party: Party,
        answers: bool,
        came: Flow,
        goes: Flow,
    ) -> None:
        assert self._turn is not None
        try:
            async with self._turn:
                try:
                    found = asked or self._plane(anchor, message, party, answers, came, goes)
                    rewritten = found if isinstance(found, Rewritten) else await found
                except PeerError as error:
                    rewritten = _failed(message, error)
                self._put(anchor, message, party, answers, rewritten)
        finally:
            self._waiting -= 1

    def _queue(self) -> Awaitable[None] | None:
        """What has nothing to ask waits for what came before, if anything still does."""
        if not self._waiting:
            return None
        self._waiting += 1
        return self._after()

    async def _after(self) -> None:
        assert self._turn is not None
        try:
            async with self._turn:
                pass
        finally:
            self._waiting -= 1

    def _put(
        self, anchor: Anchor, message: Message, party: Party, answers: bool, rewritten: Rewritten
    ) -> None:
        if rewritten.outcome is Outcome.REWRITTEN:
            message.set_body(rewritten.body)
            anchor.offerer = None if answers else party
            anchor.open = True
            return
        if not anchor.open and rewritten.outcome is not Outcome.NO_MEDIA:
            self._anchors.end(anchor)
        if rewritten.safe or rewritten.outcome in PASSED_OVER:
            return
        refused = self._anchors.refuse and isinstance(message, Request) and message.method != "ACK"
        log.warning(
            "media can't be led through the relay",
            outcome=rewritten.outcome,
            reason=rewritten.reason,
            passed=not refused,
        )
        if refused:
            raise PeerError(488, f"media can't be led through NAT: {rewritten.outcome}: {rewritten.reason}")


def _failed(message: Message, error: PeerError) -> Rewritten:
    """A request is refused with the error; what can't be refused, a response or an ACK, passes as it is."""
    if isinstance(message, Request) and message.method != "ACK":
        raise error
    return Rewritten(message.body, Outcome.UNREADABLE, error.reason)
