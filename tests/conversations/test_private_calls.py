"""Calls through the privacy service: two dialogs, and nothing of the caller on the callee's side (RFC 3323)."""

from __future__ import annotations

import pytest

from ringfence.message import Request
from ringfence.message.fields import RACK, REFER_TO, REPLACES
from ringfence.roles.bridge.ending import sweep
from tests.conversations.network import Network
from tests.conversations.phones import SDP, Phone, network_is_quiet

PRIVATE = ("Privacy", "user;header")


def begin(alice: Phone) -> None:
    """Begin the dialog of the response taken last, with the CSeq of its INVITE."""
    number = alice.response.cseq.number
    alice.begin()
    alice.dialog.cseq = number


def ack(phone: Phone) -> Request:
    return phone.within("ACK", cseq=phone.dialog.cseq)


def ring(alice: Phone, bob: Phone, *more: tuple[str, str], body: bytes = SDP) -> None:
    """Alice calls privately, and gets as far as ringing."""
    alice >> alice.invite(bob.aor, PRIVATE, *more, body=body) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(180)
    alice << 180


def talk(alice: Phone, bob: Phone, *more: tuple[str, str]) -> None:
    ring(alice, bob, *more)
    bob >> bob.answer(200, body=SDP)
    alice << 200
    begin(alice)
    alice >> ack(alice)
    bob << "ACK"
    bob.dialog.cseq = 100


def over(network: Network, *phones: Phone) -> None:
    """Nothing is left of the call, neither now nor later."""
    network_is_quiet(*phones)
    network.wait(70)
    sweep(network.services)
    assert not network.services.bridges
    assert network.transactions == 0
    network_is_quiet(*phones)


@pytest.mark.rfc("3323", "5.3")
def test_an_anonymous_call_that_the_callee_ends(network: Network, alice: Phone, bob: Phone) -> None:
    talk(alice, bob)
    assert str(bob.request.from_.uri) == "sip:anonymous@anonymous.invalid"
    bob >> bob.within("BYE")
    alice << "BYE" >> alice.answer(200)
    bob << 200
    over(network, alice, bob)


@pytest.mark.rfc("3323", "5.1")
def test_each_side_has_names_of_its_own(network: Network, alice: Phone, bob: Phone) -> None:
    ring(alice, bob)
    sent, received = alice.sent, bob.request
    assert received.call_id != sent.call_id
    assert received.from_.tag != sent.from_.tag
    assert received.headers.count("Via") == 1
    assert "198.51.100.10" not in received.to_bytes().decode().replace(SDP.decode(), "")
    assert received.headers.count("Record-Route") == 0
    assert "Privacy" not in received.headers
    assert alice.response.to.tag != bob.tag
    assert bob.contact not in str(alice.response.headers.get("Contact"))


def test_a_call_that_the_caller_ends(network: Network, alice: Phone, bob: Phone) -> None:
    talk(alice, bob)
    alice >> alice.within("BYE")
    bob << "BYE" >> bob.answer(200)
    alice << 200
    over(network, alice, bob)


def test_a_call_that_the_caller_gives_up(network: Network, alice: Phone, bob: Phone) -> None:
    ring(alice, bob)
    invite = bob.request
    cancel = alice.cancel()
    cancel.headers.add("Reason", 'SIP;cause=200;text="alice is gone"')
    alice >> cancel << 200
    bob << "CANCEL"
    assert "alice" not in bob.request.to_bytes().decode()
    bob >> bob.answer(200) >> bob.answer(487, request=invite) << "ACK"
    alice << 487 >> alice.ack()
    over(network, alice, bob)


@pytest.mark.parametrize("status", [300, 302, 404, 422, 480, 486, 488, 500, 600, 603])
def test_a_failure_comes_back_as_it_is(network: Network, alice: Phone, bob: Phone, status: int) -> None:
    ring(alice, bob)
    more = (("Contact", "<sip:bob@example.net>"),) if status < 400 else (("Min-SE", "90"),)
    bob >> bob.answer(status, *more, request=bob.request) << "ACK"
    alice << status >> alice.ack()
    assert alice.response.headers.get(more[0][0]) == more[0][1]
    over(network, alice, bob)


def test_nobody_answers(network: Network, alice: Phone, bob: Phone) -> None:
    alice >> alice.invite("sip:bob@example.org", PRIVATE) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    network.wait(32.1)
    alice << 408 >> alice.ack()
    bob.inbox.clear()
    over(network, alice, bob)


@pytest.mark.rfc("3261", "13.2.2.4")
def test_a_lost_ack_is_repeated_end_to_end(network: Network, alice: Phone, bob: Phone) -> None:
    ring(alice, bob)
    answer = bob.answer(200, body=SDP)
    bob >> answer >> answer
    alice << 200 << 200
    begin(alice)
    alice >> ack(alice) >> ack(alice)
    bob << "ACK" << "ACK"
    network_is_quiet(alice, bob)


