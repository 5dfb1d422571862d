"""Our user agent and a baresip phone call each other through a served node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.client import CallState, Encryption, Media, UserAgent
from ringfence.security.digest import STRONG, Algorithm
from tests.interop.baresip import Baresip
from tests.interop.node import Node, password_of
from tests.interop.processes import HOST, eventually
from tests.interop.tone import seconds_of_tone, write_tone

pytestmark = pytest.mark.interop("baresip")

HEARD = 0.8
"""Seconds of a tone that prove that audio arrives."""


@pytest.fixture(scope="module", params=["tls", "udp", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    """What both sides use."""
    return str(request.param)


@pytest.fixture(scope="module")
def bob(transport: str, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Baresip]:
    """Bob's phone, registered."""
    phone = Baresip(node, "bob", tmp_path_factory.mktemp("user-agent") / "bob", transport, hertz=700)
    eventually(phone.registered, "bob is registered")
    yield phone
    phone.end()


@pytest.fixture
async def alice(node: Node, bob: Baresip, transport: str) -> AsyncIterator[UserAgent]:
    """Our agent, over the same transport as Bob's phone."""
    agent = UserAgent(
        f"sip:alice@{node.domain}",
        password=password_of("alice"),
        algorithms=(*STRONG, Algorithm.MD5),
        proxy=f"sip:{HOST}:{node.listen[transport]};transport={transport}",
        trust=node.authority,
    )
    async with agent:
        yield agent
    bob.forget()


async def aside(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Steer the phone while our own loop runs on."""
    return await asyncio.to_thread(work, *arguments, **named)


async def test_we_call(alice: UserAgent, bob: Baresip, tmp_path: Path) -> None:
    mark = bob.mark()
    said = write_tone(tmp_path / "said.wav", 440, 3.0)
    call = await alice.call("bob", media=Media(play=said, record=tmp_path / "heard.wav"))
    await aside(bob.expect, "CALL_INCOMING", mark)
    await aside(bob.command, "accept")
    async with asyncio.timeout(5):
        await call.answered
    await aside(eventually, lambda: bob.hears(440) >= HEARD, "bob hears us")
    await call.hang_up()
    await aside(bob.expect, "CALL_CLOSED", mark)
    assert seconds_of_tone(tmp_path / "heard.wav", 700) >= HEARD


async def test_we_are_called(alice: UserAgent, bob: Baresip, tmp_path: Path) -> None:
    mark = bob.mark()
    await aside(bob.command, "dial", str(alice.account.aor))
    async with asyncio.timeout(5):
        call = await anext(aiter(alice.incoming()))
    assert call.peer.identity == "sip:bob@example.org"
    await call.answer(Media(play=write_tone(tmp_path / "said.wav", 440, 3.0), record=tmp_path / "heard.wav"))
    await aside(bob.expect, "CALL_ESTABLISHED", mark)
    await aside(eventually, lambda: bob.hears(440) >= HEARD, "bob hears us")
    await aside(bob.command, "hangup")
    async with asyncio.timeout(5):
        assert (await call.ended).by == "peer"
    assert seconds_of_tone(tmp_path / "heard.wav", 700) >= HEARD


async def test_hold_by_either_side(alice: UserAgent, bob: Baresip) -> None:
    call = await _up(alice, bob)
    await call.hold()
    assert call.session.agreed is not None
    assert not call.session.agreed.direction.receives
    await call.resume()
    assert call.session.agreed.direction == "sendrecv"
    await aside(bob.command, "hold")
    async with asyncio.timeout(5):
        async for happened in call.events():
            if happened.kind == "held":
                break
    await aside(bob.command, "resume")
    await call.hang_up()


async def test_we_give_up(alice: UserAgent, bob: Baresip) -> None:
    mark = bob.mark()
    call = await alice.call("bob")
    await aside(bob.expect, "CALL_INCOMING", mark)
    await call.hang_up()
    await aside(bob.expect, "CALL_CLOSED", mark)


async def test_keys_arrive(alice: UserAgent, bob: Baresip) -> None:
    mark = bob.mark()
    call = await _up(alice, bob)
    await call.send_digits("7")
    await aside(bob.expect, "CALL_DTMF_START", mark, text="7")
    await call.hang_up()


async def test_texts(alice: UserAgent, bob: Baresip) -> None:
    await alice.send_text("bob", "hello")


async def test_encrypted_audio(node: Node, tmp_path: Path) -> None:
    """SRTP both ways, with a phone that insists on it."""
    phone = Baresip(node, "carol", tmp_path / "carol", "tls", hertz=700, encryption="srtp-mand")
    try:
        await aside(eventually, phone.registered, "carol is registered")
        async with UserAgent(
            f"sip:dave@{node.domain}",
            password=password_of("dave"),
            algorithms=(*STRONG, Algorithm.MD5),
            proxy=f"sip:{HOST}:{node.listen['tls']};transport=tls",
            trust=node.authority,
            encryption=Encryption.REQUIRED,
        ) as dave:
            mark = phone.mark()
            said = write_tone(tmp_path / "said.wav", 440, 3.0)
            call = await dave.call("carol", media=Media(play=said, record=tmp_path / "heard.wav"))
            await aside(phone.expect, "CALL_INCOMING", mark)
            await aside(phone.command, "accept")
            async with asyncio.timeout(5):
                await call.answered
            assert call.encrypted
            await aside(eventually, lambda: phone.hears(440) >= HEARD, "carol hears us")
            await call.hang_up()
            assert seconds_of_tone(tmp_path / "heard.wav", 700) >= HEARD
    finally:
        phone.end()


async def _up(alice: UserAgent, bob: Baresip) -> Any:
    mark = bob.mark()
    call = await alice.call("bob")
    await aside(bob.expect, "CALL_INCOMING", mark)
    await aside(bob.command, "accept")
    async with asyncio.timeout(5):
        await call.answered
    assert call.state is CallState.ANSWERED
    return call
