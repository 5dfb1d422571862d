"""Handing calls on, seen from all three sides."""

from __future__ import annotations

import asyncio

import pytest

from ringfence.client import CallError, CallState
from tests.client.phones import Phones, address, event
from tests.client.stranger import Stranger


@pytest.mark.rfc("3515", "2")
async def test_blind(phones: Phones) -> None:
    alice, carol = await phones("alice"), await phones("carol")
    bob = await phones("bob", accept_transfers=True)
    call, theirs = await phones.call(alice, bob)
    phones.answers(carol)
    await call.transfer(address(carol))
    assert call.state is CallState.ENDED
    assert (await theirs.ended).by == "peer"
    assert theirs.successor is not None
    assert theirs.successor.state is CallState.ANSWERED
    assert theirs.successor.peer.identity == "sip:carol@127.0.0.1"
    kinds = [(item.kind, item.facts.get("status")) async for item in call.events()]
    assert ("transfer", 100) in kinds
    assert ("transfer", 200) in kinds


@pytest.mark.rfc("3892", "2.1")
async def test_the_target_is_told_who_transferred(phones: Phones) -> None:
    alice, carol = await phones("alice"), await phones("carol")
    bob = await phones("bob", accept_transfers=True)
    call, _ = await phones.call(alice, bob)
    transferring = asyncio.create_task(call.transfer(address(carol)))
    third = await anext(carol.incoming())
    assert third.referred_by == "sip:alice@127.0.0.1"
    await third.answer()
    await transferring


@pytest.mark.rfc("5589", "7")
async def test_attended(phones: Phones) -> None:
    alice, carol = await phones("alice"), await phones("carol")
    bob = await phones("bob", accept_transfers=True)
    first, with_bob = await phones.call(alice, bob)
    await first.hold()
    second, with_carol = await phones.call(alice, carol)
    await first.transfer(second)
    assert (await first.ended).by == "us"
    assert (await second.ended).by == "peer"
    assert with_bob.successor is not None
    assert with_carol.successor is not None
    assert with_bob.successor.state is CallState.ANSWERED
    assert with_carol.successor.state is CallState.ANSWERED
    assert with_bob.successor.dialog is not None
    assert with_carol.successor.dialog is not None
    assert with_bob.successor.dialog.call_id == with_carol.successor.dialog.call_id


async def test_the_target_is_busy(phones: Phones) -> None:
    alice, carol = await phones("alice"), await phones("carol")
    bob = await phones("bob", accept_transfers=True)
    call, theirs = await phones.call(alice, bob)

    async def refuse() -> None:
        (await anext(carol.incoming())).reject(486)

    phones.run(refuse())
    with pytest.raises(CallError) as caught:
        await call.transfer(address(carol))
    assert caught.value.status == 486
    assert (call.state, theirs.state) == (CallState.ANSWERED, CallState.ANSWERED)


async def test_transfers_are_declined_unless_allowed(phones: Phones) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    call, _ = await phones.call(alice, bob)
    with pytest.raises(CallError) as caught:
        await call.transfer("sip:premium@127.0.0.1")
    assert caught.value.status == 603
    assert call.state is CallState.ANSWERED


async def test_the_peer_hangs_up_instead(phones: Phones, stranger: Stranger) -> None:
    alice = await phones("alice")
    call = await alice.call(stranger.address)
    stranger.respond(await stranger.request("INVITE"), 200, tag="s1", body=stranger.sdp())
    await stranger.request("ACK")
    await call.answered
    transferring = asyncio.create_task(call.transfer("sip:carol@127.0.0.1"))
    refer = await stranger.request("REFER")
    assert refer.headers.get("Refer-To") == "<sip:carol@127.0.0.1>"
    stranger.respond(refer, 202)
    assert call.dialog is not None
    stranger.begin("BYE", alice, to_tag=call.dialog.local_tag, call_id=call.dialog.call_id)
    with pytest.raises(CallError, match="over"):
        await transferring


@pytest.mark.rfc("4488", "4")
async def test_a_refer_without_notifications(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    stranger.respond(await stranger.request("INVITE"), 200, body=stranger.sdp())
    await stranger.request("ACK")
    await call.answered
    transferring = asyncio.create_task(call.transfer("sip:carol@127.0.0.1"))
    stranger.respond(await stranger.request("REFER"), 202, headers={"Refer-Sub": "false"})
    stranger.respond(await stranger.request("BYE"), 200)
    await transferring


@pytest.mark.rfc("3515", "2.4.5")
async def test_reports_that_nobody_asked_for(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp())
    call = await anext(bob.incoming())
    answering = asyncio.create_task(call.answer())
    tag = (await stranger.response(200)).to.tag or ""
    stranger.begin("ACK", bob, to_tag=tag)
    await answering
    state = "Subscription-State: active\n"

    def notify(cseq: int, headers: str) -> None:
        stranger.begin(
            "NOTIFY",
            bob,
            to_tag=tag,
            cseq=cseq,
            headers=headers,
            body="SIP/2.0 200 OK\r\n",
            content_type="message/sipfrag",
        )

    notify(2, "Event: presence\n" + state)
    await stranger.response(489)
    notify(3, "Event: refer\n" + state)
    await stranger.response(481)
    notify(4, "Event: refer\n")
    await stranger.response(400)


@pytest.mark.rfc("3515", "2.4.2")
async def test_a_refer_needs_one_refer_to(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob", accept_transfers=True)
    stranger.begin("INVITE", bob, body=stranger.sdp())
    call = await anext(bob.incoming())
    answering = asyncio.create_task(call.answer())
    tag = (await stranger.response(200)).to.tag or ""
    stranger.begin("ACK", bob, to_tag=tag)
    await answering
    stranger.begin("REFER", bob, to_tag=tag, cseq=2)
    await stranger.response(400)
    stranger.begin("REFER", bob, to_tag=tag, cseq=3, headers="Refer-To: <mailto:a@example.org>\n")
    await stranger.response(416)
    stranger.begin("REFER", bob, to_tag=tag, cseq=4, headers=f"Refer-To: <{stranger.address};method=BYE>\n")
    await stranger.response(603)
    stranger.begin("REFER", bob, to_tag=tag, cseq=5, headers=f"Refer-To: <{stranger.address}>\n")
    await stranger.response(202)
    notify = await stranger.request("NOTIFY")
    assert notify.headers.get("Event") == "refer;id=5"
    assert notify.body == b"SIP/2.0 100 Trying\r\n"
    stranger.respond(notify, 200)
    invite = await stranger.request("INVITE")
    stranger.respond(invite, 404)
    notify = await stranger.request("NOTIFY")
    assert notify.body == b"SIP/2.0 404 Not Found\r\n"
    assert notify.headers.get("Subscription-State") == "terminated;reason=noresource"
    stranger.respond(notify, 200)
    await event(call, "transferred")
