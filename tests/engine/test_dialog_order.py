"""What may come in a dialog and what it changes: order, crossing changes, targets (RFC 3261 12.2, 14; RFC 6141)."""

from __future__ import annotations

import pytest

from ringfence.engine.dialog import Dialog, Refusal
from ringfence.engine.dialog_states import State
from ringfence.message import LocalError, PeerError, Request, Response
from tests.conversations.playbook import request
from tests.engine.test_dialog import answer, callee, caller

MOVED = ("Contact", "<sip:alice@198.51.100.9>")


def established() -> Dialog:
    """Bob's side of a call whose ACK has come."""
    dialog = callee()
    dialog.receive(request("ACK", cseq=7, to_tag="b"))
    assert dialog.state is State.ESTABLISHED
    return dialog


def inside(method: str, cseq: int = 8, *headers: tuple[str, str], body: bytes = b"") -> Request:
    """A request of Alice in the dialog."""
    return request(method, cseq=cseq, to_tag="b", branch=f"z9hG4bK{cseq}", headers=headers, body=body)


def reliable(to: Request, status: int = 183) -> Response:
    return answer(to, status, ("Require", "100rel"), ("RSeq", "1"))


@pytest.mark.rfc("3261", "12.2.2")
def test_a_lower_number_is_refused_and_a_gap_is_not() -> None:
    dialog = established()
    dialog.receive(inside("INFO", 20))
    assert dialog.judge(inside("INFO", 19)) == Refusal(500, "CSeq 19 comes after 20")
    with pytest.raises(PeerError, match="19 comes after 20"):
        dialog.receive(inside("INFO", 19))
    assert dialog.remote_cseq == 20


@pytest.mark.rfc("3261", "12.2.2")
def test_the_first_request_of_the_peer_sets_the_number() -> None:
    dialog = caller()
    dialog.receive(inside("INFO", 3))
    assert dialog.remote_cseq == 3


def test_ack_and_cancel_do_not_count() -> None:
    dialog = established()
    dialog.receive(inside("INFO", 20))
    dialog.receive(inside("ACK", 7))
    dialog.receive(inside("CANCEL", 7))
    assert dialog.remote_cseq == 20


@pytest.mark.rfc("3261", "14.2")
@pytest.mark.rfc("5407", "3.3.1")
def test_crossing_invites_are_refused_by_both() -> None:
    dialog = established()
    ours = dialog.request("INVITE")
    refusal = dialog.judge(inside("INVITE"))
    assert refusal is not None
    assert (refusal.status, refusal.retry_after) == (491, False)
    with pytest.raises(PeerError):
        dialog.receive(inside("INVITE"))
    dialog.answered(inside("INVITE"), answer(inside("INVITE"), 491))
    dialog.heard(answer(ours, 491))
    assert dialog.state is State.ESTABLISHED
    assert dialog.may_invite
    dialog.receive(inside("INVITE", 9))
    assert not dialog.may_invite


@pytest.mark.rfc("3261", "14.1")
def test_how_long_to_wait_after_a_491() -> None:
    assert caller().glare_wait == (2.1, 4.0)
    assert callee().glare_wait == (0.0, 2.0)


@pytest.mark.rfc("3261", "14.1")
def test_no_invite_of_ours_while_another_is_in_progress() -> None:
    dialog = established()
    ours = dialog.request("INVITE")
    with pytest.raises(LocalError, match="in progress"):
        dialog.request("INVITE")
    dialog.heard(answer(ours, 180))
    assert not dialog.may_invite
    dialog.heard(answer(ours, 200))
    assert dialog.may_invite
    dialog.receive(inside("INVITE"))
    with pytest.raises(LocalError, match="in progress"):
        dialog.request("INVITE")
    dialog.request("INFO")


@pytest.mark.rfc("3261", "14.2")
def test_a_second_invite_before_the_first_is_over() -> None:
    dialog = established()
    dialog.receive(inside("INVITE", 8))
    refusal = dialog.judge(inside("INVITE", 9))
    assert refusal is not None
    assert (refusal.status, refusal.retry_after) == (500, True)
    dialog.answered(inside("INVITE", 9), answer(inside("INVITE", 9), 500))
    dialog.answered(inside("INVITE", 8), answer(inside("INVITE", 8), 200))
    assert dialog.judge(inside("INVITE", 9)) is not None  # until its ACK
    dialog.receive(inside("ACK", 8))
    assert dialog.judge(inside("INVITE", 9)) is None


@pytest.mark.rfc("3261", "14.2")
def test_a_second_invite_does_not_end_an_early_dialog() -> None:
    dialog = callee(180)
    assert dialog.judge(inside("INVITE", 8)) is not None
    dialog.answered(inside("INVITE", 8), answer(inside("INVITE", 8), 500))
    assert dialog.early


@pytest.mark.rfc("3311", "5.2")
def test_crossing_updates() -> None:
    dialog = established()
    dialog.receive(inside("UPDATE", 8))
    refusal = dialog.judge(inside("UPDATE", 9))
    assert refusal is not None
    assert (refusal.status, refusal.retry_after) == (500, True)
    dialog.answered(inside("UPDATE", 8), answer(inside("UPDATE", 8), 200))
    assert dialog.judge(inside("UPDATE", 9)) is None


