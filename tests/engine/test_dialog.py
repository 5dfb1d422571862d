"""Dialogs: how they begin, what is sent in them, how they end (RFC 3261 section 12)."""

from __future__ import annotations

import pytest

from ringfence.engine.dialog import Dialog, DialogId
from ringfence.engine.dialog_states import State
from ringfence.message import LocalError, NameAddr, PeerError, Request, Response, response_to
from ringfence.message.fields import REPLACES
from tests.conversations.playbook import request

ALICE = ("Contact", "<sip:alice@192.0.2.1;transport=tcp>")
BOB = ("Contact", "<sip:bob@192.0.2.4>")
ROUTES = (("Record-Route", "<sip:p2.example.net;lr>, <sip:p1.example.org;lr;x=y>"),)


def invite(*headers: tuple[str, str], uri: str = "sip:bob@example.net", cseq: int = 7) -> Request:
    return request("INVITE", uri=uri, cseq=cseq, headers=headers or (ALICE,))


def answer(to: Request, status: int, *headers: tuple[str, str], tag: str = "b") -> Response:
    response = response_to(to, status, to_tag=tag)
    for name, value in headers:
        response.headers.add(name, value)
    return response


def caller(status: int = 200) -> Dialog:
    """Alice's side of a call to Bob."""
    return Dialog.uac(invite(), answer(invite(), status, BOB))


def callee(status: int = 200) -> Dialog:
    """Bob's side of it."""
    return Dialog.uas(invite(), answer(invite(), status, BOB))


@pytest.mark.rfc("3261", "12.1.1")
def test_the_callee_takes_it_from_the_request() -> None:
    asked = invite(ALICE, *ROUTES)
    dialog = Dialog.uas(asked, answer(asked, 180))
    assert dialog.id == DialogId("call-1", "b", "f")
    assert dialog.early
    assert not dialog.confirmed
    assert dialog.route_set == ("<sip:p2.example.net;lr>", "<sip:p1.example.org;lr;x=y>")
    assert dialog.remote_target == "sip:alice@192.0.2.1;transport=tcp"
    assert (dialog.local_cseq, dialog.remote_cseq) == (None, 7)
    assert str(dialog.local_uri) == '"Bob" <sip:bob@example.net>'
    assert str(dialog.remote_uri) == '"Alice" <sip:alice@example.org>'
    assert not dialog.secure
    assert not dialog.made_call_id


@pytest.mark.rfc("3261", "12.1.2")
def test_the_caller_takes_it_from_the_response() -> None:
    asked = invite()
    dialog = Dialog.uac(asked, answer(asked, 200, BOB, *ROUTES))
    assert dialog.id == DialogId("call-1", "f", "b")
    assert dialog.confirmed
    assert dialog.route_set == ("<sip:p1.example.org;lr;x=y>", "<sip:p2.example.net;lr>")
    assert dialog.remote_target == "sip:bob@192.0.2.4"
    assert (dialog.local_cseq, dialog.remote_cseq) == (7, None)
    assert str(dialog.local_uri) == '"Alice" <sip:alice@example.org>'
    assert dialog.made_call_id


@pytest.mark.rfc("3261", "12.1.1")
@pytest.mark.parametrize(("uri", "tls", "secure"), [("sips:b@x", True, True), ("sips:b@x", False, False)])
def test_it_is_secure_when_sips_was_asked_for_and_tls_used(uri: str, tls: bool, secure: bool) -> None:
    asked = invite(("Contact", "<sips:alice@192.0.2.1>"), uri=uri)
    assert Dialog.uas(asked, answer(asked, 200), tls=tls).secure is secure
    assert Dialog.uac(asked, answer(asked, 200, ("Contact", "<sips:b@y>")), tls=tls).secure is secure
    assert not Dialog.uac(invite(), answer(invite(), 200, BOB), tls=True).secure


@pytest.mark.rfc("5630", "5.2")
def test_a_sips_dialog_needs_a_sips_contact() -> None:
    asked = invite(uri="sips:bob@example.net")
    with pytest.raises(PeerError, match="SIPS") as caught:
        Dialog.uas(asked, answer(asked, 200))
    assert (caught.value.status, caught.value.header) == (400, "Contact")
    with pytest.raises(PeerError, match="SIPS"):
        Dialog.uac(asked, answer(asked, 200, BOB))


