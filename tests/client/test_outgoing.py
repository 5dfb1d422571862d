"""What may become of an INVITE: refused, cancelled, forked, redirected, answered reliably."""

from __future__ import annotations

import asyncio

import pytest

from ringfence.client import CallError, CallState, Evidence, UserAgent
from ringfence.client.outgoing import OutgoingCall
from ringfence.message import LocalError, Request
from tests.client.phones import Phones, address, event
from tests.client.stranger import Stranger


async def failure(call: OutgoingCall) -> CallError:
    with pytest.raises(CallError) as caught:
        async with asyncio.timeout(5):
            await call.answered
    return caught.value


async def test_busy(phones: Phones) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    call = await alice.call(address(bob))
    (await anext(bob.incoming())).reject(486)
    error = await failure(call)
    assert (error.status, error.reason) == (486, "Busy Here")
    assert (await call.ended).by == "peer"
    assert call.state is CallState.ENDED


async def test_declined_with_a_reason(phones: Phones) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    call = await alice.call(address(bob))
    (await anext(bob.incoming())).reject(603, "Not today")
    assert str(await failure(call)) == "603 Not today"


@pytest.mark.rfc("3261", "9.1")
async def test_cancel_while_it_rings(phones: Phones) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    call = await alice.call(address(bob))
    theirs = await anext(bob.incoming())
    await event(call, "ringing")
    await call.hang_up()
    assert (await call.ended).by == "us"
    assert (await failure(call)).status == 487
    assert (await theirs.ended).by == "peer"
    with pytest.raises(CallError, match="gave up"):
        await theirs.answer()


