"""Phones agree with the edge on the security of their first hop, and a man in the middle shortens the list."""

from __future__ import annotations

import pytest

from ringfence.message import Request
from ringfence.roles.policy import AgreementMode
from ringfence.security.agreement import digest_mechanism, make_list, proof, returned_list, tls_mechanism
from ringfence.security.credentials import parse_credentials
from ringfence.security.digest import Algorithm, make_ha1
from tests.conversations.network import DOMAIN, Network
from tests.conversations.phones import SDP, Phone, network_is_quiet

LIST = "tls;q=0.2, digest;q=0.1;d-alg=SHA-512-256;d-qop=auth"
ASKS = (("Require", "sec-agree"), ("Proxy-Require", "sec-agree"))
BOB = "sip:bob@example.org"


@pytest.fixture
def network() -> Network:
    """A node that agrees with who asks."""
    network = Network()
    network.account("alice")
    network.account("bob")
    network.policy.agreement = AgreementMode.OFFER
    network.policy.mechanisms = make_list([tls_mechanism(), digest_mechanism(Algorithm.SHA_512_256)])
    return network


def over_tls(network: Network, name: str = "alice") -> Phone:
    return Phone(network, name, "198.51.100.10", "TLS")


def proved(phone: Phone, request: Request, values: str = LIST, *, hidden: str | None = None) -> Request:
    """The request with a digest that covers the list. ``hidden``: what Security-Verify shows instead of it."""
    header = "Authorization" if "Authorization" in request.headers else "Proxy-Authorization"
    credentials = parse_credentials(request.headers.get(header) or "", header)
    assert credentials is not None
    ha1 = make_ha1(phone.user, DOMAIN, phone.password, Algorithm.SHA_512_256)
    made = proof(credentials, ha1, request.method, [values], request.body)
    request.headers.set("Security-Verify", returned_list((hidden or values).split(", "), made))
    return request


@pytest.mark.rfc("3329", "2.3.1")
@pytest.mark.parametrize("method", ["OPTIONS", "INVITE", "REGISTER", "MESSAGE", "SUBSCRIBE"])
@pytest.mark.parametrize("fields", [ASKS, ASKS[:1], ASKS[1:]])
def test_any_request_opens_it(
    network: Network, alice: Phone, method: str, fields: tuple[tuple[str, str], ...]
) -> None:
    alice >> alice.ask(method, f"sip:{DOMAIN}", ("Security-Client", "tls, digest"), *fields) << 494
    headers = alice.response.headers
    assert headers.get("Security-Server") == LIST
    assert headers.get("Require") == "sec-agree"
    assert ("WWW-Authenticate" if method == "REGISTER" else "Proxy-Authenticate") in headers
    assert network.transactions == 0  # nothing is kept


@pytest.mark.rfc("3329", "2.3.1")
def test_the_list_does_not_depend_on_the_client(alice: Phone) -> None:
    for offered in ("ipsec-3gpp;alg=hmac-sha-1-96", "digest", "unheard-of"):
        alice >> alice.ask("OPTIONS", f"sip:{DOMAIN}", ("Security-Client", offered), *ASKS) << 494
        assert alice.response.headers.get("Security-Server") == LIST


@pytest.mark.rfc("3329", "2.3.1")
def test_what_was_agreed_ends_at_the_first_hop(network: Network, bob: Phone) -> None:
    alice = over_tls(network)
    more = (*ASKS, ("Require", "100rel"), ("Security-Client", "tls"), ("Security-Verify", LIST))
    alice >> alice.invite(BOB, *more) << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE"
    headers = bob.request.headers
    assert headers.all("Require") == ["100rel"]
    for name in ("Proxy-Require", "Security-Client", "Security-Verify", "Security-Server"):
        assert name not in headers
    assert bob.request.body == SDP


@pytest.mark.rfc("3329", "2.3.1")
@pytest.mark.parametrize(
    "returned",
    [
        "digest;q=0.1;d-alg=SHA-512-256;d-qop=auth",
        "tls;q=0.1, digest;q=0.2;d-alg=SHA-512-256;d-qop=auth",
        "digest;q=0.1;d-alg=SHA-512-256;d-qop=auth, tls;q=0.2",
        "tls;q=0.2, digest;q=0.1;d-alg=MD5;d-qop=auth",
        "tls;q=0.2, digest;q=0.1;d-alg=sha-512-256;d-qop=auth",
        "tls;q=0.20, digest;q=0.1;d-alg=SHA-512-256;d-qop=auth",
        LIST + ", ipsec-man;q=0.05",
        None,
    ],
)
def test_another_list_is_refused(network: Network, returned: str | None) -> None:
    alice = over_tls(network)
    alice >> alice.register() << 401 >> alice.authorized() << 200
    more = (("Security-Verify", returned),) if returned else ()
    alice >> alice.invite(BOB, *ASKS, *more) << 494
    assert alice.response.headers.get("Security-Server") == LIST
    assert network.driver.counts["agreements refused"] == 1


