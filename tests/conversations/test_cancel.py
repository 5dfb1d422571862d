"""CANCEL, timer C, and what comes late (RFC 3261 sections 9, 16.8 and 16.10, RFC 6026)."""

from __future__ import annotations

import pytest

from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


@pytest.fixture
def dan(network: Network) -> Phone:
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


@pytest.mark.rfc("3261", "16.10")
def test_a_call_that_rings_is_cancelled(dan: Phone, bob: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(180)
    invite = bob.request
    dan << 180
    cancel = dan.cancel()
    cancel.headers.add("Reason", "SIP;cause=480")
    dan >> cancel << 200
    bob << "CANCEL"
    assert bob.request.via == invite.via
    assert bob.request.headers.get("Reason") == "SIP;cause=480"
    bob >> bob.answer(200) >> bob.answer(487, request=invite) << "ACK"
    dan << 487 >> dan.ack()
    network_is_quiet(dan, bob)


@pytest.mark.rfc("3261", "9.1")
def test_a_cancel_waits_for_a_provisional_response(dan: Phone, bob: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE"
    invite = bob.request
    dan >> dan.cancel() << 200
    network_is_quiet(bob)
    bob >> bob.answer(180)
    dan << 180
    bob << "CANCEL" >> bob.answer(200) >> bob.answer(487, request=invite)
    dan << 487


@pytest.mark.rfc("3261", "9.1")
def test_a_2xx_that_crosses_the_cancel_wins(dan: Phone, bob: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(180)
    invite = bob.request
    dan << 180 >> dan.cancel() << 200
    bob << "CANCEL" >> bob.answer(200, request=invite)
    dan << 200


@pytest.mark.rfc("3261", "9.2")
def test_a_cancel_for_nothing(dan: Phone, bob: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE"
    stray = dan.cancel()
    stray.headers.set("Via", dan.via())
    dan >> stray << 481
    network_is_quiet(bob)


def test_a_cancel_from_elsewhere_does_nothing(network: Network, dan: Phone, bob: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(180)
    dan << 180
    thief = Phone(network, "thief", "203.0.113.66")
    thief >> dan.cancel()
    assert 481 in [message.status for message, _ in thief.inbox + dan.inbox]  # type: ignore[union-attr]
    network_is_quiet(bob)


@pytest.mark.rfc("3261", "9.2")
def test_a_cancel_after_the_answer_changes_nothing(dan: Phone, bob: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(486) << "ACK"
    dan << 486 >> dan.cancel() << 200
    network_is_quiet(bob, dan)


@pytest.mark.rfc("3261", "9.2")
def test_a_cancel_while_dns_is_asked(network: Network, alice: Phone) -> None:
    network.names.slow = True
    alice >> alice.invite("sip:dan@example.net") << 407 >> alice.ack() >> alice.authorized() << 100
    alice >> alice.cancel() << 200 << 487 >> alice.ack()
    network.names.host("example.net", "203.0.113.9")
    dan = Phone(network, "dan", "203.0.113.9")
    network.answer_names()
    network_is_quiet(alice, dan)


@pytest.mark.rfc("3261", "16.8")
def test_timer_c_ends_a_call_that_only_rings(network: Network, dan: Phone, bob: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(180)
    invite = bob.request
    dan << 180
    network.wait(184)
    bob >> bob.answer(180, request=invite)
    dan << 180
    network.wait(184)  # each provisional response starts it anew
    network_is_quiet(bob)
    network.wait(2)
    bob << "CANCEL" >> bob.answer(200) >> bob.answer(487, request=invite)
    dan << 487


@pytest.mark.rfc("3261", "16.8")
def test_timer_c_and_a_phone_that_has_gone(network: Network, dan: Phone, bob: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(180)
    dan << 180
    network.wait(186 + 32)
    bob << "CANCEL"
    network.wait(33)
    dan << 487
    network.wait(60)
    assert network.transactions == 0


@pytest.mark.rfc("3261", "16.9")
def test_a_phone_that_does_not_answer(network: Network, dan: Phone, bob: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org") << 100
    network.wait(33)
    dan << 408
    assert dan.response.to.tag
    assert len(bob.inbox) == 7  # T1 doubles until 64*T1 have passed


@pytest.mark.rfc("4320", "4.2")
def test_a_timeout_of_another_method_is_not_told(network: Network, dan: Phone, bob: Phone) -> None:
    dan >> dan.ask("MESSAGE", "sip:bob@example.org")
    network.wait(40)
    dan << 100  # RFC 4320 section 4.1: late, and no 408 ever
    network_is_quiet(dan)


@pytest.mark.rfc("3261", "17.2.1")
def test_retransmissions_are_absorbed(network: Network, dan: Phone, bob: Phone) -> None:
    invite = dan.invite("sip:bob@example.org")
    dan >> invite << 100 >> invite << 100
    bob << "INVITE" >> bob.answer(180) >> bob.answer(180)
    dan << 180 << 180 >> invite << 180
    busy = bob.answer(486)
    bob >> busy << "ACK" >> busy << "ACK"
    dan << 486 >> dan.ack() >> dan.ack()
    network_is_quiet(dan, bob)


@pytest.mark.rfc("6026", "7.1")
def test_a_late_2xx_is_forwarded_while_others_are_expected(network: Network, dan: Phone, bob: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(200)
    dan << 200
    network.wait(10)
    bob >> bob.answer(200)
    dan << 200
    network.wait(40)
    bob >> bob.answer(200)  # nobody knows of it any more
    network_is_quiet(dan)
    assert network.transactions == 0


@pytest.mark.rfc("6026", "7.3")
def test_a_stray_response_is_not_forwarded(network: Network, dan: Phone, bob: Phone) -> None:
    dan >> dan.ask("MESSAGE", "sip:bob@example.org")
    bob << "MESSAGE"
    stray = bob.answer(200)
    stray.headers.set_top("Via", str(bob.request.via).replace("branch=z9hG4bK", "branch=z9hG4bKx"))
    bob >> stray
    network_is_quiet(dan)