@pytest.mark.rfc("3261", "9.1")
async def test_a_cancel_waits_for_a_provisional_response(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    hanging_up = asyncio.create_task(call.hang_up())
    assert await stranger.silence(0.01)
    stranger.respond(invite, 180)
    cancel = await stranger.request("CANCEL")
    assert cancel.via == invite.via
    stranger.respond(cancel, 200)
    stranger.respond(invite, 487)
    await stranger.request("ACK")
    await hanging_up


@pytest.mark.rfc("3261", "15")
async def test_an_answer_that_crosses_the_cancel_is_ended(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    stranger.respond(invite, 180)
    await event(call, "ringing")
    hanging_up = asyncio.create_task(call.hang_up())
    stranger.respond(await stranger.request("CANCEL"), 200)
    stranger.respond(invite, 200, body=stranger.sdp())
    await stranger.request("ACK")
    stranger.respond(await stranger.request("BYE"), 200)
    await hanging_up
    assert (await failure(call)).status == 487


@pytest.mark.rfc("3261", "17.1.1.2")
async def test_nobody_answers_the_invite(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    assert (await failure(call)).status == 408
    assert (await call.ended).by == "network"


async def test_nobody_is_there_by_tcp(phones: Phones) -> None:
    alice = await phones("alice", transport="TCP")
    with pytest.raises(CallError, match="refused") as caught:
        await alice.call("sip:bob@127.0.0.1:9;transport=tcp")
    assert caught.value.status == 503


async def test_what_is_no_address(phones: Phones) -> None:
    alice = await phones("alice")
    with pytest.raises(LocalError, match="no address"):
        await alice.call("sip:bob@")


@pytest.mark.rfc("3261", "13.2.2.4")
async def test_every_2xx_is_acknowledged_again(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    for _ in range(3):
        stranger.respond(invite, 200, body=stranger.sdp())
        ack = await stranger.request("ACK")
        assert ack.cseq.number == invite.cseq.number
        assert ack.to.tag == "tag1"
    await call.answered


@pytest.mark.rfc("3261", "13.2.2.4")
async def test_the_second_phone_that_answers_is_told_goodbye(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    stranger.respond(invite, 180, tag="one")
    stranger.respond(invite, 180, tag="two")
    stranger.respond(invite, 200, tag="two", body=stranger.sdp(40002))
    stranger.respond(invite, 200, tag="one", body=stranger.sdp(40000))
    acks = {(await stranger.request("ACK")).to.tag for _ in range(2)}
    bye = await stranger.request("BYE")
    stranger.respond(bye, 200)
    assert acks == {"one", "two"}
    assert bye.to.tag == "one"
    await call.answered
    assert call.state is CallState.ANSWERED
    assert call.session.agreed is not None
    assert call.session.agreed.remote == ("127.0.0.1", 40002)


async def test_audio_before_the_answer(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    stranger.respond(invite, 183, body=stranger.sdp(40000))
    await event(call, "early-media")
    assert call.session.agreed is not None
    stranger.respond(invite, 200, body=stranger.sdp(40004))
    await call.answered
    assert call.session.agreed.remote == ("127.0.0.1", 40004)


@pytest.mark.rfc("3261", "13.2.1")
async def test_a_2xx_need_not_say_again_what_came_before_it(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    stranger.respond(invite, 183, body=stranger.sdp(40000))
    stranger.respond(invite, 200)
    await stranger.request("ACK")
    await call.answered
    assert call.session.agreed is not None
    assert call.session.agreed.remote == ("127.0.0.1", 40000)


@pytest.mark.rfc("3261", "13.2.2.4")
async def test_the_ack_goes_before_the_bye(phones: Phones, stranger: Stranger) -> None:
    """Of an answer that can't be taken, and of a phone that answers too late."""
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    for tag in ("one", "two"):
        stranger.respond(invite, 200, tag, body=stranger.sdp(40000).replace("audio", "video"))
        ack, bye = await stranger.receive(), await stranger.receive()
        assert isinstance(ack, Request)
        assert isinstance(bye, Request)
        assert (ack.method, bye.method) == ("ACK", "BYE")
        stranger.respond(bye, 200)
    await failure(call)


@pytest.mark.rfc("3262", "4")
async def test_reliable_responses_are_acknowledged_once_and_in_order(
    phones: Phones, stranger: Stranger
) -> None:
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    assert "100rel" in invite.headers.values("Supported")
    reliable = {"Require": "100rel", "RSeq": "7"}
    stranger.respond(invite, 183, headers=reliable, body=stranger.sdp(40000))
    prack = await stranger.request("PRACK")
    assert prack.headers.get("RAck") == f"7 {invite.cseq.number} INVITE"
    stranger.respond(prack, 200)
    stranger.respond(invite, 183, headers=reliable, body=stranger.sdp(40000))  # again
    stranger.respond(invite, 180, headers={"Require": "100rel", "RSeq": "9"})  # 8 is missing
    assert await stranger.silence()
    stranger.respond(invite, 180, headers={"Require": "100rel", "RSeq": "8"})
    stranger.respond(await stranger.request("PRACK"), 200)
    stranger.respond(invite, 200)  # the answer was in the 183
    await stranger.request("ACK")
    await call.answered
    assert call.session.agreed is not None
    assert call.session.agreed.remote == ("127.0.0.1", 40000)


async def test_an_answer_without_audio_ends_the_call(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    stranger.respond(invite, 200)
    await stranger.request("ACK")
    stranger.respond(await stranger.request("BYE"), 200)
    assert (await failure(call)).status == 488


async def test_an_answer_that_cannot_be_read_ends_the_call(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    stranger.respond(invite, 200, body="v=0\r\nnonsense\r\n")
    await stranger.request("ACK")
    stranger.respond(await stranger.request("BYE"), 200)
    assert (await failure(call)).status == 400


@pytest.mark.rfc("4028", "7.3")
async def test_a_longer_session_interval_is_offered_on_422(phones: Phones, stranger: Stranger) -> None:
    await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    assert invite.headers.get("Session-Expires") == "1800"
    stranger.respond(invite, 422, headers={"Min-SE": "3600"})
    again = await stranger.request("INVITE")
    assert again.headers.get("Session-Expires") == "3600"
    assert again.headers.get("Min-SE") == "3600"
    assert again.call_id == invite.call_id
    assert again.cseq.number == invite.cseq.number + 1
    stranger.respond(again, 486)
    await stranger.request("ACK")


@pytest.mark.rfc("3261", "8.1.3.4")
async def test_redirections_are_followed_only_when_allowed(phones: Phones, stranger: Stranger) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    contact = {"Contact": f"<{address(bob)}>;q=0.5, <mailto:bob@example.org>"}
    call = await alice.call(stranger.address)
    stranger.respond(await stranger.request("INVITE"), 302, headers=contact)
    assert (await failure(call)).status == 302
    carol = await phones("carol", follow_redirections=True)
    phones.answers(bob)
    call = await carol.call(stranger.address)
    stranger.respond(await stranger.request("INVITE"), 302, headers=contact)
    await call.answered
    assert (await event(call, "redirected")).facts["to"] == address(bob)


async def test_who_was_called_is_no_evidence(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    stranger.respond(
        invite, 200, body=stranger.sdp(), headers={"P-Asserted-Identity": "<sip:queen@example.org>"}
    )
    await call.answered
    assert call.peer.identity == stranger.address.partition(":5")[0] or call.peer.identity.startswith(
        "sip:stranger@"
    )
    assert call.peer.evidence is Evidence.CALLED


async def test_encryption_needs_tls(phones: Phones, stranger: Stranger) -> None:
    from ringfence.client import Encryption, Media

    alice = await phones("alice")
    with pytest.raises(LocalError, match="TLS"):
        await alice.call(stranger.address, media=Media(encryption=Encryption.REQUIRED))


async def test_an_agent_that_is_not_open() -> None:
    alice = UserAgent("sip:alice@127.0.0.1")
    with pytest.raises(LocalError, match="not open"):
        await alice.call("sip:bob@127.0.0.1")