def test_a_late_offer_goes_the_other_way(network: Network, alice: Phone, bob: Phone) -> None:
    ring(alice, bob, body=b"")
    bob >> bob.answer(200, body=SDP)
    alice << 200
    assert alice.response.body == SDP
    begin(alice)
    answer = ack(alice)
    answer.set_body(SDP, "application/sdp")
    alice >> answer
    bob << "ACK"
    assert bob.request.body.startswith(b"v=0\r\no=- 1 1")


@pytest.mark.rfc("3262", "3")
def test_reliable_provisional_responses(network: Network, alice: Phone, bob: Phone) -> None:
    alice >> alice.invite("sip:bob@example.org", PRIVATE, ("Supported", "100rel")) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    bob << "INVITE"
    number = bob.request.cseq.number
    invite = bob.request
    bob >> bob.answer(183, ("Require", "100rel"), ("RSeq", "77"), body=SDP)
    alice << 183
    begin(alice)
    mine = alice.response.cseq.number
    alice >> alice.within("PRACK", ("RAck", f"77 {mine} INVITE"))
    bob << "PRACK"
    assert bob.request.headers.only(RACK) == (77, number, "INVITE")
    bob >> bob.answer(200)
    alice << 200
    bob >> bob.answer(200, request=invite, body=SDP)
    alice << 200 >> alice.within("ACK", cseq=mine)
    bob << "ACK"
    network_is_quiet(alice, bob)


def test_a_prack_for_nothing_is_refused(alice: Phone, bob: Phone) -> None:
    ring(alice, bob)
    begin(alice)
    alice >> alice.within("PRACK", ("RAck", "77 9999 INVITE")) << 481


def test_several_phones_ring_and_one_answers(network: Network, alice: Phone, bob: Phone) -> None:
    other = Phone(network, "bob", "198.51.100.21")
    other >> other.register(call_id="other") << 401 >> other.authorized() << 200
    alice >> alice.invite("sip:bob@example.org", PRIVATE) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(180)
    alice << 180
    first = alice.response.to.tag
    other << "INVITE" >> other.answer(180)
    alice << 180
    assert alice.response.to.tag != first
    invite = bob.request
    other >> other.answer(200, request=other.request, body=SDP)
    alice << 200
    begin(alice)
    bob << "CANCEL" >> bob.answer(200) >> bob.answer(487, request=invite) << "ACK"
    alice >> ack(alice)
    other << "ACK" >> other.within("BYE")
    alice << "BYE" >> alice.answer(200)
    other << 200
    over(network, alice, bob, other)


@pytest.mark.rfc("3261", "14")
@pytest.mark.parametrize("by", ["alice", "bob"])
def test_hold(network: Network, alice: Phone, bob: Phone, by: str) -> None:
    talk(alice, bob)
    one, two = (alice, bob) if by == "alice" else (bob, alice)
    dialogs = one.dialog, two.dialog
    held = SDP + b"a=sendonly\r\n"
    one >> one.within("INVITE", ("Content-Type", "application/sdp"), body=held) << 100
    two << "INVITE"
    assert b"a=sendonly" in two.request.body
    two >> two.answer(200, body=SDP + b"a=recvonly\r\n")
    one << 200
    assert b"a=recvonly" in one.response.body
    one.dialog, two.dialog = dialogs
    one >> ack(one)
    two << "ACK" >> two.within("BYE")
    one << "BYE" >> one.answer(200)
    two << 200
    over(network, alice, bob)


@pytest.mark.rfc("3261", "14.1")
def test_glare(network: Network, alice: Phone, bob: Phone) -> None:
    talk(alice, bob)
    dialogs = alice.dialog, bob.dialog
    alice >> alice.within("INVITE", ("Content-Type", "application/sdp"), body=SDP) << 100
    bob << "INVITE"
    theirs = bob.request
    bob >> bob.within("INVITE", ("Content-Type", "application/sdp"), body=SDP) << 491 >> bob.ack()
    bob >> bob.answer(491, request=theirs) << "ACK"
    alice << 491
    alice.sent = alice.sent
    alice >> alice.ack()
    alice.dialog, bob.dialog = dialogs
    alice >> alice.within("BYE")
    bob << "BYE" >> bob.answer(200)
    alice << 200
    over(network, alice, bob)


@pytest.mark.rfc("3261", "12.2.2")
def test_what_is_out_of_order_is_refused(alice: Phone, bob: Phone) -> None:
    talk(alice, bob)
    alice >> alice.within("INFO", cseq=1) << 500


