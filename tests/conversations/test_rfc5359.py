"""The services of RFC 5359 that pass a proxy: what phones do with each other has to arrive as they wrote it."""

from __future__ import annotations

import pytest

from tests.conversations.network import Network
from tests.conversations.phones import SDP, Phone, network_is_quiet

HELD = SDP.replace(b"m=audio", b"a=sendonly\r\nm=audio")


@pytest.fixture
def dan(network: Network) -> Phone:
    """Somebody outside, who needs no password to call a user of ours."""
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


@pytest.fixture
def carol(network: Network) -> Phone:
    network.account("carol")
    phone = Phone(network, "carol", "198.51.100.30")
    phone >> phone.register() << 401 >> phone.authorized() << 200
    return phone


def talk(caller: Phone, callee: Phone, *more: tuple[str, str]) -> None:
    """A call that is answered."""
    caller >> caller.invite(callee.aor, *more) << 100
    callee << "INVITE" >> callee.answer(180)
    caller << 180
    callee >> callee.answer(200, request=callee.request, body=SDP)
    caller << 200
    caller.begin()
    caller >> caller.within("ACK", cseq=caller.dialog.cseq)
    callee << "ACK"


def reinvite(one: Phone, other: Phone, offer: bytes, answer: bytes = SDP) -> None:
    """A new offer inside the call; an empty one leaves it to the other side, and goes on in the ACK."""
    one >> one.within("INVITE", body=offer) << 100
    other << "INVITE"
    assert other.request.body == offer
    dialog = other.dialog
    other >> other.answer(200, body=answer)
    other.dialog = dialog
    one << 200
    assert one.response.body == answer
    last = b"" if offer else SDP
    one >> one.within("ACK", cseq=one.dialog.cseq, body=last)
    other << "ACK"
    assert other.request.body == last


@pytest.mark.rfc("5359", "2.1")
@pytest.mark.parametrize("by", ["caller", "callee"])
def test_hold_and_resume(dan: Phone, bob: Phone, by: str) -> None:
    talk(dan, bob)
    one, other = (dan, bob) if by == "caller" else (bob, dan)
    reinvite(one, other, HELD)
    reinvite(one, other, b"", HELD)
    other >> other.within("BYE")
    one << "BYE" >> one.answer(200)
    other << 200
    network_is_quiet(dan, bob)


@pytest.mark.rfc("5359", "2.4")
def test_unattended_transfer(dan: Phone, bob: Phone, carol: Phone) -> None:
    """Bob sends Dan to Carol, is told how it went, and Carol sees who sent the call."""
    talk(dan, bob)
    bob >> bob.within("REFER", ("Contact", f"<{bob.contact}>"), ("Refer-To", f"<{carol.aor}>"))
    dan << "REFER"
    assert dan.request.headers.get("Refer-To") == f"<{carol.aor}>"
    dialog = dan.dialog
    dan >> dan.answer(202)
    dan.dialog = dialog
    bob << 202
    for state, line in (
        ("active", b"SIP/2.0 100 Trying\r\n"),
        ("terminated;reason=noresource", b"SIP/2.0 200 OK\r\n"),
    ):
        dan >> dan.within("NOTIFY", ("Event", "refer"), ("Subscription-State", state), body=line)
        bob << "NOTIFY"
        assert (bob.request.body, bob.request.headers.get("Subscription-State")) == (line, state)
        held = bob.dialog
        bob >> bob.answer(200)
        bob.dialog = held
        dan << 200
    bob >> bob.within("BYE")
    dan << "BYE" >> dan.answer(200)
    bob << 200
    talk(dan, carol, ("Referred-By", f"<{bob.aor}>"))
    network_is_quiet(dan, bob, carol)


