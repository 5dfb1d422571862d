"""Whole calls through a node, by TLS, TCP and UDP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import uvloop

from ringfence.client import (
    CallError,
    CallState,
    Encryption,
    Evidence,
    Media,
    MessageError,
    OutgoingCall,
    UserAgent,
)
from ringfence.client.incoming import IncomingCall
from tests.client.node import Node, serving
from tests.client.phones import event, pitch
from tests.client.test_call import write_tone


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what is entered."""
    async with AsyncExitStack() as stack:
        yield stack


async def connect(
    alice: UserAgent, bob: UserAgent, media: Media | None = None
) -> tuple[OutgoingCall, IncomingCall]:
    call = await alice.call("bob" if bob.account.aor.user == "bob" else "carol")
    theirs = await anext(bob.incoming())
    await theirs.answer(media or Media())
    await call.answered
    return call, theirs


@pytest.mark.parametrize("transport", ["tls", "wss", "tcp", "udp"])
async def test_a_call(node: Node, stack: AsyncExitStack, tmp_path: Path, transport: str) -> None:
    alice = await stack.enter_async_context(node.agent("alice", transport))
    bob = await stack.enter_async_context(node.agent("bob", transport))
    call, theirs = await connect(alice, bob, Media(record=tmp_path / "bob.wav"))
    assert call.encrypted is theirs.encrypted is (transport in {"tls", "wss"})
    await call.audio.send_file(write_tone(tmp_path / "tone.wav", 440, 0.4))
    await call.hold()
    await event(theirs, "held")
    await call.resume()
    await theirs.hang_up()
    assert (await call.ended).by == "peer"
    assert pitch(tmp_path / "bob.wav") == pytest.approx(440, rel=0.05)
    assert not alice.desk.live


async def test_a_caller_that_has_not_registered(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice", register=False))
    bob = await stack.enter_async_context(node.agent("bob"))
    call, theirs = await connect(alice, bob)
    await theirs.hold()
    await event(call, "held")
    await theirs.hang_up()
    await call.ended


async def test_every_phone_rings_and_one_has_the_call(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice"))
    desk = await stack.enter_async_context(node.agent("bob"))
    mobile = await stack.enter_async_context(node.agent("bob", "udp"))
    call = await alice.call("sip:bob@example.org")
    first, second = await anext(desk.incoming()), await anext(mobile.incoming())
    await second.answer()
    await call.answered
    assert (await first.ended).status == 487
    await call.hang_up()
    assert (await second.ended).by == "peer"


async def test_sips_reaches_no_phone_without_tls(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice"))
    await stack.enter_async_context(node.agent("bob", "udp"))
    call = await alice.call("bob")
    assert str(call.peer.identity).startswith("sips:")
    with pytest.raises(CallError) as caught:
        await call.answered
    assert caught.value.status == 480


async def test_audio_is_encrypted_where_both_can(node: Node, stack: AsyncExitStack) -> None:
    """A phone that refuses is offered plain audio, unless that is not wanted."""
    alice = await stack.enter_async_context(node.agent("alice"))
    bob = await stack.enter_async_context(node.agent("bob", encryption=Encryption.OFF))
    call = await alice.call("sip:bob@example.org")
    theirs = await anext(bob.incoming())
    await theirs.answer()
    await call.answered
    assert not call.encrypted
    await call.hang_up()
    call = await alice.call("sip:bob@example.org", media=Media(encryption=Encryption.REQUIRED))
    with pytest.raises(CallError) as caught:
        await call.answered
    assert caught.value.status == 488


@pytest.mark.rfc("5589", "6")
async def test_blind_transfer(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice"))
    bob = await stack.enter_async_context(node.agent("bob", accept_transfers=True))
    carol = await stack.enter_async_context(node.agent("carol"))
    call, theirs = await connect(alice, bob)
    transferring = asyncio.create_task(call.transfer("carol"))
    third = await anext(carol.incoming())
    assert (third.peer.identity, third.peer.evidence) == ("sip:bob@example.org", Evidence.ASSERTED)
    await third.answer()
    await transferring
    assert theirs.successor is not None
    assert theirs.successor.state is CallState.ANSWERED


@pytest.mark.rfc("5589", "7")
async def test_attended_transfer(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice"))
    bob = await stack.enter_async_context(node.agent("bob", accept_transfers=True))
    carol = await stack.enter_async_context(node.agent("carol"))
    first, with_bob = await connect(alice, bob)
    second, with_carol = await connect(alice, carol)
    await first.transfer(second)
    await second.ended
    for leg in (with_bob, with_carol):
        assert leg.successor is not None
        assert leg.successor.state is CallState.ANSWERED


async def test_texts(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice"))
    with pytest.raises(MessageError) as caught:
        await alice.send_text("bob", "are you there?")
    assert caught.value.status == 480
    bob = await stack.enter_async_context(node.agent("bob"))
    await alice.send_text("bob", "x" * 5000)
    assert (await anext(bob.texts())).text == "x" * 5000


async def test_the_node_goes_away_while_it_rings(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with serving(tmp_path) as node:
            alice = await stack.enter_async_context(node.agent("alice"))
            bob = await stack.enter_async_context(node.agent("bob"))
            call = await alice.call("bob")
            await anext(bob.incoming())
        with pytest.raises(CallError) as caught:
            async with asyncio.timeout(5):
                await call.answered
        assert caught.value.status == 503


def test_on_uvloop(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as node, node.agent("alice") as alice, node.agent("bob") as bob:
            call, theirs = await connect(alice, bob)
            await call.audio.send_tone(440, 0.1)
            await call.hang_up()
            await theirs.ended

    uvloop.run(work())
