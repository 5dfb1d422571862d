"""A TLS flow that has authenticated is its user's while it lives (and no other flow is)."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.store.records import Rights
from ringfence.transport.flow import PeerCertificate
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet
from tests.security.pki import Pair, issue


@pytest.fixture
def secure(network: Network) -> Phone:
    """Alice's phone on TLS, registered."""
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    return alice


def test_a_tls_flow_is_challenged_once(secure: Phone, bob: Phone) -> None:
    secure >> secure.invite(bob.aor) << 100
    bob << "INVITE"
    secure >> secure.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"
    secure >> secure.register(cseq=50) << 200


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_flow_without_tls_proves_nothing(network: Network, bob: Phone, transport: str) -> None:
    alice = Phone(network, "alice", "198.51.100.10", transport)
    alice >> alice.register() << 401 >> alice.authorized() << 200
    alice >> alice.ask("MESSAGE", bob.aor) << 407


def test_another_flow_of_the_same_phone_is_challenged(network: Network, secure: Phone, bob: Phone) -> None:
    again = Phone(network, "alice", "198.51.100.10", "TLS")
    again >> again.ask("MESSAGE", bob.aor) << 407


def test_a_bound_flow_speaks_only_for_its_user(network: Network, secure: Phone, bob: Phone) -> None:
    secure >> secure.ask("MESSAGE", bob.aor, from_="<sip:carol@example.org>") << 407
    secure >> secure.authorized() << 403
    secure >> secure.ask("MESSAGE", bob.aor, from_="Anonymous <sip:anonymous@anonymous.invalid>")
    bob << "MESSAGE"


def test_two_accounts_on_one_flow(network: Network, secure: Phone, bob: Phone) -> None:
    network.account("carol")
    other = secure.register(to="<sip:carol@example.org>", from_="<sip:carol@example.org>", call_id="carol")
    secure >> other << 401 >> secure.authorized(user="carol") << 200
    secure >> secure.ask("MESSAGE", bob.aor, from_="<sip:carol@example.org>")
    bob << "MESSAGE"
    secure >> secure.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"


def test_disabling_the_account_ends_it(network: Network, secure: Phone, bob: Phone) -> None:
    network.account("alice", disabled=True)
    secure >> secure.ask("MESSAGE", bob.aor) << 407
    secure >> secure.authorized() << 403


def test_removing_the_account_ends_it(network: Network, secure: Phone, bob: Phone) -> None:
    network.store.accounts.drop("sip:alice@example.org")
    secure >> secure.ask("MESSAGE", bob.aor) << 407


def test_a_change_of_rights_takes_effect_at_once(network: Network, secure: Phone, bob: Phone) -> None:
    network.account("alice", rights=Rights(deny=("sip:bob@",)))
    secure >> secure.ask("MESSAGE", bob.aor) << 403


def test_credentials_on_a_bound_flow_are_not_looked_at(network: Network, secure: Phone, bob: Phone) -> None:
    old = 'Digest username="alice", realm="example.org", nonce="old", uri="sip:bob@example.org", response="0"'
    secure >> secure.ask("MESSAGE", bob.aor, ("Proxy-Authorization", old))
    bob << "MESSAGE"
    assert "Proxy-Authorization" not in bob.request.headers
    network_is_quiet(secure)


# -- certificates of users -----------------------------------------------------------------------------

OURS, OTHERS = issue("Our authority", ca=True), issue("Another authority", ca=True)


def certificate(user: str, authority: Pair = OURS, *, verified: bool = True) -> PeerCertificate:
    """What the phone of a user of our domain shows."""
    names = [x509.UniformResourceIdentifier(f"sip:{user}@example.org")]
    leaf, root = (
        pair.certificate.public_bytes(Encoding.DER)
        for pair in (issue(user, authority, names=names), authority)
    )
    return PeerCertificate(leaf, verified, (leaf, root))


@pytest.fixture
def certified(network: Network) -> Network:
    network.policy.user_authorities = frozenset({OURS.certificate.public_bytes(Encoding.DER)})
    return network


@pytest.mark.rfc("3261", "26.3.2.1")
def test_a_user_certificate_is_as_good_as_a_password(certified: Network, bob: Phone) -> None:
    alice = Phone(certified, "alice", "198.51.100.10", "TLS", peer=certificate("alice"))
    alice >> alice.register() << 200
    alice >> alice.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"
    alice >> alice.ask("MESSAGE", bob.aor, from_="<sip:bob@example.org>") << 407
    alice >> alice.register(to="<sip:bob@example.org>", call_id="b", from_="<sip:bob@example.org>") << 401


@pytest.mark.parametrize(
    "shown",
    [
        certificate("alice", OTHERS),
        certificate("alice", verified=False),
        certificate("nobody"),
        PeerCertificate(b"not a certificate", True, (b"", OURS.certificate.public_bytes(Encoding.DER))),
    ],
    ids=["another authority", "not verified", "no such account", "unreadable"],
)
def test_other_certificates_prove_nothing(certified: Network, bob: Phone, shown: PeerCertificate) -> None:
    alice = Phone(certified, "alice", "198.51.100.10", "TLS", peer=shown)
    alice >> alice.ask("MESSAGE", bob.aor) << 407


def test_a_certificate_of_a_disabled_account_proves_nothing(certified: Network, bob: Phone) -> None:
    certified.account("alice", disabled=True)
    alice = Phone(certified, "alice", "198.51.100.10", "TLS", peer=certificate("alice"))
    alice >> alice.ask("MESSAGE", bob.aor) << 407
