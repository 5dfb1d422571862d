"""What an agent does with an INVITE: ring, answer, refuse, be given up on."""

from __future__ import annotations

import asyncio

import pytest

from ringfence.client import CallError, CallState
from ringfence.client.reception import MAX_RINGING
from ringfence.message import LocalError
from tests.client.phones import Phones
from tests.client.stranger import Stranger


@pytest.mark.rfc("3261", "13.3.1.4")
async def test_the_2xx_is_sent_until_the_ack_comes(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp())
    call = await anext(bob.incoming())
    answering = asyncio.create_task(call.answer())
    first = await stranger.response(200)
    second = await stranger.response(200)
    assert second.to_bytes() == first.to_bytes()
    stranger.begin("ACK", bob, to_tag=first.to.tag or "")
    await answering
    assert call.state is CallState.ANSWERED
    assert await stranger.silence()


@pytest.mark.rfc("3261", "13.3.1.4")
async def test_without_an_ack_the_call_is_ended(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp())
    call = await anext(bob.incoming())
    with pytest.raises(CallError, match="acknowledge"):
        await call.answer()
    bye = await stranger.request("BYE")
    stranger.respond(bye, 200)
    assert (await call.ended).status == 408


@pytest.mark.rfc("3261", "15")
async def test_no_bye_before_the_ack(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp())
    call = await anext(bob.incoming())
    answering = asyncio.create_task(call.answer())
    ok = await stranger.response(200)
    hanging_up = asyncio.create_task(call.hang_up())
    assert (await stranger.response(200)).cseq == ok.cseq  # sent again, and no BYE
    stranger.begin("ACK", bob, to_tag=ok.to.tag or "")
    stranger.respond(await stranger.request("BYE"), 200)
    await asyncio.gather(answering, hanging_up)


@pytest.mark.rfc("3261", "13.2.1")
async def test_an_invite_without_offer_gets_ours_and_answers_in_the_ack(
    phones: Phones, stranger: Stranger
) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob)
    call = await anext(bob.incoming())
    answering = asyncio.create_task(call.answer())
    ok = await stranger.response(200)
    assert b"m=audio" in ok.body
    stranger.begin("ACK", bob, to_tag=ok.to.tag or "", body=stranger.sdp(40008))
    await answering
    await asyncio.sleep(0.05)
    assert call.session.agreed is not None
    assert call.session.agreed.remote == ("127.0.0.1", 40008)


async def test_an_ack_without_the_answer_ends_the_call(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob)
    call = await anext(bob.incoming())
    answering = asyncio.create_task(call.answer())
    ok = await stranger.response(200)
    stranger.begin("ACK", bob, to_tag=ok.to.tag or "")
    await answering
    stranger.respond(await stranger.request("BYE"), 200)
    assert (await call.ended).status == 400


@pytest.mark.rfc("3262", "3")
async def test_it_rings_reliably_where_that_is_required(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, headers="Require: 100rel\n", body=stranger.sdp())
    ringing = await stranger.response(180)
    again = await stranger.response(180)
    assert again.to_bytes() == ringing.to_bytes()
    rseq = ringing.headers.get("RSeq")
    tag = ringing.to.tag or ""
    stranger.begin("PRACK", bob, to_tag=tag, cseq=2, headers="RAck: 1 1 INVITE\n")
    await stranger.response(481)
    stranger.begin("PRACK", bob, to_tag=tag, cseq=3, headers=f"RAck: {rseq} 1 INVITE\n")
    await stranger.response(200)
    assert await stranger.silence()
    call = await anext(bob.incoming())
    answering = asyncio.create_task(call.answer())
    await stranger.response(200)
    stranger.begin("ACK", bob, to_tag=tag)
    await answering


@pytest.mark.rfc("3262", "3")
async def test_a_180_that_is_never_acknowledged_ends_the_call(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, headers="Require: 100rel\n", body=stranger.sdp())
    response = await stranger.response(504)
    stranger.begin("ACK", bob, to_tag=response.to.tag or "", branch="1")


@pytest.mark.rfc("3261", "9.2")
async def test_a_cancel_ends_the_ringing(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp(), branch="x")
    ringing = await stranger.response(180)
    stranger.begin("CANCEL", bob, branch="x")
    responses = [await stranger.response() for _ in range(2)]
    assert {response.status for response in responses} == {200, 487}
    assert {response.to.tag for response in responses} == {ringing.to.tag}
    assert not bob.desk.calls
    stranger.begin("CANCEL", bob, branch="unknown")
    await stranger.response(481)


@pytest.mark.rfc("3261", "15.1.2")
async def test_a_bye_before_the_answer_ends_the_invite_too(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp())
    ringing = await stranger.response(180)
    stranger.begin("BYE", bob, to_tag=ringing.to.tag or "", cseq=2)
    statuses = {(await stranger.response()).status for _ in range(2)}
    assert statuses == {200, 487}


@pytest.mark.rfc("3261", "21.4.26")
async def test_an_offer_without_a_codec_of_ours(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    offer = stranger.sdp().replace("RTP/AVP 0 101", "RTP/AVP 9").replace("a=rtpmap:0 PCMU/8000\r\n", "")
    stranger.begin("INVITE", bob, body=offer)
    response = await stranger.response(488)
    assert 'ringfence "audio: no codec in common"' in (response.headers.get("Warning") or "")


async def test_an_offer_that_cannot_be_read(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body="v=1\r\n")
    assert "v=" in (await stranger.response(400)).reason


async def test_only_so_many_ring_at_one_time(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    for number in range(MAX_RINGING):
        stranger.begin("INVITE", bob, body=stranger.sdp(), call_id=f"ringing{number}")
        await stranger.response(180)
    stranger.begin("INVITE", bob, body=stranger.sdp(), call_id="onemore")
    await stranger.response(486)


async def test_a_call_is_answered_once(phones: Phones) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    _, theirs = await phones.call(alice, bob)
    with pytest.raises(CallError, match="already"):
        await theirs.answer()
    with pytest.raises(CallError, match="no longer"):
        theirs.reject()


async def test_a_status_that_refuses_nothing(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp())
    call = await anext(bob.incoming())
    with pytest.raises(LocalError, match="200"):
        call.reject(200)
    await call.hang_up()
    await stranger.response(603)


@pytest.mark.rfc("3891", "3")
async def test_an_invite_with_replaces_needs_the_dialog(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, headers="Replaces: nothing;to-tag=a;from-tag=b\n", body=stranger.sdp())
    await stranger.response(481)


@pytest.mark.rfc("3891", "3")
async def test_an_invite_replaces_one_call(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    twice = "Replaces: nothing;to-tag=a;from-tag=b\n" * 2
    stranger.begin("INVITE", bob, headers=twice, body=stranger.sdp())
    await stranger.response(400)


@pytest.mark.rfc("3891", "3")
async def test_a_call_is_replaced(phones: Phones, stranger: Stranger) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    _, theirs = await phones.call(alice, bob)
    dialog = theirs.dialog
    assert dialog is not None
    name = f"Replaces: {dialog.call_id};to-tag={dialog.local_tag};from-tag={dialog.remote_tag}\n"
    stranger.begin("INVITE", bob, headers=name + "Require: replaces\n", body=stranger.sdp())
    ok = await stranger.response(200)
    stranger.begin("ACK", bob, to_tag=ok.to.tag or "")
    assert (await theirs.ended).by == "us"
    assert theirs.successor is not None
    assert theirs.successor.state is CallState.ANSWERED
