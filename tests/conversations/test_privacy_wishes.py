"""What may be asked of the privacy service, and what becomes of a wish that it can't fulfil (RFC 3323 section 5)."""

from __future__ import annotations

import pytest

from ringfence.message import Request
from ringfence.store.records import Rights
from tests.conversations.network import Network
from tests.conversations.phones import SDP, Phone, network_is_quiet

PRIVATE = ("Privacy", "user;header")


def asks(alice: Phone, bob: Phone, *fields: tuple[str, str], body: bytes = SDP, kind: str = "") -> Phone:
    invite = alice.invite(bob.aor, *fields, body=body)
    if kind:
        invite.headers.set("Content-Type", kind)
    return alice >> invite << 407 >> alice.ack() >> alice.authorized()


@pytest.mark.rfc("3323", "5")
@pytest.mark.parametrize(
    ("privacy", "named"),
    [("session;critical", "session"), ("user;ghost;critical", "ghost"), ("a;b;critical", "a, b")],
)
def test_what_is_critical_and_can_t_be_given_fails_and_tells_nothing(
    network: Network, alice: Phone, bob: Phone, privacy: str, named: str
) -> None:
    """500, with an enumeration of the values; the callee hears nothing."""
    asks(alice, bob, ("Privacy", privacy)) << 500 >> alice.ack()
    assert named in alice.response.reason
    assert network.driver.counts["privacy refused"] == 1
    network_is_quiet(alice, bob)


@pytest.mark.rfc("3323", "5")
def test_what_is_not_critical_is_done_as_far_as_it_goes(alice: Phone, bob: Phone) -> None:
    """And what was not done stays in the field, for a service further down."""
    asks(alice, bob, ("Privacy", "user;session;ghost")) << 100
    bob << "INVITE"
    assert "alice" not in bob.request.to_bytes().decode()
    assert bob.request.headers.get("Privacy") == "session;ghost"


@pytest.mark.rfc("3323", "5")
def test_a_service_that_is_off_does_nothing_and_says_so(network: Network, alice: Phone, bob: Phone) -> None:
    network.services.bridges = None
    asks(alice, bob, ("Privacy", "user;critical")) << 500 >> alice.ack()
    network_is_quiet(alice, bob)
    asks(alice, bob, ("Privacy", "user")) << 100
    bob << "INVITE"
    assert bob.request.headers.get("Privacy") == "user"


def test_an_owner_may_refuse_whatever_can_t_be_given(network: Network, alice: Phone, bob: Phone) -> None:
    assert network.services.bridges is not None
    network.services.bridges.policy.refuse_unmet = True
    asks(alice, bob, ("Privacy", "session")) << 500 >> alice.ack()
    network_is_quiet(alice, bob)


@pytest.mark.rfc("3323", "4.3")
def test_the_option_is_taken_off_with_the_last_value(alice: Phone, bob: Phone) -> None:
    asks(alice, bob, ("Privacy", "user;critical"), ("Proxy-Require", "privacy")) << 100
    bob << "INVITE"
    assert "Proxy-Require" not in bob.request.headers
    assert "Privacy" not in bob.request.headers


@pytest.mark.rfc("3323", "4.2")
def test_none_beside_something_else_is_malformed(alice: Phone, bob: Phone) -> None:
    asks(alice, bob, ("Privacy", "none;user")) << 400 >> alice.ack()
    assert "Privacy" in alice.response.reason


def test_an_account_may_be_private_whatever_its_phones_know(
    network: Network, alice: Phone, bob: Phone
) -> None:
    network.account("alice", rights=Rights(privacy=frozenset({"user", "header"})))
    asks(alice, bob) << 100
    bob << "INVITE"
    assert "alice" not in bob.request.to_bytes().decode()


def test_a_phone_may_say_that_it_wants_nothing(network: Network, alice: Phone, bob: Phone) -> None:
    network.account("alice", rights=Rights(privacy=frozenset({"user", "header"})))
    asks(alice, bob, ("Privacy", "none")) << 100
    bob << "INVITE"
    assert str(bob.request.from_.uri) == alice.aor


# -- callees who take no anonymous calls ---------------------------------------------------------------


@pytest.mark.rfc("5079", "4")
@pytest.mark.parametrize("fields", [(("Privacy", "user"),), (("Privacy", "id"),), ()])
def test_who_does_not_say_who_calls_is_refused(
    network: Network, alice: Phone, bob: Phone, fields: tuple[tuple[str, str], ...]
) -> None:
    network.account("bob", rights=Rights(reject_anonymous=True))
    anonymous = '"Anonymous" <sip:anonymous@anonymous.invalid>'
    invite = alice.invite(bob.aor, *fields, from_=f"<{alice.aor}>" if fields else anonymous)
    alice >> invite
    if fields:
        alice << 407 >> alice.ack() >> alice.authorized(invite)
    alice << 433
    assert alice.response.reason == "Anonymity Disallowed"


@pytest.mark.rfc("5079", "4")
def test_who_says_who_calls_is_not_refused(network: Network, alice: Phone, bob: Phone) -> None:
    network.account("bob", rights=Rights(reject_anonymous=True))
    asks(alice, bob) << 100
    bob << "INVITE"


# -- history -------------------------------------------------------------------------------------------


