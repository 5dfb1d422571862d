"""Text messages (RFC 3428)."""

from __future__ import annotations

import asyncio

import pytest

from ringfence.client import Evidence, MessageError, Text
from ringfence.client.feed import MAX_UNREAD
from ringfence.message import LocalError
from tests.client.phones import Phones, address
from tests.client.stranger import Stranger


@pytest.mark.rfc("3428", "7")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_a_text_arrives(phones: Phones, transport: str) -> None:
    alice, bob = await phones("alice", transport=transport), await phones("bob", transport=transport)
    await alice.send_text(address(bob), "Kaffee? ☕")
    text = await anext(bob.texts())
    assert isinstance(text, Text)
    assert (text.text, text.content_type) == ("Kaffee? ☕", "text/plain")
    assert (text.peer.identity, text.peer.evidence) == ("sip:alice@127.0.0.1", Evidence.CLAIMED)


async def test_a_text_that_is_refused(phones: Phones, stranger: Stranger) -> None:
    alice = await phones("alice")
    sending = asyncio.create_task(alice.send_text(stranger.address, "hello"))
    message = await stranger.request("MESSAGE")
    assert message.body == b"hello"
    assert "Contact" not in message.headers  # RFC 3428 section 4
    stranger.respond(message, 403)
    with pytest.raises(MessageError) as caught:
        await sending
    assert caught.value.status == 403


async def test_a_text_that_nobody_answers(phones: Phones, stranger: Stranger) -> None:
    with pytest.raises(MessageError) as caught:
        await (await phones("alice")).send_text(stranger.address, "hello")
    assert caught.value.status == 408


async def test_texts_that_nobody_reads_are_refused_in_the_end(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    for number in range(MAX_UNREAD):
        stranger.begin("MESSAGE", bob, body="x", content_type="text/plain", call_id=f"c{number}")
        await stranger.response(200)
    stranger.begin("MESSAGE", bob, body="x", content_type="text/plain", call_id="more")
    await stranger.response(480)


@pytest.mark.rfc("3261", "18.1.1")
async def test_a_text_too_long_for_a_datagram_goes_by_tcp(phones: Phones) -> None:
    alice = await phones("alice", transport=None)  # type: ignore[arg-type]  # both
    bob = await phones("bob", transport=None)  # type: ignore[arg-type]
    host = address(bob).partition(";")[0]
    seen: list[str] = []
    alice.desk.driver.watch(lambda direction, message, flow: seen.append(f"{direction} {flow.transport}"))
    request = alice.desk.request("MESSAGE", alice.desk.target(host))
    request.set_body(b"x" * 1300, "text/plain")
    assert (await alice.desk.exchange(request).run()).status == 200
    assert seen[0] == "out TCP"
    assert (await anext(bob.texts())).text == "x" * 1300


@pytest.mark.rfc("3261", "18.1.1")
async def test_without_tcp_it_goes_by_udp_after_all(phones: Phones, stranger: Stranger) -> None:
    alice = await phones("alice")
    request = alice.desk.request("MESSAGE", alice.desk.target(stranger.address))
    request.set_body(b"x" * 1400, "text/plain")
    sending = asyncio.create_task(alice.desk.exchange(request).run())
    stranger.respond(await stranger.request("MESSAGE"), 200)
    assert (await sending).status == 200


@pytest.mark.rfc("3428", "8")
async def test_a_text_that_is_too_long(phones: Phones, stranger: Stranger) -> None:
    with pytest.raises(LocalError, match="sips"):
        await (await phones("alice")).send_text(stranger.address, "x" * 1300)


@pytest.mark.rfc("3261", "19.1.6")
async def test_what_is_typed_as_an_address(phones: Phones) -> None:
    alice = await phones("alice")
    target = alice.desk.target
    domain = alice.desk.account.domain
    number = target("tel:+1-201-555-0123")
    assert (number.user, number.host, number.params.get("user")) == ("+1-201-555-0123", domain, "phone")
    assert target("bob").host == domain
    for wrong in ("mailto:bob@example.org", "https://example.org/"):
        with pytest.raises(LocalError, match="no address to call"):
            target(wrong)
