"""What is found of TLS: certificates, versions, ciphers, and whether the other side may prove itself."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ringfence.audit.finding import Result, Verdict
from ringfence.audit.hello import ANY, MODERN, TLS12, TLS13, client_hello, offer, read_flight
from ringfence.engine.places import Endpoint
from ringfence.transport.contexts import Contexts
from tests.audit.probing import probe, site_of, tls
from tests.audit.server import DOMAIN, Server

PASS, WEAK, FAIL, UNSEEN = Result.PASS, Result.WEAK, Result.FAIL, Result.UNSEEN
Ask = Callable[..., Awaitable[Verdict]]
DAY = 86_400.0


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Ask a probe of a server with these contexts."""
    servers = []

    async def one(
        name: str, contexts: Contexts, root: Path, transports: tuple[str, ...] = ("TLS",)
    ) -> Verdict:
        server = Server(contexts=contexts)
        await server.open(*transports)
        servers.append(server)
        return (await probe(name, site_of(server, trust=(root,)))).verdict

    yield one
    for server in servers:
        await server.close()


def server_of(contexts: Contexts) -> ssl.SSLContext:
    assert contexts.server is not None
    return contexts.server


ALL = (
    "certificate-name",
    "certificate-chain",
    "certificate-lifetime",
    "certificate-key",
    "client-certificates",
    "tls-versions",
    "tls-ciphers",
    "tls-offered",
    "plaintext-ports",
)


@pytest.mark.parametrize("name", ALL)
async def test_a_good_server_passes(ask: Ask, tmp_path: Path, name: str) -> None:
    verdict = await ask(name, *tls(tmp_path))
    assert verdict.result is PASS, verdict


@pytest.mark.rfc("5922", "7.2")
async def test_a_certificate_for_another_domain_is_found(ask: Ask, tmp_path: Path) -> None:
    verdict = await ask("certificate-name", *tls(tmp_path, "other.example"))
    assert verdict.result is FAIL
    assert "other.example" in verdict.detail


async def test_an_unknown_root_is_found(ask: Ask, tmp_path: Path) -> None:
    contexts, _ = tls(tmp_path / "one")
    _, root = tls(tmp_path / "other")
    assert (await ask("certificate-chain", contexts, root)).result is FAIL


@pytest.mark.parametrize(
    ("lifetime", "age", "expected"),
    [(DAY, 10 * DAY, FAIL), (90 * DAY, 80 * DAY, WEAK), (2000 * DAY, 0.0, WEAK)],
)
async def test_a_lifetime_that_is_over_or_nearly_or_too_long_is_found(
    ask: Ask, tmp_path: Path, lifetime: float, age: float, expected: Result
) -> None:
    verdict = await ask("certificate-lifetime", *tls(tmp_path, lifetime=lifetime, age=age))
    assert verdict.result is expected, verdict


async def test_a_short_key_is_found(ask: Ask, tmp_path: Path) -> None:
    verdict = await ask("certificate-key", *tls(tmp_path, weak_key=True))
    assert verdict.result is FAIL, verdict


@pytest.mark.parametrize(("asking", "expected"), [("optional", PASS), ("none", WEAK)])
async def test_it_is_seen_whether_clients_are_asked_for_a_certificate(
    ask: Ask, tmp_path: Path, asking: str, expected: Result
) -> None:
    assert (await ask("client-certificates", *tls(tmp_path, ask=asking))).result is expected


@pytest.mark.rfc("8996", "4")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_an_old_version_is_found(ask: Ask, tmp_path: Path, version: ssl.TLSVersion) -> None:
    contexts, root = tls(tmp_path)
    context = server_of(contexts)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = version
    verdict = await ask("tls-versions", contexts, root)
    assert verdict.result is FAIL
    assert "TLS 1.1" in verdict.detail


async def test_a_server_without_tls_1_3_is_weak(ask: Ask, tmp_path: Path) -> None:
    contexts, root = tls(tmp_path)
    server_of(contexts).maximum_version = ssl.TLSVersion.TLSv1_2
    assert (await ask("tls-versions", contexts, root)).result is WEAK


@pytest.mark.parametrize(
    ("ciphers", "expected"),
    [("eNULL:@SECLEVEL=0", FAIL), ("aNULL:@SECLEVEL=0", FAIL), ("ECDHE+AES128:!AESGCM:@SECLEVEL=0", WEAK)],
)
async def test_a_weak_cipher_is_found(ask: Ask, tmp_path: Path, ciphers: str, expected: Result) -> None:
    contexts, root = tls(tmp_path)
    context = server_of(contexts)
    context.set_ciphers(ciphers)
    verdict = await ask("tls-ciphers", contexts, root)
    assert verdict.result is expected, verdict


async def test_plaintext_beside_tls_is_weak(ask: Ask, tmp_path: Path) -> None:
    contexts, root = tls(tmp_path)
    assert (await ask("plaintext-ports", contexts, root, ("TLS", "UDP"))).result is WEAK


async def test_what_a_server_chooses_is_read(tmp_path: Path) -> None:
    contexts, _ = tls(tmp_path)
    server = Server(contexts=contexts)
    await server.open("TLS")
    try:
        where = Endpoint(*server.places[0][1])
        new = await offer(where, TLS13, MODERN, DOMAIN, 2)
        old = await offer(where, TLS12, ANY, DOMAIN, 2)
        none = await offer(where, TLS12, (0x0004,), DOMAIN, 2)
    finally:
        await server.close()
    assert (new.version, new.cipher in MODERN) == (TLS13, True)
    assert (old.version, old.asks_certificate) == (TLS12, True)
    assert (none.version, none.alert) == (0, 40)  # handshake_failure


def test_a_flight_in_pieces_gives_nothing_before_it_is_whole() -> None:
    hello = bytes.fromhex("0303") + bytes(32) + b"\x00" + bytes.fromhex("c02f00")
    message = b"\x02" + len(hello).to_bytes(3, "big") + hello
    record = b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message
    for length in range(len(record)):
        assert read_flight(record[:length]).version == 0
    assert read_flight(record).cipher == 0xC02F


def test_a_hello_names_the_server_but_no_address() -> None:
    assert b"sip.example.org" in client_hello(TLS12, ANY, "sip.example.org")
    assert b"192.0.2.1" not in client_hello(TLS12, ANY, "192.0.2.1")
