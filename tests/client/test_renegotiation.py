"""Changes to a call that is up, with a peer who does as the test wants."""

from __future__ import annotations

import asyncio

import pytest

from ringfence.client import CallError, CallState, IncomingCall, OutgoingCall, UserAgent
from ringfence.client.session_timer import SessionTimer
from tests.client.phones import Phones, event
from tests.client.stranger import Stranger


async def answered(
    agent: UserAgent, stranger: Stranger, headers: dict[str, str] | None = None
) -> OutgoingCall:
    """A call to the stranger that is up."""
    call = await agent.call(stranger.address)
    stranger.respond(await stranger.request("INVITE"), 200, tag="s1", body=stranger.sdp(), headers=headers)
    await stranger.request("ACK")
    await call.answered
    return call


async def received(agent: UserAgent, stranger: Stranger, headers: str = "") -> tuple[IncomingCall, str]:
    """A call from the stranger that is up, and our tag in it."""
    stranger.begin("INVITE", agent, body=stranger.sdp(), headers=headers)
    call = await anext(agent.incoming())
    answering = asyncio.create_task(call.answer())
    tag = (await stranger.response(200)).to.tag or ""
    stranger.begin("ACK", agent, to_tag=tag)
    await answering
    return call, tag


@pytest.mark.rfc("3261", "14.1")
async def test_a_refused_change_leaves_the_call_as_it_was(phones: Phones, stranger: Stranger) -> None:
    call = await answered(await phones("alice"), stranger)
    holding = asyncio.create_task(call.hold())
    stranger.respond(await stranger.request("INVITE"), 488)
    await stranger.request("ACK")
    with pytest.raises(CallError) as caught:
        await holding
    assert caught.value.status == 488
    assert not call.session.holding
    assert call.state is CallState.ANSWERED
    again = asyncio.create_task(call.hold())
    invite = await stranger.request("INVITE")
    assert b"a=sendonly" in invite.body
    stranger.respond(invite, 200, body=stranger.sdp() + "a=recvonly\r\n")
    await stranger.request("ACK")
    await again
    assert call.session.holding


@pytest.mark.rfc("3261", "14.1")
async def test_491_is_tried_again(phones: Phones, stranger: Stranger) -> None:
    call = await answered(await phones("alice"), stranger)
    holding = asyncio.create_task(call.hold())
    first = await stranger.request("INVITE")
    stranger.respond(first, 491)
    await stranger.request("ACK")
    second = await stranger.request("INVITE")
    assert second.cseq.number == first.cseq.number + 1
    stranger.respond(second, 200, body=stranger.sdp() + "a=recvonly\r\n")
    await stranger.request("ACK")
    await holding


@pytest.mark.rfc("3261", "14.2")
async def test_who_is_asked_to_wait_tries_again(phones: Phones, stranger: Stranger) -> None:
    """The ACK of the change before may come later than this one, where a proxy has several processes."""
    call = await answered(await phones("alice"), stranger)
    holding = asyncio.create_task(call.hold())
    stranger.respond(await stranger.request("INVITE"), 500, headers={"Retry-After": "0"})
    await stranger.request("ACK")
    stranger.respond(await stranger.request("INVITE"), 200, body=stranger.sdp() + "a=recvonly\r\n")
    await stranger.request("ACK")
    await holding


