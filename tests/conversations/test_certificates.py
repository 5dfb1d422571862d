"""The certificate service (RFC 6072): a SUBSCRIBE, and the NOTIFY that brings the certificate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.message import Request
from ringfence.roles.directory import Directory, file_name
from tests.conversations.network import WALL, Network
from tests.conversations.phones import Phone
from tests.security.pki import Pair, issue

BOB = "sip:bob@example.org"
EVENT = [("Event", "certificate"), ("Accept", "application/pkix-cert"), ("Expires", "86400")]


def person(address: str, days: float = 30) -> Pair:
    return issue("somebody", names=[x509.UniformResourceIdentifier(address)], start=WALL - 86_400, days=days)


def put(directory: Path, name: str, pair: Pair) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_bytes(pair.pem or pair.certificate.public_bytes(Encoding.PEM))


@pytest.fixture
def directory(network: Network, tmp_path: Path) -> Iterator[Path]:
    network.services.directory = Directory(tmp_path / "users")
    yield tmp_path / "users"
    network.services.directory = None


@pytest.fixture
def alice(network: Network) -> Phone:
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    return alice


def ask(phone: Phone, uri: str = BOB) -> Request:
    return phone.ask("SUBSCRIBE", uri, *EVENT)


def told(phone: Phone) -> Request:
    """The NOTIFY, which may overtake nothing: the 200 comes first."""
    phone << 200
    assert phone.response.headers.get("Expires") == "0"
    assert phone.response.to.tag
    phone << "NOTIFY"
    notify = phone.request
    phone >> phone.answer(200)
    return notify


@pytest.mark.rfc("6072", "6.7")
def test_the_certificate_comes_in_a_notify(alice: Phone, directory: Path) -> None:
    bob = person(BOB)
    put(directory, "bob@example.org.pem", bob)
    alice >> ask(alice)
    notify = told(alice)
    assert notify.body == bob.certificate.public_bytes(Encoding.DER)
    headers = notify.headers
    assert headers.get("Content-Type") == "application/pkix-cert"
    assert headers.get("Content-Disposition") == "signal"
    assert headers.get("Event") == "certificate"
    assert (headers.get("Subscription-State") or "").startswith("terminated;reason=probation")
    assert str(notify.from_.uri) == BOB
    assert notify.to.tag


@pytest.mark.rfc("6072", "6.6")
@pytest.mark.parametrize("uri", [BOB, "sip:nobody@example.org", "sip:..%2fserver@example.org"])
def test_without_one_the_notify_is_empty_whoever_it_is(alice: Phone, directory: Path, uri: str) -> None:
    alice >> ask(alice, uri)
    notify = told(alice)
    assert notify.body == b""
    assert "Content-Type" not in notify.headers


@pytest.mark.parametrize(
    "pair", [person("sip:mallory@example.org"), person(BOB, days=0.5)], ids=["other", "expired"]
)
def test_one_that_is_not_good_is_not_told(alice: Phone, directory: Path, pair: Pair) -> None:
    put(directory, "bob@example.org.pem", pair)
    alice >> ask(alice)
    assert told(alice).body == b""


def test_one_that_was_taken_back_is_not_told_again(alice: Phone, directory: Path) -> None:
    put(directory, "bob@example.org.pem", person(BOB))
    alice >> ask(alice)
    assert told(alice).body
    (directory / "bob@example.org.pem").unlink()
    alice >> ask(alice)
    assert told(alice).body == b""


def test_a_stranger_may_ask_too(network: Network, directory: Path) -> None:
    put(directory, "bob@example.org.pem", person(BOB))
    carol = Phone(network, "carol", "203.0.113.9", "TLS", domain="example.net")
    carol >> ask(carol)
    assert told(carol).body


def test_other_events_and_other_domains_are_not_for_us(alice: Phone, bob: Phone, directory: Path) -> None:
    alice >> alice.ask("SUBSCRIBE", BOB, ("Event", "presence"))
    bob << "SUBSCRIBE"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("sip:Bob@Example.org", "bob@example.org.pem"),
        ("sip:../x@example.org", None),
        ("sip:.x@example.org", None),
        ("sip:@example.org", None),
        ("sip:x%2f@example.org", None),
    ],
)
def test_the_names_of_files(address: str, name: str | None) -> None:
    assert file_name(address) == name