@pytest.mark.rfc("3261", "8.1.1.8")
@pytest.mark.parametrize("contacts", [[], ["<sip:a@x>, <sip:b@x>"], ["*"], ["<tel:+358401234567>"]])
def test_a_request_that_makes_one_has_one_contact(contacts: list[str]) -> None:
    asked = request("INVITE", headers=tuple(("Contact", contact) for contact in contacts))
    with pytest.raises(PeerError, match="one"):
        Dialog.uas(asked, answer(asked, 200))


@pytest.mark.rfc("3261", "12.1")
@pytest.mark.parametrize("status", [100, 302, 486])
def test_only_success_makes_one(status: int) -> None:
    with pytest.raises(LocalError, match="makes no dialog"):
        Dialog.uac(invite(), answer(invite(), status, BOB))


@pytest.mark.rfc("3261", "13.2.2.1")
def test_a_provisional_response_without_contact_makes_an_early_one() -> None:
    dialog = Dialog.uac(invite(), answer(invite(), 180))
    assert dialog.remote_target == "sip:bob@example.net"
    dialog.heard(answer(invite(), 200, BOB, *ROUTES))
    assert dialog.confirmed
    assert dialog.remote_target == "sip:bob@192.0.2.4"
    assert len(dialog.route_set) == 2


@pytest.mark.rfc("3261", "12.1.1")
def test_missing_tags_are_empty_and_left_out() -> None:
    asked = request("INVITE", from_tag=None, headers=(ALICE,))
    dialog = Dialog.uas(asked, answer(asked, 200, tag="b"))
    assert dialog.remote_tag == ""
    assert dialog.request("BYE").to.tag is None


@pytest.mark.rfc("3261", "12.2.1.1")
def test_requests_in_it() -> None:
    asked = invite()
    dialog = Dialog.uac(asked, answer(asked, 200, BOB, *ROUTES))
    info = dialog.request("INFO")
    assert info.uri == "sip:bob@192.0.2.4"
    assert info.headers.values("Route") == ["<sip:p1.example.org;lr;x=y>", "<sip:p2.example.net;lr>"]
    assert str(info.from_) == '"Alice" <sip:alice@example.org>;tag=f'
    assert str(info.to) == '"Bob" <sip:bob@example.net>;tag=b'
    assert info.call_id == "call-1"
    assert info.headers.get("Max-Forwards") == "70"
    assert info.headers.get("CSeq") == "8 INFO"
    assert dialog.request("INFO").headers.get("CSeq") == "9 INFO"
    assert "Via" not in info.headers
    assert callee().request("INFO").headers.get("CSeq") == "1 INFO"


@pytest.mark.rfc("3261", "12.2.1.1")
def test_a_strict_router_takes_the_place_of_the_target() -> None:
    asked = invite()
    routes = "<sip:proxy4>, <sip:proxy3;lr>, <sip:proxy2>, <sip:proxy1;method=INVITE?X=y>"
    dialog = Dialog.uac(
        asked, answer(asked, 200, ("Contact", "<sip:user@remoteua>"), ("Record-Route", routes))
    )
    info = dialog.request("INFO")
    assert info.uri == "sip:proxy1"
    assert info.headers.values("Route") == [
        "<sip:proxy2>",
        "<sip:proxy3;lr>",
        "<sip:proxy4>",
        "<sip:user@remoteua>",
    ]


@pytest.mark.rfc("3261", "13.2.2.4")
def test_the_ack_for_a_2xx_repeats_number_and_credentials() -> None:
    asked = invite(ALICE, ("Proxy-Authorization", 'Digest realm="a"'), ("Authorization", 'Digest realm="b"'))
    dialog = Dialog.uac(asked, answer(asked, 200, BOB, *ROUTES))
    ack = dialog.ack(7, asked)
    assert ack.headers.get("CSeq") == "7 ACK"
    assert ack.headers.all("Proxy-Authorization") == ['Digest realm="a"']
    assert ack.headers.all("Authorization") == ['Digest realm="b"']
    assert len(ack.headers.values("Route")) == 2
    assert dialog.state is State.ESTABLISHED
    assert "Authorization" not in dialog.ack(7).headers
    assert dialog.next_cseq() == 8


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_what_has_the_number_of_its_invite_is_no_request_of_its_own(method: str) -> None:
    with pytest.raises(LocalError, match="CSeq of its INVITE"):
        caller().request(method)


