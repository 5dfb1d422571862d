"""What is read from the configuration and the ledger of our own node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringfence.audit.finding import Result, Verdict
from ringfence.cli.init import make_domain
from ringfence.service.config import Config
from ringfence.service.template import render
from tests.audit.probing import probe, site_of
from tests.audit.server import Server

PASS, WEAK, FAIL, UNSEEN = Result.PASS, Result.WEAK, Result.FAIL, Result.UNSEEN
FROM_CONFIG = (
    "nonce-lifetime",
    "ledger-verifies",
    "keys-private",
    "check-clean",
    "calls-signed",
    "calls-verified",
)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.open("UDP", "TCP")
    yield made
    await made.close()


def make(directory: Path, *, require_tls: bool = False) -> Config:
    """A domain as ``ringfence init`` makes it."""
    text = render("weak.example", host="localhost", advertise=["127.0.0.1"], require_tls=require_tls)
    make_domain(directory, ["weak.example"], f'{text}\n[metrics]\nlisten = ""\n', "admin")
    return Config.load(directory / "ringfence.toml")


async def found(server: Server, name: str, config: Config) -> Verdict:
    return (await probe(name, site_of(server, config=config))).verdict


@pytest.mark.parametrize("name", FROM_CONFIG)
async def test_without_a_configuration_it_is_not_seen(server: Server, name: str) -> None:
    assert (await probe(name, site_of(server))).verdict.result is UNSEEN


@pytest.mark.parametrize(
    ("name", "section", "changes", "expected"),
    [
        ("nonce-lifetime", "security", {}, PASS),
        ("nonce-lifetime", "security", {"nonce_lifetime_seconds": 7200.0}, WEAK),
        ("calls-verified", "identity", {}, PASS),
        ("calls-verified", "identity", {"verify": "off"}, FAIL),
        ("calls-signed", "identity", {}, WEAK),
        ("calls-signed", "identity", {"sign": True, "url": "https://weak.example/identity.pem"}, PASS),
        ("burst", "guard", {}, PASS),
        ("burst", "guard", {"enabled": False}, WEAK),
    ],
)
async def test_a_setting_is_judged(
    server: Server, tmp_path: Path, name: str, section: str, changes: dict[str, object], expected: Result
) -> None:
    server.weak.add("unlimited")
    config = await asyncio.to_thread(make, tmp_path)
    changed = getattr(config, section).model_copy(update=changes)
    verdict = await found(server, name, config.model_copy(update={section: changed}))
    assert verdict.result is expected, verdict


async def test_a_key_that_others_can_read_is_found(server: Server, tmp_path: Path) -> None:
    config = await asyncio.to_thread(make, tmp_path)
    assert (await found(server, "keys-private", config)).result is PASS
    config.ledger_key.chmod(0o644)
    verdict = await found(server, "keys-private", config)
    assert (verdict.result, "ledger.key" in verdict.detail) == (FAIL, True)


async def test_what_check_remarks_on_is_told(server: Server, tmp_path: Path) -> None:
    clean = await asyncio.to_thread(make, tmp_path / "a", require_tls=True)
    assert (await found(server, "check-clean", clean)).result is PASS
    config = await asyncio.to_thread(make, tmp_path / "b")
    assert (await found(server, "check-clean", config)).result is WEAK
    config.node.data_dir.chmod(0o777)
    assert (await found(server, "check-clean", config)).result is FAIL
