"""Calls that leave the domain: which are signed, for whom, and what is said when a call is sent on."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ringfence.message import Request, parse_uri
from ringfence.roles.peers import Peer, Peers
from ringfence.security import passport
from ringfence.security.canonical import Party
from ringfence.security.findings import Policy
from ringfence.security.verification import verify_request
from ringfence.store.records import Binding, Rights
from tests.conversations.network import WALL, Network
from tests.conversations.phones import SDP, Phone
from tests.conversations.strangers import (
    ATLANTA,
    CARRIER,
    EXPIRED,
    OUR_NUMBERS,
    OURS,
    ROOT,
    START,
    credential,
    date_at,
    for_domain,
    now_of,
    signed,
    signing,
    verification,
)
from tests.security.pki import issue, tn_list

OUTSIDE = "sip:erin@elsewhere.example"
URL = "https://example.org/cert.pem"
EXPIRED_OURS = for_domain("example.org", start=START - 40 * 86400)
FINGERPRINT = b"a=fingerprint:sha-256 " + b":".join(b"%02X" % n for n in range(32)) + b"\r\n"


@pytest.fixture
def elsewhere(network: Network) -> Phone:
    """The server of another domain."""
    network.names.host("elsewhere.example", "203.0.113.50")
    network.services.signing = signing()
    return Phone(network, "erin", "203.0.113.50", domain="elsewhere.example")


def call(alice: Phone, invite: Request) -> None:
    """Alice calls, and authenticates."""
    alice >> invite << 407 >> alice.ack()
    alice >> alice.authorized() << 100


def token(phone: Phone) -> passport.Passport:
    """The one token of the request taken last."""
    [value] = phone.request.headers.all("Identity")
    return passport.parse(value.partition(";")[0])


@pytest.mark.rfc("8224", "6.1")
def test_a_call_that_leaves_is_signed_for_the_user(network: Network, alice: Phone, elsewhere: Phone) -> None:
    call(alice, alice.invite(OUTSIDE, body=SDP + FINGERPRINT))
    elsewhere << "INVITE"
    request = elsewhere.request
    verdict = verify_request(request, {URL: credential(OURS)}, now_of(network))
    assert (verdict.who, verdict.status) == (Party("uri", "sip:alice@example.org"), None)
    assert request.headers.get("Date") == date_at(now_of(network))
    assert token(elsewhere).claims["mky"][0]["alg"] == "sha-256"
    assert network.driver.counts["signed"] == 1


@pytest.mark.rfc("8224", "6.1")
def test_a_date_of_the_phone_is_signed_when_it_is_right(
    network: Network, alice: Phone, elsewhere: Phone
) -> None:
    date = date_at(WALL - 30)
    call(alice, alice.invite(OUTSIDE, ("Date", date)))
    elsewhere << "INVITE"
    assert elsewhere.request.headers.all("Date") == [date]
    assert token(elsewhere).iat == int(WALL - 30)
    alice >> alice.invite(OUTSIDE, ("Date", date_at(WALL - 3600))) << 407 >> alice.ack()
    alice >> alice.authorized() << 403
    assert "Stale Date" in alice.response.reason


def test_calls_at_home_are_not_signed(alice: Phone, bob: Phone, elsewhere: Phone) -> None:
    call(alice, alice.invite("sip:bob@example.org"))
    bob << "INVITE"
    assert "Identity" not in bob.request.headers


@pytest.mark.rfc("3323", "4.1.1.3")
def test_nobody_signs_for_an_anonymous_caller(alice: Phone, elsewhere: Phone) -> None:
    call(alice, alice.invite(OUTSIDE, from_='"Anonymous" <sip:anonymous@anonymous.invalid>'))
    elsewhere << "INVITE"
    assert "Identity" not in elsewhere.request.headers


def test_requests_inside_a_call_are_not_signed_again(alice: Phone, elsewhere: Phone) -> None:
    call(alice, alice.invite(OUTSIDE))
    elsewhere << "INVITE" >> elsewhere.answer(200)
    alice << 200
    alice.begin()
    alice >> alice.within("ACK")
    elsewhere << "ACK"
    assert "Identity" not in elsewhere.request.headers
    alice >> alice.within("BYE")
    elsewhere << "BYE"
    assert "Identity" not in elsewhere.request.headers


@pytest.mark.rfc("4916", "4.4.1")
def test_a_user_tells_its_identity_inside_a_call(network: Network, elsewhere: Phone) -> None:
    alice = Phone(network, "alice", "198.51.100.11", "TLS")
    call(alice, alice.invite(OUTSIDE))
    elsewhere << "INVITE" >> elsewhere.answer(200)
    alice << 200
    alice.begin()
    alice >> alice.within("ACK")
    elsewhere << "ACK"
    alice >> alice.within("UPDATE")
    elsewhere << "UPDATE"
    assert token(elsewhere).orig == Party("uri", "sip:alice@example.org")
    lying = alice.within("UPDATE")
    lying.headers.set("From", f"<sip:bob@example.org>;tag={alice.tag}")
    alice >> lying
    elsewhere << "UPDATE"
    assert "Identity" not in elsewhere.request.headers


@pytest.mark.rfc("8588", "4")
def test_a_number_of_ours_is_attested(network: Network, alice: Phone, elsewhere: Phone) -> None:
    network.services.signing = signing(OUR_NUMBERS)
    number = "sip:+12155550100@example.org"
    network.account("alice", aliases=(number,))
    call(alice, alice.invite(OUTSIDE, from_=f"<{number};user=phone>"))
    elsewhere << "INVITE"
    claims = token(elsewhere).claims
    assert (claims["orig"], claims["attest"]) == ({"tn": "12155550100"}, "A")
    assert ";ppt=shaken" in (elsewhere.request.headers.get("Identity") or "")
    first = claims["origid"]
    call(alice, alice.invite(OUTSIDE, from_=f"<{number};user=phone>"))
    elsewhere << "INVITE"
    assert token(elsewhere).claims["origid"] == first
    verdict = verify_request(elsewhere.request, {URL: credential(OUR_NUMBERS)}, now_of(network))
    assert verdict.attestation == "A"


ALL_NUMBERS = issue("A whole provider", ROOT, numbers=tn_list(spc=["709J"]), start=START)
SOME_NUMBERS = issue(
    "Some numbers", ROOT, numbers=tn_list(ranges=[("12155550100", 100)], one=["358912345"]), start=START
)
OLD_NUMBERS = issue("Old numbers", ROOT, numbers=tn_list(one=["12155550100"]), start=START - 40 * 86400)


@pytest.mark.rfc("8224", "6.1")
@pytest.mark.parametrize(
    ("caller", "url"),
    [
        ("sip:alice@example.org", "https://example.org/2.pem"),
        ("sip:+12155550100@example.org;user=phone", "https://example.org/3.pem"),
        ("sip:+12155550199@example.org;user=phone", "https://example.org/3.pem"),
        ("sip:+358912345@example.org;user=phone", "https://example.org/3.pem"),
        ("sip:+12155550200@example.org;user=phone", URL),
    ],
)
def test_who_calls_decides_by_which_certificate_it_is_signed(
    caller: str, url: str, network: Network, alice: Phone, elsewhere: Phone
) -> None:
    """The domain's for addresses; for numbers one that lists them, though the provider's stands first."""
    network.services.signing = signing(ALL_NUMBERS, OURS, SOME_NUMBERS, OLD_NUMBERS)
    network.account("alice", aliases=(caller.partition(";")[0],))
    call(alice, alice.invite(OUTSIDE, from_=f"<{caller}>"))
    elsewhere << "INVITE"
    assert token(elsewhere).x5u == url
    assert f";info=<{url}>" in (elsewhere.request.headers.get("Identity") or "")
    assert ("attest" in token(elsewhere).claims) == ("+" in caller)


def test_one_that_has_ended_does_not_stand_in_the_way(
    network: Network, alice: Phone, elsewhere: Phone
) -> None:
    network.services.signing = signing(EXPIRED_OURS, OURS)
    call(alice, alice.invite(OUTSIDE))
    elsewhere << "INVITE"
    assert token(elsewhere).x5u == "https://example.org/2.pem"


def test_a_caller_for_whom_none_speaks_goes_unsigned(
    network: Network, alice: Phone, elsewhere: Phone
) -> None:
    network.services.signing = signing(SOME_NUMBERS, OLD_NUMBERS)
    call(alice, alice.invite(OUTSIDE))
    elsewhere << "INVITE"
    assert "Identity" not in elsewhere.request.headers
    assert network.driver.counts["not signed"] == 1


def test_attestation_can_be_turned_off(network: Network, alice: Phone, elsewhere: Phone) -> None:
    network.services.signing = signing(OUR_NUMBERS, attest=False)
    number = "sip:+12155550100@example.org"
    network.account("alice", aliases=(number,))
    call(alice, alice.invite(OUTSIDE, from_=f"<{number};user=phone>"))
    elsewhere << "INVITE"
    assert token(elsewhere).ppt is None


@pytest.mark.rfc("8224", "6.1")
@pytest.mark.parametrize("pair", [OUR_NUMBERS, EXPIRED], ids=["numbers only", "expired"])
def test_what_the_certificate_does_not_cover_goes_unsigned(
    pair: object, network: Network, alice: Phone, elsewhere: Phone
) -> None:
    network.services.signing = signing(pair)  # type: ignore[arg-type]
    call(alice, alice.invite(OUTSIDE))
    elsewhere << "INVITE"
    assert "Identity" not in elsewhere.request.headers
    assert network.driver.counts["not signed"] == 1


def test_a_body_that_can_not_be_read_goes_unsigned(alice: Phone, elsewhere: Phone) -> None:
    invite = alice.ask("INVITE", OUTSIDE, ("Content-Type", "multipart/mixed"))
    call(alice, Request("INVITE", OUTSIDE, invite.headers, b""))
    elsewhere << "INVITE"
    broken = alice.ask("INVITE", OUTSIDE, ("Content-Type", "multipart/mixed;boundary=x"))
    broken.headers.set("Content-Length", "4")
    call(alice, Request("INVITE", OUTSIDE, broken.headers, b"--x?"))
    elsewhere << "INVITE"
    assert "Identity" not in elsewhere.request.headers


@pytest.mark.rfc("8588", "4")
def test_a_gateway_attests_c_for_a_trusted_peer(network: Network, elsewhere: Phone) -> None:
    network.services.signing = signing(CARRIER)
    network.policy.peers = Peers([Peer("pbx", networks=(ip_network("203.0.113.77"),), trusted=True)])
    pbx = Phone(network, "pbx", "203.0.113.77", domain="pbx.example")
    asserted = ("P-Asserted-Identity", "<tel:+12155551212>")
    pbx >> pbx.invite(OUTSIDE, asserted, from_="<sip:anything@pbx.example>") << 100
    elsewhere << "INVITE"
    claims = token(elsewhere).claims
    assert (claims["orig"], claims["attest"]) == ({"tn": "12155551212"}, "C")


# -- calls that are sent on ----------------------------------------------------------------------------


def forwards_to(network: Network, user: str, contact: str) -> None:
    """The user has registered an address elsewhere."""
    aor = f"sip:{user}@example.org"
    binding = Binding(aor, contact, WALL + 3600, "c", 1, WALL)
    network.store.bindings.hold(aor, (binding,), 0)


@pytest.mark.rfc("8946", "4.1")
def test_a_call_that_is_sent_on_gets_a_div(network: Network, elsewhere: Phone) -> None:
    network.services.verification = verification()
    network.services.signing = signing(divert=True)
    forwards_to(network, "bob", OUTSIDE)
    carol = Phone(network, "carol", "203.0.113.5", "TLS", domain="atlanta.example")
    carol >> signed(network, carol.invite("sip:bob@example.org")) << 100
    elsewhere << "INVITE"
    assert elsewhere.request.uri == OUTSIDE
    _, diversion = elsewhere.request.headers.all("Identity")
    assert diversion.endswith(";ppt=div")
    claims = passport.parse(diversion.partition(";")[0]).claims
    assert claims["div"] == {"uri": "sip:bob@example.org"}
    assert claims["dest"] == {"uri": [OUTSIDE]}
    known = {"https://atlanta.example/cert.pem": credential(ATLANTA), URL: credential(OURS)}
    strict = Policy(require_diversion=True)
    verdict = verify_request(elsewhere.request, known, now_of(network), strict)
    assert verdict.who == Party("uri", "sip:carol@atlanta.example")


def test_a_phone_is_no_address_elsewhere(network: Network, elsewhere: Phone, bob: Phone) -> None:
    network.services.verification = verification()
    network.services.signing = signing(divert=True)
    carol = Phone(network, "carol", "203.0.113.5", "TLS", domain="atlanta.example")
    carol >> signed(network, carol.invite("sip:bob@example.org")) << 100
    bob << "INVITE"
    assert bob.request.headers.count("Identity") == 1


def test_an_unsigned_call_is_sent_on_without_a_div(network: Network, elsewhere: Phone) -> None:
    network.services.signing = signing(divert=True)
    forwards_to(network, "bob", OUTSIDE)
    carol = Phone(network, "carol", "203.0.113.5", "TLS", domain="atlanta.example")
    carol >> carol.invite("sip:bob@example.org") << 100
    elsewhere << "INVITE"
    assert "Identity" not in elsewhere.request.headers


def test_a_number_needs_the_right_to_be_called_and_is_signed_as_a_number(
    network: Network, alice: Phone, elsewhere: Phone
) -> None:
    network.account("alice", rights=Rights(allow=("sip:", "tel:+358")))
    call(alice, alice.invite("sip:+35891234567@elsewhere.example;user=phone"))
    elsewhere << "INVITE"
    assert token(elsewhere).dest == (Party("tn", "35891234567"),)
    assert str(parse_uri(elsewhere.request.uri)).startswith("sip:+358")
