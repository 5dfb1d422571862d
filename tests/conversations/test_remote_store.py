"""The same conversations where the records are across a network, so that every step may have to wait for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ringfence.store.errors import StoreBusy, StoreError
from tests.conversations.network import Network, Waiting
from tests.conversations.phones import Phone, network_is_quiet
from tests.conversations.test_gruu import gruus, register

READS = frozenset({"find", "by_aor", "by_alias", "lookup", "by_flow", "by_temporary_gruu"})


class Remote:
    """Records whose reads are awaited; while it is ``slow`` they wait until the test lets them go."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.slow = False

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._records, name)
        return self._later(method) if name in READS else method

    def _later(self, method: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        async def read(*arguments: object) -> Any:
            if self.slow:
                await Waiting()
            return method(*arguments)

        return read


@pytest.fixture
def network() -> Network:
    network = Network()
    network.account("alice")
    network.account("bob", aliases=("sip:sales@example.org",))
    network.services.accounts = Remote(network.store.accounts)
    network.services.bindings = Remote(network.store.bindings)
    return network


def test_a_call(network: Network, alice: Phone, bob: Phone) -> None:
    alice >> alice.invite("sip:bob@example.org") << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(180) >> bob.answer(200)
    alice << 180 << 200
    alice.begin()
    alice >> alice.within("ACK") >> alice.within("BYE")
    bob << "ACK" << "BYE" >> bob.answer(200)
    alice << 200
    network_is_quiet(alice, bob)


def test_credentials(network: Network, alice: Phone, bob: Phone) -> None:
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized(password="wrong") << 407
    request = alice.authorized()
    request.headers.prepend(
        "Proxy-Authorization", alice.authorized(user="nobody").headers.get("Proxy-Authorization")
    )
    alice >> request
    bob << "MESSAGE"


def test_addresses(network: Network, alice: Phone, bob: Phone) -> None:
    for uri in ("sip:bob@example.org", "sip:sales@example.org"):
        alice >> alice.ask("MESSAGE", uri) << 407 >> alice.authorized()
        bob << "MESSAGE" >> bob.answer(200)
        alice << 200
    for uri, status in (("sip:alice@example.org", 480), ("sip:nobody@example.org", 404)):
        alice >> alice.ask("MESSAGE", uri) << 407 >> alice.authorized() << status


def test_registrations_are_told(network: Network, bob: Phone) -> None:
    bob >> bob.register(contact="", cseq=20) << 401 >> bob.authorized() << 200
    assert len(bob.response.headers.all("Contact")) == 1


def test_a_flow_stays_bound_as_long_as_its_account(network: Network, bob: Phone) -> None:
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    alice >> alice.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"
    network.account("alice", disabled=True)
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized() << 403


def test_gruus(network: Network) -> None:
    phone = Phone(network, "alice", "198.51.100.10", "TLS")
    dan = Phone(network, "dan", "203.0.113.9", domain="example.net")
    for gruu in gruus(register(phone)):
        dan >> dan.ask("MESSAGE", gruu)
        phone << "MESSAGE"


@pytest.mark.rfc("5626", "7")
def test_a_flow_that_ends_takes_its_registrations_along(network: Network) -> None:
    phone = Phone(network, "alice", "198.51.100.10", "TLS")
    register(phone, reg_id=1)
    phone.wire.close("gone")
    network.settle()
    assert network.store.bindings.lookup("sip:alice@example.org", 0) == ()


@pytest.mark.rfc("3261", "9.2")
def test_a_cancel_while_the_records_are_asked(network: Network, alice: Phone, bob: Phone) -> None:
    alice >> alice.invite("sip:bob@example.org") << 407 >> alice.ack()
    network.services.bindings.slow = True  # type: ignore[attr-defined]
    alice >> alice.authorized() << 100 >> alice.cancel() << 200 << 487 >> alice.ack()
    network.answer_names()
    network_is_quiet(alice, bob)


@pytest.mark.rfc("3261", "10.3")
def test_a_binding_that_cannot_be_stored_is_not_acknowledged(network: Network, alice: Phone) -> None:
    alice >> alice.register() << 401
    for error, status in ((StoreError("disk full: /var/lib"), 500), (StoreBusy("queue full"), 503)):

        async def change(*_: object, error: StoreError = error) -> None:
            raise error

        network.services.bindings.change = change  # type: ignore[assignment, method-assign]
        alice >> alice.authorized(count=status) << status
        assert "Retry-After" in alice.response.headers
        assert "full" not in alice.response.reason
        alice.last = _challenge(network, alice)


def _challenge(network: Network, alice: Phone) -> Any:
    alice >> alice.register(cseq=50) << 401
    return alice.last
