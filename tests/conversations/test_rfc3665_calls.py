"""The call flows of RFC 3665 section 3, with one proxy in the middle."""

from __future__ import annotations

import pytest

from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


@pytest.mark.rfc("3665", "3.2")
def test_a_call_through_a_proxy_that_challenges(network: Network, alice: Phone, bob: Phone) -> None:
    alice >> alice.invite("sip:bob@example.org") << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(180)
    alice << 180
    bob >> bob.answer(200)
    alice << 200
    alice.begin()
    alice >> alice.within("ACK")
    bob << "ACK"
    bob >> bob.within("BYE")
    alice << "BYE" >> alice.answer(200)
    bob << 200
    network_is_quiet(alice, bob)