@pytest.mark.rfc("5359", "2.5")
@pytest.mark.rfc("3891", "3")
@pytest.mark.parametrize("name", ["Replaces", "Join"])
def test_a_call_that_takes_the_place_of_another_or_joins_it(dan: Phone, carol: Phone, name: str) -> None:
    """Attended transfer, parking, pickup (2.15, 2.16), joining a conference (2.11): the dialog keeps its name."""
    value = "425928@bobster.example.org;to-tag=7743;from-tag=6472;early-only"
    dan >> dan.invite(carol.aor, (name, value), ("Require", name.lower())) << 100
    carol << "INVITE"
    assert carol.request.headers.get(name) == value
    assert carol.request.headers.get("Require") == name.lower()
    carol >> carol.answer(481) << "ACK"
    dan << 481 >> dan.ack()


@pytest.mark.rfc("5359", "2.8")
@pytest.mark.parametrize("status", [302, 486, 480, 603])
def test_what_a_caller_forwards_or_dials_again_by(dan: Phone, bob: Phone, status: int) -> None:
    """Forwarding, find-me and automatic redial are the caller's: the answer comes with all that it needs for them."""
    more = (
        ("Contact", "<sip:carol@example.net;user=phone>;q=0.7;expires=60"),
        ("Retry-After", "18 (in a meeting)"),
    )
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE" >> bob.answer(status, *more, ("Reason", 'Q.850;cause=17;text="Busy"')) << "ACK"
    dan << status >> dan.ack()
    assert [dan.response.headers.get(name) for name, _ in more] == [value for _, value in more]
    assert dan.response.headers.get("Reason") == 'Q.850;cause=17;text="Busy"'
    network_is_quiet(dan, bob)


@pytest.mark.rfc("5359", "2.18")
@pytest.mark.rfc("3515", "2.4.2")
def test_click_to_dial(dan: Phone, bob: Phone) -> None:
    """A REFER outside a call makes a dialog of its own, whose NOTIFY comes back through us."""
    dan >> dan.ask("REFER", bob.aor, ("Refer-To", "<sip:x@example.net?Subject=a%20b>"))
    bob << "REFER" >> bob.answer(202)
    dan << 202
    dan.begin()
    bob >> bob.within("NOTIFY", ("Event", "refer"), ("Subscription-State", "terminated;reason=giveup"))
    dan << "NOTIFY" >> dan.answer(200)
    bob << 200
    network_is_quiet(dan, bob)


@pytest.mark.rfc("3261", "14.1")
def test_both_offer_at_once(dan: Phone, bob: Phone) -> None:
    """Glare: each gets the other's offer, refuses it with 491, and the call goes on."""
    talk(dan, bob)
    dan >> dan.within("INVITE", body=SDP) << 100
    bob >> bob.within("INVITE", body=SDP) << "INVITE"
    theirs = bob.request
    bob << 100
    dan << "INVITE" >> dan.answer(491) << "ACK"
    bob << 491 >> bob.ack() >> bob.answer(491, request=theirs) << "ACK"
    dan << 491 >> dan.ack()
    reinvite(bob, dan, SDP)
    network_is_quiet(dan, bob)


@pytest.mark.rfc("3261", "15.1.2")
def test_both_hang_up_at_once(dan: Phone, bob: Phone) -> None:
    talk(dan, bob)
    dan >> dan.within("BYE")
    bob >> bob.within("BYE")
    dan << "BYE" >> dan.answer(200)
    bob << "BYE" >> bob.answer(200) << 200
    dan << 200
    network_is_quiet(dan, bob)


@pytest.mark.rfc("4028", "5")
@pytest.mark.parametrize(("status", "more"), [(422, ("Min-SE", "1800")), (484, ("Allow-Events", "kpml"))])
def test_a_session_that_is_too_short_or_a_number_that_is(
    dan: Phone, bob: Phone, status: int, more: tuple[str, str]
) -> None:
    dan >> dan.invite(bob.aor, ("Session-Expires", "90;refresher=uac"), ("Supported", "timer")) << 100
    bob << "INVITE"
    assert bob.request.headers.get("Session-Expires") == "90;refresher=uac"
    bob >> bob.answer(status, more) << "ACK"
    dan << status >> dan.ack()
    assert dan.response.headers.get(more[0]) == more[1]
    network_is_quiet(dan, bob)