@pytest.mark.rfc("3261", "14.2")
async def test_a_change_of_the_peer_while_ours_waits(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    call, tag = await received(bob, stranger)
    holding = asyncio.create_task(call.hold())
    ours = await stranger.request("INVITE")
    stranger.begin("INVITE", bob, to_tag=tag, cseq=2, body=stranger.sdp(40010))
    await stranger.response(491)
    stranger.respond(ours, 200, body=stranger.sdp() + "a=recvonly\r\n")
    await holding


@pytest.mark.rfc("3261", "12.2.1.2")
async def test_481_ends_the_call(phones: Phones, stranger: Stranger) -> None:
    call = await answered(await phones("alice"), stranger)
    holding = asyncio.create_task(call.hold())
    stranger.respond(await stranger.request("INVITE"), 481)
    with pytest.raises(CallError):
        await holding
    assert (await call.ended).by == "network"


@pytest.mark.rfc("3261", "12.2")
async def test_the_peer_moves(phones: Phones, stranger: Stranger) -> None:
    """Target refresh: requests go to the Contact of the latest re-INVITE, and audio to its SDP."""
    bob = await phones("bob")
    call, tag = await received(bob, stranger)
    moved = f"sip:elsewhere@127.0.0.1:{stranger.port}"
    stranger.begin("INVITE", bob, to_tag=tag, cseq=2, body=stranger.sdp(40020), contact=moved)
    await stranger.response(200)
    stranger.begin("ACK", bob, to_tag=tag, cseq=2)
    await asyncio.sleep(0.02)
    assert call.session.agreed is not None
    assert call.session.agreed.remote == ("127.0.0.1", 40020)
    hanging_up = asyncio.create_task(call.hang_up())
    bye = await stranger.request("BYE")
    assert bye.uri == moved
    stranger.respond(bye, 200)
    await hanging_up


@pytest.mark.rfc("3261", "12.2.2")
async def test_requests_out_of_order(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    _, tag = await received(bob, stranger)
    stranger.begin("OPTIONS", bob, to_tag=tag, cseq=20)
    await stranger.response(200)
    stranger.begin("OPTIONS", bob, to_tag=tag, cseq=19)
    await stranger.response(500)


@pytest.mark.rfc("3311", "5.2")
async def test_an_offer_while_the_first_one_waits_is_put_off(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp())
    tag = (await stranger.response(180)).to.tag or ""
    stranger.begin("UPDATE", bob, to_tag=tag, cseq=2, body=stranger.sdp())
    later = await stranger.response(500)
    assert 0 <= int(later.headers.get("Retry-After") or "none") <= 10


@pytest.mark.rfc("3311", "5.2")
async def test_update_changes_the_session(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    call, tag = await received(bob, stranger)
    stranger.begin("UPDATE", bob, to_tag=tag, cseq=2, body=stranger.sdp() + "a=sendonly\r\n")
    ok = await stranger.response(200)
    assert b"a=recvonly" in ok.body
    await event(call, "held")


async def test_a_reinvite_without_offer_gets_ours(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    call, tag = await received(bob, stranger)
    stranger.begin("INVITE", bob, to_tag=tag, cseq=2)
    ok = await stranger.response(200)
    assert b"m=audio" in ok.body
    stranger.begin("ACK", bob, to_tag=tag, cseq=2, body=stranger.sdp(40030))
    await asyncio.sleep(0.05)
    assert call.session.agreed is not None
    assert call.session.agreed.remote == ("127.0.0.1", 40030)


@pytest.mark.rfc("3261", "14.2")
async def test_an_unacceptable_change_is_refused(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    call, tag = await received(bob, stranger)
    offer = stranger.sdp().replace("RTP/AVP 0 101", "RTP/AVP 9")
    stranger.begin("INVITE", bob, to_tag=tag, cseq=2, body=offer)
    response = await stranger.response(488)
    assert "no codec" in (response.headers.get("Warning") or "")
    stranger.begin("ACK", bob, to_tag=tag, cseq=2)
    assert call.state is CallState.ANSWERED
    stranger.begin("UPDATE", bob, to_tag=tag, cseq=3, body=stranger.sdp() + "a=inactive\r\n")
    await stranger.response(200)


@pytest.mark.rfc("3261", "14.2")
async def test_a_change_before_the_last_one_is_acknowledged(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    _, tag = await received(bob, stranger)
    stranger.begin("INVITE", bob, to_tag=tag, cseq=2, body=stranger.sdp(40010))
    await stranger.response(200)
    stranger.begin("INVITE", bob, to_tag=tag, cseq=3, body=stranger.sdp(40012))
    response = await stranger.response(500)
    assert 0 <= int(response.headers.get("Retry-After") or "99") <= 10
    stranger.begin("ACK", bob, to_tag=tag, cseq=2)


@pytest.mark.rfc("3264", "8.2")
async def test_the_peer_takes_the_audio_out(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    call, tag = await received(bob, stranger)
    stranger.begin("UPDATE", bob, to_tag=tag, cseq=2, body=stranger.sdp(0))
    ok = await stranger.response(200)
    assert b"m=audio 0 " in ok.body
    assert call.state is CallState.ANSWERED
    stranger.begin("UPDATE", bob, to_tag=tag, cseq=3, body=stranger.sdp(40014))
    assert b"m=audio 0 " not in (await stranger.response(200)).body


@pytest.mark.rfc("3326", "2")
async def test_why_the_peer_hangs_up(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    call, tag = await received(bob, stranger)
    stranger.begin("BYE", bob, to_tag=tag, cseq=2, headers='Reason: Q.850;cause=16;text="Good night"\n')
    await stranger.response(200)
    assert (await call.ended).reason == "Good night"


@pytest.mark.rfc("4028", "10")
async def test_we_refresh_by_update_where_the_peer_has_it(phones: Phones, stranger: Stranger) -> None:
    call = await answered(
        await phones("alice"), stranger, {"Session-Expires": "90;refresher=uac", "Allow": "INVITE, UPDATE"}
    )
    assert (call.timer.interval, call.timer.refreshing) == (90, True)
    call.timer.interval = 0  # seconds: it is due at once
    call.rearm()
    update = await stranger.request("UPDATE")
    assert update.headers.get("Session-Expires") == "90;refresher=uac"
    assert not update.body
    stranger.respond(update, 200, headers={"Session-Expires": "100;refresher=uas"})
    await event(call, "refreshed")
    assert (call.timer.interval, call.timer.refreshing) == (100, False)


@pytest.mark.rfc("4028", "10")
async def test_we_refresh_by_reinvite_with_an_unchanged_offer(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    invite = await stranger.request("INVITE")
    stranger.respond(
        invite, 200, tag="s1", body=stranger.sdp(), headers={"Session-Expires": "90;refresher=uac"}
    )
    await stranger.request("ACK")
    await call.answered
    call.timer.interval = 0
    call.rearm()
    refresh = await stranger.request("INVITE")
    assert refresh.body == invite.body
    stranger.respond(refresh, 200, body=stranger.sdp())
    await stranger.request("ACK")


@pytest.mark.rfc("4028", "10")
async def test_a_peer_that_does_not_refresh_loses_the_call(phones: Phones, stranger: Stranger) -> None:
    call = await answered(await phones("alice"), stranger, {"Session-Expires": "90;refresher=uas"})
    assert call.timer.delay() == 60
    call.timer = Impatient()
    call.rearm()
    stranger.respond(await stranger.request("BYE"), 200)
    assert (await call.ended).status == 408


class Impatient(SessionTimer):
    """A timer of a peer that should have refreshed by now."""

    def delay(self) -> float | None:
        return 0.01


@pytest.mark.rfc("4028", "9")
async def test_session_intervals_that_are_too_short(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp(), headers="Supported: timer\nSession-Expires: 60\n")
    assert (await stranger.response(422)).headers.get("Min-SE") == "90"


@pytest.mark.rfc("4028", "9")
async def test_the_caller_refreshes_when_it_can(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp(), headers="Supported: timer\nSession-Expires: 600\n")
    call = await anext(bob.incoming())
    answering = asyncio.create_task(call.answer())
    ok = await stranger.response(200)
    assert ok.headers.get("Session-Expires") == "600;refresher=uac"
    assert ok.headers.get("Require") == "timer"
    stranger.begin("ACK", bob, to_tag=ok.to.tag or "")
    await answering
    assert (call.timer.interval, call.timer.refreshing) == (600, False)


async def test_info_presses_keys(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    call, tag = await received(bob, stranger)
    stranger.begin(
        "INFO",
        bob,
        to_tag=tag,
        cseq=2,
        body="Signal=7\r\nDuration=100\r\n",
        content_type="application/dtmf-relay",
    )
    await stranger.response(200)
    assert (await event(call, "key")).facts == {"key": "7"}
    stranger.begin("INFO", bob, to_tag=tag, cseq=3, headers="Info-Package: x\n")
    assert (await stranger.response(469)).headers.get("Recv-Info") == ""


async def test_keys_go_by_info_where_there_are_no_events(phones: Phones, stranger: Stranger) -> None:
    call = await (await phones("alice")).call(stranger.address)
    plain = stranger.sdp().replace(" 101", "").replace("a=rtpmap:101 telephone-event/8000\r\n", "")
    stranger.respond(await stranger.request("INVITE"), 200, body=plain)
    await stranger.request("ACK")
    await call.answered
    pressing = asyncio.create_task(call.send_digits("5"))
    info = await stranger.request("INFO")
    assert info.body == b"Signal=5\r\nDuration=160\r\n"
    stranger.respond(info, 200)
    await pressing