@pytest.mark.rfc("3329", "2.3.1")
@pytest.mark.parametrize(
    "lines",
    [
        [LIST],
        ["tls;q=0.2", "digest;q=0.1;d-alg=SHA-512-256;d-qop=auth"],
        ["TLS; q=0.2 ,  digest ;q=0.1; d-alg=SHA-512-256 ;d-qop=auth"],
    ],
)
def test_blanks_and_lines_make_no_difference(network: Network, lines: list[str]) -> None:
    alice = over_tls(network)
    alice >> alice.register() << 401 >> alice.authorized() << 200
    (
        alice
        >> alice.ask("OPTIONS", f"sip:{DOMAIN}", *ASKS, *(("Security-Verify", line) for line in lines))
        << 200
    )


@pytest.mark.rfc("3329", "2.2")
def test_digest_covers_the_list(network: Network, alice: Phone, bob: Phone) -> None:
    alice >> alice.invite(BOB, *ASKS) << 494 >> alice.ack()
    alice >> proved(alice, alice.authorized()) << 100
    bob << "INVITE" >> bob.answer(200)
    assert "Proxy-Authorization" not in bob.request.headers
    alice << 200
    alice.begin() >> alice.within("ACK")
    bob << "ACK"
    network_is_quiet(alice, bob)


@pytest.mark.rfc("3329", "5")
def test_a_stripped_list_is_caught(network: Network, alice: Phone) -> None:
    """Somebody took TLS off the list on the way, and the phone chose digest."""
    short = "digest;q=0.1;d-alg=SHA-512-256;d-qop=auth"
    first = alice.register(*ASKS)
    alice >> first << 494 >> proved(alice, alice.authorized(first), short) << 494
    assert "another list" in alice.response.reason
    # He puts the whole list into the way back: the digest is over the short one.
    alice >> proved(alice, alice.authorized(first), short, hidden=LIST) << 494
    assert "does not cover" in alice.response.reason
    # He leaves out the proof.
    again = alice.authorized(first)
    again.headers.set("Security-Verify", LIST)
    alice >> again << 494
    assert network.driver.counts["agreements refused"] == 3
    # Only the whole list, proved, is accepted.
    alice >> proved(alice, alice.authorized(first)) << 200


def test_a_wrong_password_proves_no_list(network: Network, alice: Phone) -> None:
    alice >> alice.register(*ASKS) << 494
    alice >> proved(alice, alice.authorized(password="guess")) << 401


@pytest.mark.rfc("3329", "2.3.2")
def test_it_may_be_required(network: Network, alice: Phone) -> None:
    network.policy.agreement = AgreementMode.REQUIRE
    alice >> alice.register() << 421
    assert alice.response.headers.get("Require") == "sec-agree"
    assert alice.response.headers.get("Security-Server") == LIST
    assert "WWW-Authenticate" in alice.response.headers
    alice >> alice.register(("Supported", "path, sec-agree")) << 494
    alice >> alice.register(*ASKS) << 494 >> proved(alice, alice.authorized()) << 200
    alice >> alice.invite(BOB) << 421


@pytest.mark.rfc("3329", "3")
def test_who_comes_by_tls_needs_none(network: Network) -> None:
    network.policy.agreement = AgreementMode.REQUIRE
    alice = over_tls(network)
    alice >> alice.register() << 401 >> alice.authorized() << 200


@pytest.mark.rfc("3329", "2.3.2")
def test_it_is_for_the_first_hop(network: Network, alice: Phone) -> None:
    request = alice.ask("OPTIONS", f"sip:{DOMAIN}", *ASKS)
    request.headers.add("Via", "SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKbefore")
    alice >> request << 502


@pytest.mark.rfc("3261", "20.29")
def test_without_it_the_option_is_unknown(network: Network, alice: Phone) -> None:
    network.policy.agreement = AgreementMode.OFF
    alice >> alice.ask("OPTIONS", f"sip:{DOMAIN}", ASKS[1]) << 420
    assert alice.response.headers.get("Unsupported") == "sec-agree"
