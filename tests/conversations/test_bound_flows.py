"""A TLS flow that has authenticated is its user's while it lives (and no other flow is)."""

from __future__ import annotations

import pytest

from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


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
    from ringfence.store.records import Rights

    network.account("alice", rights=Rights(deny=("sip:bob@",)))
    secure >> secure.ask("MESSAGE", bob.aor) << 403


def test_credentials_on_a_bound_flow_are_not_looked_at(network: Network, secure: Phone, bob: Phone) -> None:
    old = 'Digest username="alice", realm="example.org", nonce="old", uri="sip:bob@example.org", response="0"'
    secure >> secure.ask("MESSAGE", bob.aor, ("Proxy-Authorization", old))
    bob << "MESSAGE"
    assert "Proxy-Authorization" not in bob.request.headers
    network_is_quiet(secure)