@pytest.mark.rfc("7044", "10.1.2")
@pytest.mark.parametrize("privacy", ["history", "header"])
def test_history_keeps_its_shape_and_names_nobody(alice: Phone, bob: Phone, privacy: str) -> None:
    history = (
        "<sip:first@example.org>;index=1, <sip:second@example.org?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1"
    )
    asks(alice, bob, ("Privacy", privacy), ("History-Info", history)) << 100
    bob << "INVITE"
    kept = ", ".join(bob.request.headers.all("History-Info"))
    assert kept == (
        "<sip:anonymous@anonymous.invalid>;index=1, <sip:anonymous@anonymous.invalid>;index=1.1;rc=1"
    )
    assert "Privacy" not in bob.request.headers


@pytest.mark.rfc("7044", "10.1.2")
def test_an_entry_may_ask_for_itself(alice: Phone, bob: Phone) -> None:
    asks(alice, bob, ("History-Info", "<sip:first@example.org?Privacy=history>;index=1")) << 100
    bob << "INVITE"
    assert bob.request.headers.get("History-Info") == "<sip:anonymous@anonymous.invalid>;index=1"


@pytest.mark.rfc("7044", "10.1.2")
def test_and_the_others_stay_as_they_are(alice: Phone, bob: Phone) -> None:
    """Only "those hi-targeted-to-uris" that ask are changed; Diversion must not name the same one after all."""
    history = (
        "<sip:first@example.com?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1, "
        '"Office, 2nd" <sip:office@example.com?Reason=SIP%3Bcause%3D486>;index=1.1;mp=1;foo=bar'
    )
    diversion = (
        '"Office" <sip:office@example.com>;reason=user-busy, <sip:First@example.com>;reason=unconditional'
    )
    asks(alice, bob, ("History-Info", history), ("Diversion", diversion)) << 100
    bob << "INVITE"
    assert bob.request.headers.values("History-Info") == [
        "<sip:anonymous@anonymous.invalid>;index=1",
        '"Office, 2nd" <sip:office@example.com?Reason=SIP%3Bcause%3D486>;index=1.1;mp=1;foo=bar',
    ]
    assert bob.request.headers.values("Diversion") == ['"Office" <sip:office@example.com>;reason=user-busy']


# -- bodies --------------------------------------------------------------------------------------------

PKCS7 = "application/pkcs7-mime;smime-type=enveloped-data;name=smime.p7m"


@pytest.mark.rfc("3323", "5.2")
def test_an_encrypted_body_is_refused_where_privacy_is_critical(
    network: Network, alice: Phone, bob: Phone
) -> None:
    asks(alice, bob, ("Privacy", "user;critical"), body=b"MIIB", kind=PKCS7) << 500 >> alice.ack()
    assert "S/MIME" in alice.response.reason
    network_is_quiet(alice, bob)


def test_an_encrypted_body_passes_where_the_caller_leaves_it_to_us_and_the_caller_is_told(
    alice: Phone, bob: Phone
) -> None:
    asks(alice, bob, PRIVATE, body=b"MIIB", kind=PKCS7) << 100
    bob << "INVITE"
    assert bob.request.body == b"MIIB"
    assert bob.request.headers.get("Privacy") == "user"  # not all of it was done
    bob >> bob.answer(200, body=SDP)
    alice << 200
    assert "S/MIME" in str(alice.response.headers.get("Warning"))


MIXED = (
    b"--b\r\nContent-Type: application/sdp\r\n\r\n"
    + SDP
    + b"\r\n--b\r\nContent-Type: application/pidf+xml\r\n\r\n"
    b"<presence entity='pres:alice@example.org'/>\r\n--b--\r\n"
)


def test_a_part_that_names_the_caller_is_left_out(alice: Phone, bob: Phone) -> None:
    asks(alice, bob, PRIVATE, body=MIXED, kind="multipart/mixed;boundary=b") << 100
    bob << "INVITE"
    assert b"alice" not in bob.request.to_bytes()
    assert bob.request.headers.get("Content-Type") == "application/sdp"
    bob >> bob.answer(486) << "ACK"
    alice << 486
    assert "pidf" in str(alice.response.headers.get("Warning"))


def test_a_part_that_names_the_caller_fails_what_is_critical(
    network: Network, alice: Phone, bob: Phone
) -> None:
    asks(alice, bob, ("Privacy", "user;critical"), body=MIXED, kind="multipart/mixed;boundary=b") << 500
    assert "pidf" in alice.response.reason
    network_is_quiet(alice, bob)


def writes(alice: Phone, bob: Phone, kind: str, body: bytes) -> None:
    request = alice.ask("MESSAGE", bob.aor, PRIVATE, body=body)
    request.headers.set("Content-Type", kind)
    alice >> request << 407 >> alice.authorized(request)


def message(alice: Phone, bob: Phone, kind: str, body: bytes) -> Request:
    writes(alice, bob, kind, body)
    bob << "MESSAGE"
    return bob.request


def test_what_a_person_writes_is_its_own_affair(alice: Phone, bob: Phone) -> None:
    assert message(alice, bob, "text/plain", b"it is me, alice").body == b"it is me, alice"


@pytest.mark.parametrize("kind", ["message/cpim", "text/vcard", "message/sip"])
def test_a_message_that_names_its_sender_is_refused(
    network: Network, alice: Phone, bob: Phone, kind: str
) -> None:
    writes(alice, bob, kind, b"From: alice\r\n\r\n")
    alice << 488
    assert kind in str(alice.response.headers.get("Warning"))
    network_is_quiet(alice, bob)


def test_a_fragment_is_reduced_to_its_first_line(alice: Phone, bob: Phone) -> None:
    fragment = b"SIP/2.0 200 OK\r\nContact: <sip:alice@198.51.100.10>\r\n"
    assert message(alice, bob, "message/sipfrag", fragment).body == b"SIP/2.0 200 OK\r\n"