@pytest.mark.rfc("3311", "5.2")
@pytest.mark.rfc("5407", "3.3.2")
def test_offers_that_cross() -> None:
    dialog = established()
    offer = inside("UPDATE", 8, body=b"v=0")
    dialog.offer_sent = True
    refusal = dialog.judge(offer)
    assert refusal is not None
    assert (refusal.status, refusal.retry_after) == (491, False)
    invite_refusal = dialog.judge(inside("INVITE"))
    assert invite_refusal is not None
    assert invite_refusal.status == 491
    assert dialog.judge(inside("UPDATE", 8)) is None  # without an offer it may pass
    dialog.offer_sent, dialog.offer_received = False, True
    refusal = dialog.judge(offer)
    assert refusal is not None
    assert (refusal.status, refusal.retry_after) == (500, True)


@pytest.mark.rfc("5407", "3.2.1")
@pytest.mark.rfc("5407", "3.2.2")
def test_after_a_bye_only_another_bye_is_taken() -> None:
    dialog = established()
    dialog.request("BYE")
    refusal = dialog.judge(inside("INVITE"))
    assert refusal is not None
    assert refusal.status == 481
    dialog.receive(inside("BYE", 9))
    assert dialog.state is State.MORTAL
    dialog.over()
    refusal = dialog.judge(inside("BYE", 10))
    assert refusal is not None
    assert refusal.status == 481


@pytest.mark.rfc("5407", "3.1.6")
def test_a_bye_before_the_ack() -> None:
    dialog = callee()
    dialog.receive(inside("BYE"))
    dialog.receive(inside("ACK", 7))
    assert dialog.state is State.MORTAL


@pytest.mark.rfc("3261", "12.2.2")
@pytest.mark.rfc("6141", "4.6")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY"])
def test_the_target_is_refreshed_when_we_accept(method: str) -> None:
    dialog = established()
    moving = inside(method, 8, MOVED)
    dialog.receive(moving)
    assert dialog.remote_target == "sip:alice@192.0.2.1;transport=tcp"
    dialog.answered(moving, answer(moving, 200))
    assert dialog.remote_target == "sip:alice@198.51.100.9"


@pytest.mark.rfc("6141", "4.6")
def test_the_target_is_refreshed_by_a_reliable_provisional_response_of_ours() -> None:
    dialog = established()
    moving = inside("INVITE", 8, MOVED)
    dialog.receive(moving)
    dialog.answered(moving, answer(moving, 183))
    assert dialog.remote_target == "sip:alice@192.0.2.1;transport=tcp"
    dialog.answered(moving, reliable(moving))
    assert dialog.remote_target == "sip:alice@198.51.100.9"


@pytest.mark.rfc("6141", "4.6")
def test_the_target_stays_when_we_refuse_or_the_method_does_not_refresh() -> None:
    dialog = established()
    for method, status in (("INVITE", 488), ("INFO", 200)):
        moving = inside(method, (dialog.remote_cseq or 0) + 1, MOVED)
        dialog.receive(moving)
        dialog.answered(moving, answer(moving, status))
    assert dialog.remote_target == "sip:alice@192.0.2.1;transport=tcp"


@pytest.mark.rfc("3261", "12.2.1.2")
@pytest.mark.rfc("6141", "4.7")
def test_the_target_is_refreshed_by_what_the_peer_answers() -> None:
    dialog = established()
    ours = dialog.request("INVITE")
    moved = answer(ours, 183, MOVED)
    dialog.heard(moved)
    assert dialog.remote_target == "sip:alice@192.0.2.1;transport=tcp"
    dialog.heard(answer(ours, 183, MOVED, ("Require", "100rel"), ("RSeq", "1")))
    assert dialog.remote_target == "sip:alice@198.51.100.9"
    dialog.heard(answer(ours, 200, ("Contact", "<sip:alice@203.0.113.1>")))
    assert dialog.remote_target == "sip:alice@203.0.113.1"
    dialog.heard(answer(dialog.request("INFO"), 200, MOVED))
    assert dialog.remote_target == "sip:alice@203.0.113.1"


@pytest.mark.rfc("3261", "13.2.2.4")
def test_only_the_first_2xx_changes_the_route() -> None:
    dialog = established()
    ours = dialog.request("INVITE")
    dialog.heard(answer(ours, 200, ("Record-Route", "<sip:new.example.org;lr>")))
    assert dialog.route_set == ()


def test_an_invite_that_got_no_response_is_not_in_progress() -> None:
    dialog = established()
    dialog.request("INVITE")
    dialog.failed("INVITE")
    assert dialog.may_invite
    assert dialog.state is State.ESTABLISHED
    dialog.failed("INFO")
    assert dialog.confirmed


@pytest.mark.rfc("3262", "4")
def test_a_prack_names_what_it_acknowledges() -> None:
    dialog = caller(180)
    prack = dialog.prack(reliable(request("INVITE", cseq=7)))
    assert prack.headers.get("RAck") == "1 7 INVITE"
    assert prack.headers.get("CSeq") == "8 PRACK"