@pytest.mark.parametrize("method", ["INFO", "MESSAGE", "UPDATE", "OPTIONS"])
@pytest.mark.parametrize("by", ["alice", "bob"])
def test_other_requests_inside(network: Network, alice: Phone, bob: Phone, method: str, by: str) -> None:
    talk(alice, bob)
    one, two = (alice, bob) if by == "alice" else (bob, alice)
    one >> one.within(method, ("Info-Package", "x"), ("Content-Type", "text/plain"), body=b"hello")
    two << method
    assert two.request.body == b"hello"
    assert two.request.headers.get("Info-Package") == "x"
    two >> two.answer(200)
    one << 200
    network_is_quiet(alice, bob)


@pytest.mark.rfc("4028", "7.2")
def test_a_session_that_nobody_refreshes_ends_on_both_sides(
    network: Network, alice: Phone, bob: Phone
) -> None:
    ring(alice, bob, ("Session-Expires", "90"), ("Supported", "timer"))
    assert bob.request.headers.get("Session-Expires") == "90"
    bob >> bob.answer(200, ("Session-Expires", "90;refresher=uac"), body=SDP)
    alice << 200
    begin(alice)
    alice >> ack(alice)
    bob << "ACK"
    network.wait(60)
    alice >> alice.within("UPDATE", ("Session-Expires", "90;refresher=uac"))
    bob << "UPDATE" >> bob.answer(200, ("Session-Expires", "90;refresher=uac"))
    alice << 200
    network.wait(100)
    sweep(network.services)
    network_is_quiet(alice, bob)
    network.wait(30)
    sweep(network.services)
    alice << "BYE" >> alice.answer(200)
    bob << "BYE" >> bob.answer(200)
    over(network, alice, bob)


@pytest.mark.rfc("3515", "2.4")
def test_a_transfer(network: Network, alice: Phone, bob: Phone) -> None:
    talk(alice, bob)
    refer = alice.within("REFER", ("Refer-To", "<sip:carol@example.org>"), ("Referred-By", f"<{alice.aor}>"))
    refer.headers.add("Contact", f"<{alice.contact}>")
    dialogs = alice.dialog, bob.dialog
    alice >> refer
    bob << "REFER"
    assert "Referred-By" not in bob.request.headers
    assert str(bob.request.headers.only(REFER_TO).uri) == "sip:carol@example.org"
    bob >> bob.answer(202)
    alice << 202
    alice.dialog, bob.dialog = dialogs
    fragment = b"SIP/2.0 100 Trying\r\n"
    bob >> bob.within(
        "NOTIFY",
        ("Event", "refer"),
        ("Subscription-State", "active;expires=60"),
        ("Content-Type", "message/sipfrag"),
        body=fragment,
    )
    alice << "NOTIFY"
    assert alice.request.body == fragment
    alice >> alice.answer(200)
    bob << 200
    network_is_quiet(alice, bob)


@pytest.mark.rfc("3891", "3")
def test_who_replaces_a_private_call_names_it_as_its_new_peer_does(
    network: Network, alice: Phone, bob: Phone
) -> None:
    """Somebody whom alice has told of her call (by a REFER that did not pass us, say) replaces her in it."""
    talk(alice, bob)
    mine = alice.dialog
    network.account("dave")
    dave = Phone(network, "dave", "198.51.100.40")
    local, remote = (text.rpartition("tag=")[2] for text in (mine.local, mine.remote))
    replaces = f"{mine.call_id};to-tag={remote};from-tag={local}"
    dave >> dave.invite(bob.aor, ("Replaces", replaces)) << 407 >> dave.ack() >> dave.authorized() << 100
    bob << "INVITE"
    named = bob.request.headers.only(REPLACES)
    theirs = bob.dialog
    assert named.call_id == theirs.call_id
    assert named.to_tag == theirs.local.rpartition("tag=")[2]
    assert named.from_tag == theirs.remote.rpartition("tag=")[2]


@pytest.mark.rfc("3891", "3")
def test_an_attended_transfer_names_the_dialog_that_its_reader_knows(
    network: Network, alice: Phone, bob: Phone
) -> None:
    """Alice, who is anonymous to both, hands bob on to carol: he replaces the dialog that carol has."""
    network.account("carol")
    carol = Phone(network, "carol", "198.51.100.30")
    carol >> carol.register() << 401 >> carol.authorized() << 200
    talk(alice, carol)
    second = alice.dialog
    alice.tag += "x"
    talk(alice, bob)
    local = second.local.rpartition("tag=")[2]
    remote = second.remote.rpartition("tag=")[2]
    replaces = f"{second.call_id.replace('@', '%40')}%3Bto-tag%3D{remote}%3Bfrom-tag%3D{local}"
    alice >> alice.within("REFER", ("Refer-To", f"<{carol.aor}?Replaces={replaces}>"))
    bob << "REFER"
    named = REPLACES.parse(bob.request.headers.only(REFER_TO).sip.header_items()[0][1])
    assert named.call_id == carol.dialog.call_id
    assert named.to_tag == carol.dialog.local.rpartition("tag=")[2]
    assert named.from_tag == carol.dialog.remote.rpartition("tag=")[2]
