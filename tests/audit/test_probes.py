"""Every probe against a server that is weak in one way, and against the same server without that weakness."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ringfence.audit.finding import Result
from ringfence.transport.limits import Limits
from tests.audit.probing import PROBES, probe, site_of, tls
from tests.audit.server import IMPATIENT, Server

PASS, WEAK, FAIL, UNSEEN = Result.PASS, Result.WEAK, Result.FAIL, Result.UNSEEN
Start = Callable[..., Awaitable[Server]]

SWITCHES: list[tuple[str, str, Result]] = [
    ("register-challenged", "open", FAIL),
    ("wrong-password", "unchecked", FAIL),
    ("digest-algorithms", "md5", FAIL),
    ("digest-algorithms", "md5-too", WEAK),
    ("digest-qop", "no-qop", FAIL),
    ("nonce-fresh", "constant", FAIL),
    ("nonce-fresh", "counter", WEAK),
    ("nonce-replay", "replay", FAIL),
    ("nonce-elsewhere", "any-source", WEAK),
    ("nonce-invented", "any-nonce", FAIL),
    ("nonce-invented", "no-stale", WEAK),
    ("stale-honest", "stale", WEAK),
    ("digest-uri", "any-uri", FAIL),
    ("false-signature", "strangers", WEAK),
    ("false-signature", "strangers asserted", FAIL),
    ("false-signature", "verified", FAIL),
    ("anonymous-call", "named-only", FAIL),
    ("privacy-id", "privacy-id", FAIL),
    ("privacy-header", "headers", WEAK),
    ("privacy-user", "privacy-user", WEAK),
    ("privacy-critical", "critical headers", FAIL),
    ("calls-proved", "open", FAIL),
    ("messages-proved", "open", FAIL),
    ("others-proved", "open", FAIL),
    ("options-proved", "open", FAIL),
    ("register-open", "open-bind", FAIL),
    ("register-empty", "open-bind", FAIL),
    ("register-other", "other", FAIL),
    ("register-abroad", "abroad open", FAIL),
    ("dialog-invented", "dialog", FAIL),
    ("record-route", "no-record", FAIL),
    ("charging-fields", "charging", WEAK),
    ("forged-end", "forged-end open", FAIL),
    ("digest-body", "no-int", WEAK),
    ("unchanged", "changes", FAIL),
    ("agreement-known", "no-agreement", FAIL),
    ("agreement-known", "agreement-refused", WEAK),
    ("agreement-downgrade", "downgrade", FAIL),
    ("unknown-required", "unknown open", FAIL),
    ("plaintext-ports", "", FAIL),
    ("tls-offered", "", FAIL),
    ("sips-contact", "sips-contact", FAIL),
    ("sips-arrival", "sips-arrival", WEAK),
    ("sips-delivery", "sips-downgrade sips-arrival", FAIL),
    ("software-named", "version", WEAK),
    ("inner-addresses", "inner", WEAK),
    ("users-told", "enumerates", FAIL),
    ("presence-open", "presence", FAIL),
    ("contacts-told", "redirects", FAIL),
    ("topology", "topology", WEAK),
    ("credentials-stay", "credentials", FAIL),
    ("users-timed", "timed guesses", FAIL),
    ("relay-uri", "relay-uri", FAIL),
    ("relay-uri", "relay-tried", WEAK),
    ("relay-route", "relay-route", FAIL),
    ("relay-dialog", "relay-dialog", FAIL),
    ("forged-from", "forged", FAIL),
    ("asserted-outside", "asserted", FAIL),
    ("strangers-marked", "strangers", WEAK),
    ("redirect-followed", "recursion", WEAK),
    ("refer-stranger", "refer-acts", FAIL),
    ("challenge-once", "repeat", WEAK),
    ("max-forwards", "hops", FAIL),
    ("loops", "loop", WEAK),
    ("max-breadth", "breadth", WEAK),
    ("amplification", "amplify", FAIL),
    ("malformed", "crash", FAIL),
    ("malformed", "lenient", WEAK),
    ("burst", "unlimited", WEAK),
    ("guesses", "guesses", WEAK),
]
"""A probe, the switches that are on, and what it has to find."""

GOOD_WITH = {
    "users-timed": "guesses",
    "strangers-marked": "stranger-marked",
    "false-signature": "stranger-marked",
}
"""What a probe has to pass with, where without any switch it would see something else."""

NEED_TLS = {"plaintext-ports", "tls-offered"}
"""Those that pass only where there is TLS: see ``test_tls``."""


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    servers = []

    async def make(
        *weak: str, transports: tuple[str, ...] = ("UDP", "TCP"), limits: Limits = IMPATIENT, **more: object
    ) -> Server:
        server = Server(*weak, limits=limits, **more)  # type: ignore[arg-type]
        await server.open(*transports)
        servers.append(server)
        return server

    yield make
    for server in servers:
        await server.close()


@pytest.mark.parametrize(
    ("name", "switches", "expected"), SWITCHES, ids=lambda value: str(value).replace(" ", "+")
)
async def test_a_weakness_is_found(start: Start, name: str, switches: str, expected: Result) -> None:
    finding = await probe(name, site_of(await start(*switches.split())))
    assert finding.verdict.result is expected, finding.verdict


@pytest.mark.parametrize("name", sorted({name for name, *_ in SWITCHES} - NEED_TLS))
async def test_without_the_weakness_it_passes(start: Start, name: str) -> None:
    finding = await probe(name, site_of(await start(*GOOD_WITH.get(name, "").split())))
    assert finding.verdict.result is PASS, finding.verdict


async def test_slow_connections_are_closed_or_not(start: Start) -> None:
    good = await probe("slow-streams", site_of(await start()))
    assert good.verdict.result is PASS, good.verdict
    slow = await probe("slow-streams", site_of(await start(limits=Limits(sweep_time=0.1, close_time=0.1))))
    assert slow.verdict.result is WEAK, slow.verdict


async def test_a_message_without_end_is_cut_off_or_not(start: Start) -> None:
    good = await probe("oversize", site_of(await start()))
    assert good.verdict.result is PASS, good.verdict
    endless = Limits(body=1_000_000_000, close_time=0.1)
    assert (await probe("oversize", site_of(await start(limits=endless)))).verdict.result is WEAK


async def test_idle_connections_keep_nobody_out_or_do(start: Start) -> None:
    good = await probe("idle-connections", site_of(await start()))
    assert good.verdict.result is PASS, good.verdict
    few = Limits(connections=30, close_time=0.1)
    found = await probe("idle-connections", site_of(await start(limits=few)))
    assert found.verdict.result is FAIL, found.verdict


async def test_a_server_that_answers_serves_on(start: Start) -> None:
    assert (await probe("serves-on", site_of(await start()))).verdict.result is PASS


async def test_browsers_need_a_secure_port(start: Start, tmp_path: Path) -> None:
    only_ws = await probe("browsers", site_of(await start(transports=("UDP", "WS"))))
    assert only_ws.verdict.result is FAIL
    contexts, root = tls(tmp_path)
    both = await start(transports=("WS", "WSS"), contexts=contexts)
    assert (await probe("browsers", site_of(both, trust=(root,)))).verdict.result is PASS
    assert (await probe("browsers", site_of(await start()))).verdict.result is UNSEEN


def test_each_probe_has_a_test_that_makes_it_say_two_things() -> None:
    elsewhere = {"slow-streams", "oversize", "idle-connections", "serves-on", "browsers"}
    with_tls = {
        "certificate-name",
        "certificate-chain",
        "certificate-lifetime",
        "certificate-key",
        "client-certificates",
    }
    with_tls |= {"tls-versions", "tls-ciphers"}
    with_config = {"nonce-lifetime", "call-recorded", "ledger-verifies", "keys-private", "check-clean"}
    with_config |= {"calls-signed", "calls-verified"}
    assert {name for name, *_ in SWITCHES} | elsewhere | with_tls | with_config == set(PROBES)
