"""What waits for a media plane that has to be waited for: nothing overtakes anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from ringfence.message import Message, PeerError, Request, Response, SipUri, response_to
from ringfence.roles.anchors import Anchors, MediaMode
from ringfence.roles.call import Call, Target
from ringfence.roles.media import Figures, Outcome, Party, Rewritten, Silent
from ringfence.transport.flow import Endpoint
from tests.conversations.network import Network
from tests.conversations.phones import SDP, Phone


class Slow:
    """A plane elsewhere: each answer waits until it is let go, in any order."""

    def __init__(self) -> None:
        self.gates: list[asyncio.Event] = []
        self.fails = False
        self.ended: list[str] = []

    async def _later(self, message: Message) -> Rewritten:
        gate = asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        if self.fails:
            raise PeerError(503, "it does not answer")
        return Rewritten(
            b"rewritten" if message.body else b"", Outcome.REWRITTEN if message.body else Outcome.NO_MEDIA
        )

    def offer(
        self, key: str, party: Party, message: Message, *, seen: Endpoint, toward: Endpoint | None = None,
        anonymous: bool = False, silent: Silent | None = None,
    ) -> Awaitable[Rewritten]:  # fmt: skip
        return self._later(message)

    def answer(
        self, key: str, party: Party, message: Message, *, seen: Endpoint, toward: Endpoint | None = None,
        anonymous: bool = False,
    ) -> Awaitable[Rewritten]:  # fmt: skip
        return self._later(message)

    def end(self, key: str) -> None:
        self.ended.append(key)

    def close(self) -> None: ...

    def figures(self) -> Figures:
        return Figures()


@pytest.fixture
def plane() -> Slow:
    return Slow()


def invite(network: Network) -> Call:
    alice = Phone(network, "alice", "198.51.100.10")
    request = alice.invite("sip:bob@example.org")
    uri = request.target
    assert isinstance(uri, SipUri)
    return Call(request, None, alice.wire, network.services, uri)


def respond(request: Request, status: int, body: bytes = b"") -> Response:
    response = response_to(request, status, to_tag="bob")
    if body:
        response.set_body(body, "application/sdp")
    return response


async def test_a_response_without_a_description_waits_for_the_one_before(plane: Slow) -> None:
    network = Network()
    call = invite(network)
    media = Anchors(plane, MediaMode.ALWAYS, frozenset({4})).of(call)
    assert media is not None
    anchor = media.anchor(call, Target("sip:bob@198.51.100.20"), call.flow)
    assert anchor is not None
    offered = media.leaves(call, anchor, call.request, call.flow)
    assert offered is not None
    waiting = asyncio.ensure_future(offered)
    await asyncio.sleep(0)
    plane.gates[0].set()
    await waiting
    assert call.request.body == b"rewritten"

    order: list[int] = []

    async def passes(response: Response) -> None:
        work = media.returns(call, anchor, response, call.flow)
        assert work is not None
        await work
        order.append(response.status)

    early, ringing, final = (
        respond(call.request, 183, SDP), respond(call.request, 180), respond(call.request, 200, SDP)
    )  # fmt: skip
    tasks = [asyncio.ensure_future(passes(each)) for each in (early, ringing, final)]
    await asyncio.sleep(0.01)
    assert order == []
    assert len(plane.gates) == 2  # the 200 has not asked yet
    plane.gates[1].set()
    await asyncio.sleep(0.01)
    assert order == [183, 180]
    plane.gates[2].set()
    await asyncio.gather(*tasks)
    assert order == [183, 180, 200]
    assert (early.body, ringing.body, final.body) == (b"rewritten", b"", b"rewritten")
    late = respond(call.request, 180)
    assert media.returns(call, anchor, late, call.flow) is None  # nothing waits any more


async def test_a_request_is_refused_and_a_response_passes_when_the_plane_fails(plane: Slow) -> None:
    network = Network()
    call = invite(network)
    anchors = Anchors(plane, MediaMode.ALWAYS, frozenset({4}))
    media = anchors.of(call)
    assert media is not None
    anchor = media.anchor(call, Target("sip:bob@198.51.100.20"), call.flow)
    assert anchor is not None
    plane.fails = True
    for message, party in ((call.request, None), (respond(call.request, 200, SDP), "callee")):
        work = (
            media.leaves(call, anchor, message, call.flow)
            if isinstance(message, Request)
            else media.returns(call, anchor, message, call.flow)
        )
        assert work is not None
        waiting = asyncio.ensure_future(work)
        await asyncio.sleep(0.01)
        plane.gates[-1].set()
        if party is None:
            with pytest.raises(PeerError, match="does not answer"):
                await waiting
        else:
            await waiting
            assert message.body == SDP
    media.over(anchor)
    assert plane.ended == [anchor.key]
    assert not len(anchors)
