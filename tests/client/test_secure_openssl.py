"""What an agent sends is read by ``openssl cms``, and what that makes is read by an agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringfence.client import Evidence
from ringfence.message import Message, parse
from ringfence.message.multipart import split_entity
from ringfence.security.smime import body_of
from tests.client.keys import person
from tests.client.phones import Phones
from tests.client.test_secure import ALICE, BOB, World, sent, soon
from tests.security import openssl
from tests.security.pki import Pair

pytestmark = openssl.interop


@pytest.fixture
async def world(phones: Phones, tmp_path: Path) -> AsyncIterator[World]:
    made = World(phones, tmp_path)
    yield made
    await made.middle.close()


@pytest.fixture
def people(world: World) -> tuple[Pair, Pair]:
    """Alice and Bob, by the authority of their world."""
    return person(ALICE, world.root), person(BOB, world.root)


async def test_openssl_verifies_a_signed_call(
    world: World, people: tuple[Pair, Pair], tmp_path: Path
) -> None:
    alice, bob = await world.both(*people)
    await alice.call(BOB, sign=True, tunnel=True)
    await soon(anext(bob.incoming()))
    invite = sent(world, "INVITE")
    copy, signature = body_of(invite).parts()
    content = openssl.write(tmp_path, "content", copy.raw)
    der = openssl.write(tmp_path, "signature.der", signature.content())
    usual = ("cms", "-verify", "-binary", "-inform", "DER", "-in", der, "-purpose", "any")
    done = openssl.run(*usual, "-content", content, "-CAfile", tmp_path / "people.pem")
    assert done == copy.raw
    inner = parse(split_entity(done).body)
    assert inner.headers.get("Call-ID") == invite.headers.get("Call-ID")
    assert b"m=audio" in inner.body
    openssl.write(tmp_path, "content", copy.raw.replace(b"m=audio", b"m=video"))
    openssl.run(*usual, "-content", content, "-CAfile", tmp_path / "people.pem", ok=False)


async def test_openssl_decrypts_a_text(world: World, people: tuple[Pair, Pair], tmp_path: Path) -> None:
    alice, bob = await world.both(*people)
    await alice.send_text(BOB, "for Bob alone", sign=True, encrypt=True)
    await soon(anext(bob.texts()))
    der = openssl.write(tmp_path, "sealed.der", sent(world, "MESSAGE").body)
    own = openssl.certificate(tmp_path, people[1]), openssl.key(tmp_path, people[1])
    opened = openssl.run(
        *("cms", "-decrypt", "-binary", "-inform", "DER", "-in", der, "-recip", own[0], "-inkey", own[1])
    )
    text, signature = split_entity(opened).parts()
    assert text.content() == b"for Bob alone"
    content = openssl.write(tmp_path, "content", text.raw)
    der = openssl.write(tmp_path, "signature.der", signature.content())
    usual = ("cms", "-verify", "-binary", "-inform", "DER", "-in", der, "-purpose", "any")
    assert openssl.run(*usual, "-content", content, "-CAfile", tmp_path / "people.pem") == text.raw


@pytest.mark.parametrize("cipher", ["-aes-256-gcm", "-aes-128-cbc"])
async def test_an_agent_reads_what_openssl_makes(
    world: World, people: tuple[Pair, Pair], tmp_path: Path, cipher: str
) -> None:
    alice, bob = await world.both(*people)
    text = openssl.write(tmp_path, "text", b"Content-Type: text/plain\r\n\r\nby openssl")
    own = openssl.certificate(tmp_path, people[0]), openssl.key(tmp_path, people[0])
    signed = openssl.run(
        *("cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-in", text),
        *("-signer", own[0], "-inkey", own[1]),
    )
    header = b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\n"
    inside = openssl.write(tmp_path, "inside", header + signed)
    recipient = openssl.certificate(tmp_path, people[1], "recipient.pem")
    sealed = openssl.run(
        *("cms", "-encrypt", "-binary", cipher, "-outform", "DER", "-in", inside, "-recip", recipient)
    )

    def replace(message: Message) -> Message:
        if message.body:
            message.set_body(sealed, "application/pkcs7-mime; smime-type=enveloped-data")
        return message

    world.middle.requests = replace
    await alice.send_text(BOB, "by Ringfence")
    found = await soon(anext(bob.texts()))
    assert found.text == "by openssl"
    assert found.peer.evidence is Evidence.SIGNED
    assert found.peer.protection is not None
    assert found.peer.protection.encrypted == cipher.removeprefix("-")
    assert found.peer.protection.warnings == ()
