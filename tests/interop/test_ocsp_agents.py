"""Agents whose certificates ``openssl ocsp`` tells of: what a signature is worth whose certificate was taken back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from ringfence.client import CallError, Evidence, UserAgent
from ringfence.message import LocalError
from ringfence.security.pem import chain_pem
from ringfence.transport.inquiry import Revocation
from tests.client.conftest import phones, stranger
from tests.client.keys import START, authority, smime
from tests.client.phones import Phones, address, event
from tests.interop.processes import HOST, free_port
from tests.interop.test_ocsp import responder
from tests.security.pki import Pair, issue

__all__ = ["phones", "stranger"]  # fixtures

pytestmark = pytest.mark.interop("openssl")

ALICE, BOB = "sip:alice@127.0.0.1", "sip:bob@127.0.0.1"


class People:
    """Alice and Bob, whose certificates name a responder."""

    def __init__(self, phones: Phones, directory: Path) -> None:
        self._phones, self.directory = phones, directory
        self.port = free_port()
        self.root = authority(directory)
        self.alice, self.bob = self.named(ALICE), self.named(BOB)

    def named(self, who: str) -> Pair:
        place = x509.UniformResourceIdentifier(f"http://{HOST}:{self.port}/")
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
        names = [x509.UniformResourceIdentifier(who)]
        return issue(
            who, self.root, names=names, extra=[x509.AuthorityInformationAccess([access])], start=START
        )

    async def agent(self, pair: Pair, revocation: Revocation = Revocation.TRY, **more: Any) -> UserAgent:
        name = "alice" if pair is self.alice else "bob"
        settings = smime(self.directory / name, pair, trust=self.directory / "people.pem")
        settings = replace(settings, revocation=revocation, fetch_from=("127.0.0.0/8",))
        return await self._phones(name, transport="TCP", smime=settings, **more)

    @contextmanager
    def answering(self, alice: str = "V", bob: str = "V") -> Iterator[None]:
        listed = (self.alice, alice), (self.bob, bob)
        with responder(self.directory, self.root, self.port, *listed, authority=self.root):
            yield


@pytest.fixture
def people(phones: Phones, tmp_path: Path) -> People:
    return People(phones, tmp_path)


@pytest.mark.rfc("8550", "4.2")
@pytest.mark.parametrize(
    ("status", "evidence"), [("V", Evidence.SIGNED), ("R", Evidence.CLAIMED)], ids=["good", "revoked"]
)
async def test_a_signed_text(people: People, status: str, evidence: Evidence) -> None:
    with people.answering(alice=status):
        alice, bob = await people.agent(people.alice), await people.agent(people.bob)
        for _ in range(2):  # what was learnt holds on
            await alice.send_text(address(bob), "hello", sign=True)
            text = await anext(bob.texts())
            assert text.text == "hello"
            assert text.peer.evidence is evidence
            assert text.peer.protection is not None
            told = [each for each in text.peer.protection.warnings if "revoked" in each]
            assert bool(told) == (status == "R"), text.peer.protection.warnings


async def test_the_answer_to_a_call(people: People) -> None:
    with people.answering(bob="R"):
        alice, bob = await people.agent(people.alice), await people.agent(people.bob)
        call = await alice.call(address(bob), sign=True)
        ringing = await anext(bob.incoming())
        assert ringing.peer.evidence is Evidence.SIGNED
        await ringing.answer()
        await call.answered
        assert call.peer.evidence is Evidence.CALLED
        warning = await event(call, "warning")
        assert "has been revoked" in str(warning.facts["reason"])


async def test_nothing_is_encrypted_to_a_certificate_that_was_taken_back(people: People) -> None:
    known = people.directory / "alice" / "others"
    known.mkdir(parents=True)
    (known / "bob.pem").write_bytes(chain_pem([people.bob.certificate]))
    with people.answering(bob="R"):
        alice, bob = await people.agent(people.alice), await people.agent(people.bob)
        with pytest.raises(LocalError, match="no certificate"):
            await alice.send_text(address(bob), "for your eyes", encrypt=True)


@pytest.mark.parametrize(
    ("revocation", "evidence"),
    [
        (Revocation.TRY, Evidence.SIGNED),
        (Revocation.REQUIRE, Evidence.CLAIMED),
    ],
)
async def test_nobody_answers(people: People, revocation: Revocation, evidence: Evidence) -> None:
    alice, bob = await people.agent(people.alice), await people.agent(people.bob, revocation)
    await alice.send_text(address(bob), "hello", sign=True)
    assert (await anext(bob.texts())).peer.evidence is evidence


async def test_who_does_not_want_to_know_asks_nobody(people: People) -> None:
    with people.answering(alice="R"):
        alice, bob = await people.agent(people.alice), await people.agent(people.bob, Revocation.OFF)
        await alice.send_text(address(bob), "hello", sign=True)
        assert (await anext(bob.texts())).peer.evidence is Evidence.SIGNED


async def test_a_caller_who_gives_up_while_it_is_asked(people: People) -> None:
    """The call never rings, and its INVITE is answered."""
    asked = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.sleep(20)
        writer.close()

    server = await asyncio.start_server(silent, HOST, people.port)
    try:
        alice, bob = await people.agent(people.alice), await people.agent(people.bob)
        call = await alice.call(address(bob), sign=True)
        async with asyncio.timeout(5):
            await asked.wait()
        began = time.monotonic()
        await call.hang_up()
        with pytest.raises(CallError) as ended:
            await call.answered
        assert ended.value.status == 487
        assert time.monotonic() - began < 3
        assert len(bob.desk.live) == 0
    finally:
        server.close()
