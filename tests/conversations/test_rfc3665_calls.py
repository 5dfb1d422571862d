"""The call flows of RFC 3665 section 3 that have a proxy in them, as far as the proxy sees them."""

from __future__ import annotations

import pytest

from tests.conversations.network import Network
from tests.conversations.phones import SDP, Phone, network_is_quiet


def ring(alice: Phone, bob: Phone) -> None:
    """Alice calls, and gets as far as ringing."""
    alice >> alice.invite("sip:bob@example.org") << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(180)
    alice << 180


@pytest.mark.rfc("3665", "3.2")
def test_a_successful_session_through_a_proxy(network: Network, alice: Phone, bob: Phone) -> None:
    ring(alice, bob)
    assert bob.request.body == SDP
    bob >> bob.answer(200, body=SDP)
    alice << 200
    assert alice.response.body == SDP
    alice.begin()
    alice >> alice.within("ACK")
    bob << "ACK" >> bob.within("BYE")
    alice << "BYE" >> alice.answer(200)
    bob << 200
    network_is_quiet(alice, bob)
    network.wait(70)
    assert network.transactions == 0


@pytest.mark.rfc("3665", "3.3")
def test_a_session_with_credentials_from_the_first(network: Network, alice: Phone, bob: Phone) -> None:
    """3.3: the client has a nonce and answers before it is asked."""
    alice >> alice.ask("MESSAGE", bob.aor) << 407
    challenge = alice.response
    alice >> alice.authorized(count=1)
    bob << "MESSAGE" >> bob.answer(200)
    alice << 200
    alice.last = challenge
    alice >> alice.authorized(alice.invite("sip:bob@example.org"), count=2) << 100
    bob << "INVITE"


@pytest.mark.rfc("3665", "3.6")
def test_a_session_whose_first_answer_is_not_acknowledged_at_once(alice: Phone, bob: Phone) -> None:
    ring(alice, bob)
    answer = bob.answer(200, body=SDP)
    bob >> answer >> answer
    alice << 200 << 200
    alice.begin()
    alice >> alice.within("ACK") >> alice.within("ACK")
    bob << "ACK" << "ACK"
    network_is_quiet(alice, bob)


@pytest.mark.rfc("3665", "3.7")
def test_a_session_whose_media_change(alice: Phone, bob: Phone) -> None:
    ring(alice, bob)
    bob >> bob.answer(200, body=SDP)
    alice << 200
    alice.begin()
    alice >> alice.within("ACK")
    bob << "ACK" >> bob.within("INVITE", body=SDP) << 100
    alice << "INVITE"
    dialog = alice.dialog
    alice >> alice.answer(200, body=SDP)
    alice.dialog = dialog
    bob << 200 >> bob.within("ACK", cseq=bob.dialog.cseq)
    alice << "ACK" >> alice.within("BYE")
    bob << "BYE" >> bob.answer(200)
    alice << 200
    network_is_quiet(alice, bob)


@pytest.mark.rfc("3665", "3.8")
def test_no_answer_and_the_caller_gives_up(alice: Phone, bob: Phone) -> None:
    ring(alice, bob)
    invite = bob.request
    alice >> alice.cancel() << 200
    bob << "CANCEL" >> bob.answer(200) >> bob.answer(487, request=invite) << "ACK"
    alice << 487 >> alice.ack()
    network_is_quiet(alice, bob)


@pytest.mark.rfc("3665", "3.9")
def test_the_callee_is_busy(alice: Phone, bob: Phone) -> None:
    alice >> alice.invite("sip:bob@example.org") << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(486) << "ACK"
    alice << 486 >> alice.ack()
    network_is_quiet(alice, bob)


@pytest.mark.rfc("3665", "3.10")
def test_the_callee_does_not_respond(network: Network, alice: Phone, bob: Phone) -> None:
    alice >> alice.invite("sip:bob@example.org") << 407 >> alice.ack() >> alice.authorized() << 100
    network.wait(32.1)
    alice << 408 >> alice.ack()


@pytest.mark.rfc("3665", "3.11")
def test_the_callee_is_away(alice: Phone) -> None:
    (
        alice
        >> alice.invite("sip:bob@example.org")
        << 407
        >> alice.ack()
        >> alice.authorized()
        << 480
        >> alice.ack()
    )
    network_is_quiet(alice)
