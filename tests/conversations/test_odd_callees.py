"""What callees, and networks behind them, do in calls that are right but seldom seen; the test suites of other stacks
play such calls.
"""

from __future__ import annotations

import pytest

from ringfence.message import Response, ack_for, response_to
from tests.conversations.network import Network
from tests.conversations.phones import SDP, Phone, network_is_quiet

CHALLENGE = ("Proxy-Authenticate", 'Digest realm="pbx.example.com", nonce="4cdb", qop="auth"')
CREDENTIALS = (
    "Proxy-Authorization",
    'Digest username="dan", realm="pbx.example.com", nonce="4cdb", uri="sip:bob@example.org", response="00"',
)


@pytest.fixture
def dan(network: Network) -> Phone:
    network.names.host("example.net", "203.0.113.9")
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


def as_fork(bob: Phone, status: int, tag: str, *more: tuple[str, str], body: bytes = b"") -> Response:
    """A response to Bob's INVITE from one of several phones behind one branch."""
    response = response_to(bob.request, status, to_tag=tag)
    response.headers.set("Contact", f"<{bob.contact}>")
    for name, value in more:
        response.headers.add(name, value)
    if body:
        response.set_body(body, "application/sdp")
    return response


@pytest.mark.rfc("3261", "22.3")
def test_a_callee_asks_for_credentials_itself(dan: Phone, bob: Phone) -> None:
    """Its realm is not ours: challenge and credentials pass, for the BYE as well."""
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE" >> bob.answer(407, CHALLENGE) << "ACK"
    dan << 407
    assert dan.response.headers.all("Proxy-Authenticate") == [CHALLENGE[1]]
    again = dan.again()
    again.headers.add(*CREDENTIALS)
    dan >> dan.ack() >> again << 100
    bob << "INVITE"
    assert bob.request.headers.get("Proxy-Authorization") == CREDENTIALS[1]
    bob >> bob.answer(200, body=SDP)
    dan << 200
    dan.begin() >> dan.within("ACK")
    bob << "ACK"
    dan >> dan.within("BYE")
    bob << "BYE" >> bob.answer(407, CHALLENGE)
    dan << 407 >> dan.within("BYE", CREDENTIALS)
    bob << "BYE"
    assert bob.request.headers.get("Proxy-Authorization") == CREDENTIALS[1]
    bob >> bob.answer(200)
    dan << 200
    network_is_quiet(dan, bob)


@pytest.mark.rfc("3515", "2.4.2")
def test_a_callee_sends_the_caller_on_while_it_rings(dan: Phone, bob: Phone) -> None:
    """REFER in an early dialog; the NOTIFY comes from a stack whose branches lack the magic cookie."""
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE" >> bob.answer(180)
    invite, sent = bob.request, dan.sent
    dan << 180
    dan.begin()
    bob >> bob.within("REFER", ("Refer-To", "<sip:carol@example.org>"))
    dan << "REFER" >> response_to(dan.request, 202)
    bob << 202
    notify = dan.within(
        "NOTIFY", ("Event", "refer;id=2"), ("Subscription-State", "terminated;reason=noresource")
    )
    notify.headers.set("Via", dan.via("cfcfcfcf"))
    dan >> notify
    bob << "NOTIFY" >> bob.answer(200)
    dan << 200
    bob >> bob.answer(603, request=invite) << "ACK"
    dan << 603 >> ack_for(sent, dan.response)
    network_is_quiet(dan, bob)


@pytest.mark.rfc("3311", "5.1")
def test_an_update_from_the_callee_before_it_answers(dan: Phone, bob: Phone) -> None:
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE" >> bob.answer(183, body=SDP)
    invite = bob.request
    dan << 183
    bob >> bob.within("UPDATE", body=SDP)
    dan << "UPDATE" >> dan.answer(481)
    bob << 481 >> bob.answer(480, request=invite) << "ACK"
    dan << 480 >> dan.ack()
    network_is_quiet(dan, bob)


@pytest.mark.rfc("3261", "16.7")
def test_two_phones_answer_behind_one_branch(dan: Phone, bob: Phone) -> None:
    """The second 2xx comes on the branch of the first; the BYE for it may come before its ACK."""
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE"
    first, second = (as_fork(bob, 200, tag, body=SDP) for tag in ("one", "two"))
    bob >> first
    dan << 200
    dan.begin() >> dan.within("ACK")
    bob << "ACK" >> second
    dan << 200
    assert dan.response.to.tag == "two"
    dan.begin() >> dan.within("BYE") >> dan.within("ACK", cseq=1)
    bob << "BYE"
    assert bob.request.to.tag == "two"
    bob >> bob.answer(200) << "ACK"
    dan << 200
    network_is_quiet(dan, bob)


@pytest.mark.rfc("3262", "3")
def test_one_of_two_phones_behind_a_branch_rings_reliably(dan: Phone, bob: Phone) -> None:
    dan >> dan.invite(bob.aor, ("Supported", "100rel")) << 100
    bob << "INVITE"
    invite = bob.request
    bob >> as_fork(bob, 180, "one") >> as_fork(bob, 180, "two", ("Require", "100rel"), ("RSeq", "1"))
    dan << 180 << 180
    dan.begin() >> dan.within("PRACK", ("RAck", "1 1 INVITE"))
    bob << "PRACK"
    assert bob.request.to.tag == "two"
    bob >> bob.answer(200)
    bob.last = invite
    bob >> as_fork(bob, 200, "two", body=SDP)
    dan << 200 << 200 >> dan.within("ACK", cseq=1)
    bob << "ACK"
    network_is_quiet(dan, bob)
