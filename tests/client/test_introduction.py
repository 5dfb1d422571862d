"""The certificate of somebody who is not there, from the service of the domain (RFC 6072)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringfence.client import UserAgent
from ringfence.client.introduction import ask_domain
from ringfence.message import LocalError, sip_uri
from ringfence.security.pem import chain_pem
from tests.client.keys import person, smime
from tests.client.node import Node, serving
from tests.security.pki import Pair

BOB = "sip:bob@example.org"
URI = sip_uri(BOB)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    (tmp_path / "node").mkdir()
    async with serving(tmp_path / "node") as node:
        yield node


def publish(tmp_path: Path, pair: Pair) -> None:
    users = tmp_path / "node" / "tls" / "users"
    users.mkdir(parents=True, exist_ok=True)
    (users / "bob@example.org.pem").write_bytes(chain_pem([pair.certificate]))


def agent(node: Node, tmp_path: Path, transport: str = "tls") -> UserAgent:
    return node.agent("alice", transport, smime=smime(tmp_path / "alice", person("sip:alice@example.org")))


@pytest.mark.rfc("6072", "6.8")
async def test_who_is_not_there_can_be_encrypted_to(node: Node, tmp_path: Path) -> None:
    bob = person(BOB)
    publish(tmp_path, bob)
    async with agent(node, tmp_path) as alice:
        assert await ask_domain(alice.desk, URI)
        assert alice.certificates.recipients(URI, bob.certificate.not_valid_before_utc.timestamp() + 1) == [
            bob.certificate
        ]
        assert not alice.desk.subscriptions


async def test_nobody_has_one(node: Node, tmp_path: Path) -> None:
    async with agent(node, tmp_path) as alice:
        assert not await ask_domain(alice.desk, URI)


async def test_without_tls_an_authority_has_to_stand_behind_it(node: Node, tmp_path: Path) -> None:
    publish(tmp_path, person(BOB))
    async with agent(node, tmp_path, "tcp") as alice:
        assert not await ask_domain(alice.desk, URI)


async def test_another_one_than_before_is_told(node: Node, tmp_path: Path) -> None:
    publish(tmp_path, person(BOB))
    async with agent(node, tmp_path) as alice:
        assert await ask_domain(alice.desk, URI)
        publish(tmp_path, person(BOB))
        with pytest.raises(LocalError, match="another certificate than before"):
            await ask_domain(alice.desk, URI)
