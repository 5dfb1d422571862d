"""Several phones of one user (RFC 3261 sections 16.6 and 16.7)."""

from __future__ import annotations

import pytest

from ringfence.roles.policy import Fork
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


@pytest.fixture
def desk(network: Network) -> Phone:
    return Phone(network, "bob", "198.51.100.21")


@pytest.fixture
def mobile(network: Network) -> Phone:
    return Phone(network, "bob", "198.51.100.22")


@pytest.fixture
def caller(network: Network, desk: Phone, mobile: Phone) -> Phone:
    """A stranger; Bob's desk phone is registered with q=0.8, his mobile with q=0.3."""
    for phone, q in ((desk, 0.8), (mobile, 0.3)):
        contact = f"<{phone.contact}>;q={q}"
        phone >> phone.register(contact=contact, call_id=phone.contact) << 401 >> phone.authorized() << 200
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


@pytest.mark.rfc("3261", "16.6")
def test_all_phones_ring_and_the_first_to_answer_wins(caller: Phone, desk: Phone, mobile: Phone) -> None:
    caller >> caller.invite("sip:bob@example.org") << 100
    desk << "INVITE"
    mobile << "INVITE"
    assert desk.request.via.branch != mobile.request.via.branch
    desk >> desk.answer(180)
    mobile >> mobile.answer(183)
    caller << 180 << 183
    invite = mobile.request
    desk >> desk.answer(200)
    caller << 200
    mobile << "CANCEL"
    assert mobile.request.headers.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    mobile >> mobile.answer(200) >> mobile.answer(487, request=invite)
    mobile << "ACK"
    network_is_quiet(caller, desk, mobile)


@pytest.mark.rfc("3261", "16.7")
def test_a_second_2xx_is_forwarded_too(caller: Phone, desk: Phone, mobile: Phone) -> None:
    caller >> caller.invite("sip:bob@example.org") << 100
    desk << "INVITE" >> desk.answer(200)
    mobile << "INVITE" >> mobile.answer(200)
    caller << 200 << 200
    desk >> desk.answer(200)  # retransmitted: it is the phone's to repeat
    caller << 200


@pytest.mark.rfc("3261", "16.7")
@pytest.mark.parametrize(
    ("first", "second", "best"),
    [
        (486, 404, 486),
        (404, 503, 404),
        (503, 503, 500),
        (302, 486, 302),
        (480, 407, 407),
        (600, 486, 600),
        (408, 480, 480),
    ],
)
def test_the_best_response_is_chosen(
    caller: Phone, desk: Phone, mobile: Phone, first: int, second: int, best: int
) -> None:
    caller >> caller.invite("sip:bob@example.org") << 100
    desk << "INVITE" >> desk.answer(first)
    desk << "ACK"
    if first >= 600:
        mobile << "INVITE" >> mobile.answer(100) << "CANCEL" >> mobile.answer(200)
        return
    mobile << "INVITE" >> mobile.answer(second)
    mobile << "ACK"
    caller << best
    assert caller.response.to.tag
    caller >> caller.ack()
    network_is_quiet(caller, desk, mobile)


@pytest.mark.rfc("3261", "16.7")
def test_a_6xx_ends_the_search_but_waits_for_the_others(caller: Phone, desk: Phone, mobile: Phone) -> None:
    caller >> caller.invite("sip:bob@example.org") << 100
    mobile << "INVITE" >> mobile.answer(180)
    invite = mobile.request
    caller << 180
    desk << "INVITE" >> desk.answer(603)
    desk << "ACK"
    mobile << "CANCEL" >> mobile.answer(200)
    network_is_quiet(caller)
    mobile >> mobile.answer(487, request=invite)
    caller << 603


@pytest.mark.rfc("3261", "16.7")
def test_challenges_of_all_phones_go_upstream_together(caller: Phone, desk: Phone, mobile: Phone) -> None:
    caller >> caller.ask("MESSAGE", "sip:bob@example.org")
    desk << "MESSAGE" >> desk.answer(401, ("WWW-Authenticate", 'Digest realm="desk", nonce="1"'))
    mobile << "MESSAGE" >> mobile.answer(407, ("Proxy-Authenticate", 'Digest realm="mobile", nonce="2"'))
    caller << 401
    assert caller.response.headers.get("WWW-Authenticate") == 'Digest realm="desk", nonce="1"'
    assert caller.response.headers.get("Proxy-Authenticate") == 'Digest realm="mobile", nonce="2"'


@pytest.mark.rfc("3261", "16.7")
def test_a_request_other_than_invite_has_one_final_response(
    caller: Phone, desk: Phone, mobile: Phone
) -> None:
    caller >> caller.ask("MESSAGE", "sip:bob@example.org")
    desk << "MESSAGE" >> desk.answer(200)
    mobile << "MESSAGE" >> mobile.answer(200)
    caller << 200
    network_is_quiet(caller)


@pytest.mark.rfc("3261", "16.7")
def test_redirections_are_passed_on(caller: Phone, desk: Phone, mobile: Phone) -> None:
    caller >> caller.invite("sip:bob@example.org") << 100
    desk << "INVITE" >> desk.answer(302, ("Contact", "<sip:bob@example.net>"))
    mobile << "INVITE" >> mobile.answer(486)
    caller << 302
    assert caller.response.headers.get("Contact") == "<sip:bob@example.net>"