@pytest.mark.rfc("3261", "13.2.2.4")
def test_a_fork_makes_several() -> None:
    asked = invite()
    first = Dialog.uac(asked, answer(asked, 180, BOB, tag="b1"))
    second = Dialog.uac(asked, answer(asked, 183, ("Contact", "<sip:bob@192.0.2.5>"), tag="b2"))
    assert first.id != second.id
    second.heard(answer(asked, 200, ("Contact", "<sip:bob@192.0.2.5>"), tag="b2"))
    assert (first.early, second.confirmed) == (True, True)
    first.failed("INVITE")  # 64*T1 later
    assert first.ended


@pytest.mark.rfc("3261", "12.3")
def test_a_failure_ends_early_ones_on_both_sides() -> None:
    early = caller(180)
    early.heard(answer(invite(), 486))
    assert early.state is State.MORGUE
    early = callee(180)
    early.answered(invite(), answer(invite(), 486))
    assert early.state is State.MORGUE
    with pytest.raises(LocalError, match="has ended"):
        early.request("BYE")


@pytest.mark.rfc("5407", "2")
def test_a_bye_ends_it_in_two_steps() -> None:
    dialog = caller()
    dialog.ack(7)
    bye = dialog.request("BYE")
    assert dialog.state is State.MORTAL
    with pytest.raises(LocalError, match="has ended"):
        dialog.request("INFO")
    dialog.heard(answer(bye, 407))
    again = dialog.request("BYE")
    assert again.cseq.number == bye.cseq.number + 1
    dialog.heard(answer(again, 200))
    assert dialog.state is State.MORGUE


@pytest.mark.rfc("3261", "15.1.1")
def test_a_bye_without_answer_ends_it_too() -> None:
    dialog = caller()
    dialog.request("BYE")
    dialog.failed("BYE")
    assert dialog.state is State.MORGUE


@pytest.mark.rfc("3261", "15")
def test_who_may_hang_up_when() -> None:
    assert caller(180).may_hang_up
    assert caller().may_hang_up
    assert not callee(180).may_hang_up
    dialog = callee()
    assert not dialog.may_hang_up
    dialog.receive(request("ACK", cseq=7, to_tag="b"))
    assert dialog.may_hang_up
    dialog = callee()
    dialog.unacknowledged()
    assert dialog.may_hang_up
    assert dialog.may_invite
    dialog.request("BYE")
    assert not dialog.may_hang_up
    dialog.over()
    assert dialog.state is State.MORGUE


@pytest.mark.rfc("6665", "4.4.1")
def test_a_subscription_makes_one_that_is_established() -> None:
    asked = request("SUBSCRIBE", headers=(ALICE,))
    assert Dialog.uac(asked, answer(asked, 200, BOB)).state is State.ESTABLISHED
    assert Dialog.uas(asked, answer(asked, 202, BOB)).state is State.ESTABLISHED


@pytest.mark.rfc("3261", "12")
def test_its_name_in_messages() -> None:
    received = request("BYE", to_tag="b")
    assert DialogId.of_received(received) == callee().id
    assert DialogId.of_response(answer(received, 200)) == caller().id


@pytest.mark.rfc("3891", "3")
def test_its_name_in_replaces() -> None:
    assert DialogId.of_name(REPLACES.parse("call-1;to-tag=b;from-tag=f")) == callee().id
    assert DialogId.of_name(REPLACES.parse("call-1;to-tag=b;from-tag=0")) == DialogId("call-1", "b", "")
    assert DialogId.of_name(REPLACES.parse("call-1;to-tag=0b;from-tag=f")) == DialogId("call-1", "0b", "f")


def test_values_are_typed() -> None:
    assert isinstance(caller().remote_uri, NameAddr)
    assert repr(caller()) == "<Dialog call-1 f b Moratorium>"
