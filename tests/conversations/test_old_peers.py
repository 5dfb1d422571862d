"""Peers of RFC 2543, which RFC 3261 still has to get on with: no tags, and branches without the magic cookie."""

from __future__ import annotations

import pytest

from tests.conversations.network import Network
from tests.conversations.phones import SDP, Phone, network_is_quiet


@pytest.fixture
def dan(network: Network) -> Phone:
    network.names.host("example.net", "203.0.113.9")
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


@pytest.mark.rfc("3261", "12.1.2")
def test_a_callee_without_tags(dan: Phone, bob: Phone) -> None:
    """ "A UAC MUST be prepared to receive a response without a tag in the To field": nor have ACK and BYE one then."""
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE"
    ok = bob.answer(200, body=SDP)
    ok.headers.set("To", f"<{bob.aor}>")
    bob.dialog.local = f"<{bob.aor}>"
    bob >> ok
    dan << 200
    dan.begin() >> dan.within("ACK")
    bob << "ACK"
    dan >> dan.within("BYE")
    bob << "BYE" >> bob.answer(200)
    dan << 200
    network_is_quiet(dan, bob)


@pytest.mark.rfc("3261", "12.1.2")
def test_a_callee_without_tags_hangs_up(dan: Phone, bob: Phone) -> None:
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE"
    ok = bob.answer(200, body=SDP)
    ok.headers.set("To", f"<{bob.aor}>")
    bob.dialog.local = f"<{bob.aor}>"
    bob >> ok
    dan << 200
    dan.begin() >> dan.within("ACK")
    bye = bob.within("BYE")
    bye.headers.set("Via", bob.via("2"))
    bob << "ACK" >> bye
    dan << "BYE" >> dan.answer(200)
    bob << 200
    network_is_quiet(dan, bob)


def test_no_call_begins_by_the_route_of_another(dan: Phone, bob: Phone) -> None:
    """Only what can't begin anything may lack the tag."""
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE" >> bob.answer(200, body=SDP)
    dan << 200
    dan.begin() >> dan.within("ACK")
    bob << "ACK"
    again = dan.within("INVITE")
    again.headers.set("To", f"<{bob.aor}>")
    again.uri = "sip:carol@elsewhere.example"
    dan >> again << 407
    network_is_quiet(bob)


@pytest.mark.rfc("3261", "12.1.1")
@pytest.mark.parametrize(("branch", "status"), [("1", 200), ("z9hG4bKnew", 400)])
def test_a_caller_without_a_tag(dan: Phone, bob: Phone, branch: str, status: int) -> None:
    """The magic cookie says that a request was written after RFC 3261, which has it carry a tag (section 8.1.1.3)."""
    request = dan.ask("MESSAGE", bob.aor)
    request.headers.set("From", "<sip:dan@example.net>")
    request.headers.set("Via", dan.via(branch))
    dan >> request
    if status == 200:
        bob << "MESSAGE" >> bob.answer(200)
    dan << status


@pytest.mark.rfc("3261", "7.3.1")
@pytest.mark.parametrize("name", ["Require", "Proxy-Require"])
def test_option_tags_are_the_same_in_any_case(alice: Phone, name: str) -> None:
    alice >> alice.register((name, "Path"), ("Supported", "PATH")) << 401 >> alice.authorized() << 200
    alice >> alice.register((name, "Path, UnHeardOf"))
    alice << (420 if name == "Proxy-Require" else 401)
    if name == "Require":
        alice >> alice.authorized() << 420
    assert alice.response.headers.get("Unsupported") == "UnHeardOf"
