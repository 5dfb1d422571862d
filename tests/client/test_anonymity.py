"""What a user agent asks of the privacy service, and what it leaves out itself (RFC 3323 section 4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from ringfence.client import Call, CallError, Media, Privacy, UserAgent
from ringfence.client.anonymity import Wanted, disguise, fields, wanted
from ringfence.client.incoming import IncomingCall
from ringfence.client.outgoing import OutgoingCall
from ringfence.message import Headers, LocalError, NameAddr
from ringfence.message.fields import CONTACT
from tests.client.node import Node, serving
from tests.client.phones import event, pitch
from tests.client.test_call import write_tone


@pytest.mark.rfc("3323", "4.2")
@pytest.mark.parametrize(
    ("asked", "written"),
    [
        (Privacy.SESSION, "session"),
        ("user,critical", "user;id;critical"),
        ([Privacy.HEADER, "session"], "header;session"),
        ("USER; id", "user;id"),
        ("none", "none"),
    ],
)
def test_how_it_is_asked_for(asked: Wanted, written: str) -> None:
    assert fields(wanted(asked))[0] == ("Privacy", written)


@pytest.mark.rfc("3323", "4.3")
def test_what_is_critical_takes_a_service_that_knows_of_it() -> None:
    assert ("Proxy-Require", "privacy") in fields(wanted("session,critical"))
    assert len(fields(wanted("session"))) == 1
    assert fields(wanted("session,critical"), answer=True) == [("Privacy", "session")]


@pytest.mark.parametrize("asked", ["ghost", "none,user", "critical"])
def test_what_makes_no_sense_is_refused(asked: str) -> None:
    with pytest.raises(LocalError):
        wanted(asked)


@pytest.mark.rfc("3323", "4.1")
def test_user_privacy_begins_at_home() -> None:
    headers = Headers(
        [("From", "Alice <sip:alice@example.org>;tag=1"), ("User-Agent", "x"), ("Privacy", "user")]
    )
    disguise(headers, "1")
    assert list(headers) == [
        ("From", '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1'),
        ("Privacy", "user"),
    ]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def connect(
    alice: UserAgent, bob: UserAgent, privacy: Wanted | None, theirs: Media | None = None
) -> tuple[OutgoingCall, IncomingCall]:
    call = await alice.call("bob", privacy=privacy)
    incoming = await anext(bob.incoming())
    await incoming.answer(theirs or Media())
    await call.answered
    return call, incoming


@pytest.mark.parametrize("transport", ["tls", "udp"])
async def test_a_private_call_is_like_any_other_but_for_the_name(
    node: Node, stack: AsyncExitStack, tmp_path: Path, transport: str
) -> None:
    """Audio, hold from both sides, keys, texts and hanging up go through."""
    alice = await stack.enter_async_context(node.agent("alice", transport))
    bob = await stack.enter_async_context(node.agent("bob", transport))
    call, theirs = await connect(
        alice, bob, (Privacy.USER, Privacy.SESSION, Privacy.CRITICAL), Media(record=tmp_path / "bob.wav")
    )
    assert theirs.peer.anonymous
    assert call.encrypted is theirs.encrypted is (transport == "tls")
    await call.audio.send_file(write_tone(tmp_path / "tone.wav", 440, 0.4))
    await call.hold()
    await event(theirs, "held")
    await call.resume()
    await theirs.hold()
    await event(call, "held")
    await theirs.resume()
    await call.send_digits("7")
    await event(theirs, "key")
    await call.send_text("it is me")
    await event(theirs, "text")
    await theirs.hang_up()
    assert (await call.ended).by == "peer"
    assert pitch(tmp_path / "bob.wav") == pytest.approx(440, rel=0.05)
    assert not node.running.parts.services.bridges


async def test_an_agent_may_always_be_private(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice", privacy="user,header"))
    bob = await stack.enter_async_context(node.agent("bob"))
    call, theirs = await connect(alice, bob, None)
    assert theirs.peer.anonymous
    await call.hang_up()
    await theirs.ended
    call, theirs = await connect(alice, bob, Privacy.NONE)
    assert not theirs.peer.anonymous
    await call.hang_up()
    await theirs.ended


@pytest.mark.rfc("5767", "4.1")
async def test_a_temporary_gruu_names_no_device(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice"))
    registration = alice.registration
    assert registration is not None
    assert registration.temporary_gruu is not None
    flow = registration.flow
    assert flow is not None
    contact = NameAddr(CONTACT.parse(alice.desk.contact(flow, secure=True, private=True)).uri)  # type: ignore[union-attr]
    assert contact.uri == registration.temporary_gruu


async def test_who_is_called_may_be_private_too(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice"))
    bob = await stack.enter_async_context(node.agent("bob", privacy="header,session"))
    call, theirs = await connect(alice, bob, None)
    assert call.dialog is not None
    assert "anonymous-" in call.dialog.remote_target
    await call.audio.send_tone(440, 0.2)
    assert theirs.audio.stats.received > 0
    await theirs.hang_up()
    await call.ended


async def test_what_can_t_be_given_is_told(node: Node, stack: AsyncExitStack) -> None:
    node.running.parts.services.bridges = None
    alice = await stack.enter_async_context(node.agent("alice"))
    await stack.enter_async_context(node.agent("bob"))
    call = await alice.call("bob", privacy="session,critical")
    with pytest.raises(CallError) as caught:
        await call.answered
    assert caught.value.status == 500
    assert "session" in caught.value.reason


async def test_a_node_that_stops_ends_private_calls(tmp_path: Path, stack: AsyncExitStack) -> None:
    async with serving(tmp_path) as node:
        alice = await stack.enter_async_context(node.agent("alice"))
        bob = await stack.enter_async_context(node.agent("bob"))
        call, theirs = await connect(alice, bob, Privacy.USER)
    assert (await call.ended).by == (await theirs.ended).by == "peer"


@pytest.mark.rfc("3891", "3")
@pytest.mark.parametrize("attended", [False, True])
async def test_a_caller_without_a_name_hands_its_peer_on(
    node: Node, stack: AsyncExitStack, attended: bool
) -> None:
    """Bob and carol are connected; both calls were from nobody, and Replaces finds its dialog all the same."""
    alice = await stack.enter_async_context(node.agent("alice"))
    bob = await stack.enter_async_context(node.agent("bob", accept_transfers=True))
    carol = await stack.enter_async_context(node.agent("carol"))
    call, at_bob = await connect(alice, bob, Privacy.USER)
    if attended:
        second = await alice.call("carol", privacy=Privacy.USER)
        at_carol = await anext(carol.incoming())
        await at_carol.answer()
        await second.answered
        await call.transfer(second)
        connected: Call = await anext(carol.incoming()) if at_carol.successor is None else at_carol.successor
    else:
        moving = asyncio.create_task(call.transfer("carol"))
        connected = ringing = await anext(carol.incoming())
        await ringing.answer()
        await moving
    assert connected.peer.identity.endswith("bob@example.org")
    await call.ended
    assert not at_bob.peer.identity.endswith("alice@example.org")
    await connected.hang_up()