# -- one after the other -------------------------------------------------------------------------------


@pytest.fixture
def in_order(network: Network, caller: Phone) -> Phone:
    network.policy.fork = Fork.SEQUENTIAL
    return caller


@pytest.mark.rfc("3261", "16.6")
def test_the_highest_q_first(network: Network, in_order: Phone, desk: Phone, mobile: Phone) -> None:
    in_order >> in_order.invite("sip:bob@example.org") << 100
    desk << "INVITE"
    network_is_quiet(mobile)
    desk >> desk.answer(486)
    mobile << "INVITE" >> mobile.answer(200)
    in_order << 200
    network_is_quiet(in_order)


@pytest.mark.rfc("3261", "16.7")
def test_the_best_of_all_groups_is_told_when_none_succeeds(
    in_order: Phone, desk: Phone, mobile: Phone
) -> None:
    in_order >> in_order.invite("sip:bob@example.org") << 100
    desk << "INVITE" >> desk.answer(404)
    mobile << "INVITE" >> mobile.answer(500)
    in_order << 404


@pytest.mark.rfc("3261", "16.7")
def test_after_a_6xx_no_other_is_tried(network: Network, in_order: Phone, desk: Phone, mobile: Phone) -> None:
    in_order >> in_order.invite("sip:bob@example.org") << 100
    desk << "INVITE" >> desk.answer(603)
    in_order << 603
    network_is_quiet(mobile)


def test_a_cancel_ends_the_search(network: Network, in_order: Phone, desk: Phone, mobile: Phone) -> None:
    in_order >> in_order.invite("sip:bob@example.org") << 100
    desk << "INVITE" >> desk.answer(180)
    invite = desk.request
    in_order << 180 >> in_order.cancel() << 200
    desk << "CANCEL" >> desk.answer(200) >> desk.answer(487, request=invite)
    in_order << 487
    network_is_quiet(mobile)


def test_a_phone_that_does_not_answer_is_passed_over(
    network: Network, in_order: Phone, desk: Phone, mobile: Phone
) -> None:
    in_order >> in_order.invite("sip:bob@example.org") << 100
    network.wait(33)
    mobile << "INVITE" >> mobile.answer(200)
    in_order << 200


# -- width ---------------------------------------------------------------------------------------------


@pytest.mark.rfc("5393", "5.3.3")
def test_max_breadth_is_shared_among_the_branches(caller: Phone, desk: Phone, mobile: Phone) -> None:
    caller >> caller.ask("MESSAGE", "sip:bob@example.org", ("Max-Breadth", "5"))
    desk << "MESSAGE"
    mobile << "MESSAGE"
    shares = sorted(int(phone.request.headers.get("Max-Breadth") or 0) for phone in (desk, mobile))
    assert shares == [2, 3]  # "SHOULD NOT use a smaller amount", and no more


@pytest.mark.rfc("5393", "5.3.3")
def test_a_request_without_max_breadth_gets_one(caller: Phone, desk: Phone, mobile: Phone) -> None:
    caller >> caller.ask("MESSAGE", "sip:bob@example.org")
    desk << "MESSAGE"
    assert desk.request.headers.all("Max-Breadth") == ["30"]


@pytest.mark.rfc("5393", "5.3.3")
def test_too_large_a_breadth_is_cut(network: Network, caller: Phone, desk: Phone, mobile: Phone) -> None:
    network.policy.max_breadth = 10
    caller >> caller.ask("MESSAGE", "sip:bob@example.org", ("Max-Breadth", "1000"))
    desk << "MESSAGE"
    assert desk.request.headers.get("Max-Breadth") == "5"


@pytest.mark.rfc("5393", "5.3.3")
def test_too_small_a_breadth_for_a_fork_is_refused(
    network: Network, caller: Phone, desk: Phone, mobile: Phone
) -> None:
    caller >> caller.ask("MESSAGE", "sip:bob@example.org", ("Max-Breadth", "1")) << 440
    network_is_quiet(desk, mobile)


@pytest.mark.rfc("5393", "5.5")
def test_one_after_the_other_needs_a_breadth_of_one(in_order: Phone, desk: Phone, mobile: Phone) -> None:
    in_order >> in_order.ask("MESSAGE", "sip:bob@example.org", ("Max-Breadth", "1"))
    desk << "MESSAGE" >> desk.answer(486)
    mobile << "MESSAGE"
    assert mobile.request.headers.get("Max-Breadth") == "1"


# -- other addresses -----------------------------------------------------------------------------------


@pytest.mark.rfc("3261", "16.5")
def test_an_address_that_several_accounts_share_rings_at_all_of_them(
    network: Network, alice: Phone, caller: Phone, desk: Phone
) -> None:
    network.account("alice", aliases=("sip:sales@example.org",))
    network.account("bob", aliases=("sip:sales@example.org",))
    alice >> alice.register() << 401 >> alice.authorized() << 200
    caller >> caller.ask("MESSAGE", "sip:sales@example.com")
    alice << "MESSAGE"
    desk << "MESSAGE"
