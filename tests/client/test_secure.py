"""Calls and texts protected end to end, with somebody on the way who changes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509

from ringfence.client import CallError, Evidence, MessageError, Smime, UserAgent
from ringfence.client.certificates import Certificates
from ringfence.message import LocalError, Message, Request, Response, parse, sip_uri
from ringfence.security.smime import body_of
from ringfence.security.smime_signer import Pinned
from tests.client.keys import authority, person, smime
from tests.client.phones import Phones, address, event
from tests.client.tampering import StreamTamperer
from tests.security.pki import Pair

ALICE, BOB = "sip:alice@127.0.0.1", "sip:bob@127.0.0.1"


class World:
    """Alice, Bob, who vouches for them, and a man in the middle."""

    def __init__(self, phones: Phones, directory: Path) -> None:
        self.phones = phones
        self.directory = directory
        self.root = authority(directory)
        self.middle: StreamTamperer
        self.agents: list[UserAgent] = []

    async def agent(self, name: str, pair: Pair | None, *, trusting: bool = True, **more: Any) -> UserAgent:
        trust = self.directory / "people.pem" if trusting else None
        settings = smime(self.directory / name, pair, trust=trust)
        return await self.phones(name, transport="TCP", smime=settings, **more)

    async def both(
        self, alice: Pair | None = None, bob: Pair | None = None, *, trusting: bool = True
    ) -> tuple[UserAgent, UserAgent]:
        """Bob, and Alice who reaches him by the man in the middle only."""
        theirs = await self.agent("bob", bob or person(BOB, self.root), trusting=trusting)
        port = sip_uri(address(theirs)).port or 0
        self.middle = await StreamTamperer.open(("127.0.0.1", port))
        mine = await self.agent(
            "alice", alice or person(ALICE, self.root), trusting=trusting, proxy=self.middle.uri
        )
        return mine, theirs


@pytest.fixture
async def world(phones: Phones, tmp_path: Path) -> AsyncIterator[World]:
    made = World(phones, tmp_path)
    yield made
    if hasattr(made, "middle"):
        await made.middle.close()


T = TypeVar("T")


async def soon(waiting: Awaitable[T]) -> T:
    """What is awaited, within a moment."""
    async with asyncio.timeout(3):
        return await waiting


def sent(world: World, method: str) -> Request:
    return next(each for each in world.middle.seen if isinstance(each, Request) and each.method == method)


# -- nothing is changed --------------------------------------------------------------------------------


@pytest.mark.rfc("3261", "23.3")
@pytest.mark.parametrize(
    "wish",
    [
        {"sign": True},
        {"encrypt": True},
        {"sign": True, "encrypt": True},
        {"tunnel": True},
        {"sign": True, "tunnel": True, "encrypt": True},
        {"aib": True},
        {"sign": True, "aib": True, "tunnel": True, "encrypt": True},
    ],
    ids=lambda wish: " ".join(wish),
)
async def test_a_call(world: World, wish: dict[str, bool]) -> None:
    alice, bob = await world.both()
    call = await alice.call(BOB, **wish)
    theirs = await soon(anext(bob.incoming()))
    found = theirs.peer.protection
    assert found is not None
    assert found.warnings == ()
    assert bool(found.encrypted) == wish.get("encrypt", False)
    assert theirs.peer.evidence is Evidence.SIGNED
    assert theirs.peer.identity == ALICE
    if "tunnel" in wish:
        assert found.comparison is not None
        assert found.changed == ()
    if "aib" in wish:
        assert found.aib is not None
        assert found.aib.reasons == ()
    await theirs.answer()
    await call.answered
    back = call.peer.protection
    if set(wish) != {"aib"}:
        assert back is not None
        assert back.warnings == ()
        assert call.peer.evidence is Evidence.SIGNED
    await call.hold()
    await event(theirs, "held")
    await theirs.resume()
    await call.hang_up()
    for each in world.middle.seen:
        if "encrypt" in wish and each.body:
            assert b"m=audio" not in each.body
    for agent in (call, theirs):
        assert [one async for one in agent.events() if one.kind in {"warning", "fault"}] == []


async def test_a_text(world: World) -> None:
    alice, bob = await world.both()
    await alice.send_text(BOB, "Meet me at noon.", sign=True, encrypt=True, tunnel=True, subject="A secret")
    text = await soon(anext(bob.texts()))
    assert (text.text, text.subject) == ("Meet me at noon.", "A secret")
    assert text.peer.evidence is Evidence.SIGNED
    assert text.peer.protection is not None
    assert text.peer.protection.hidden["Subject"] == "A secret"
    assert str(text.peer.protection) == ("signed and intact, header fields too; encrypted by aes-256-gcm")
    seen = sent(world, "MESSAGE").to_bytes()
    assert b"secret" not in seen
    assert b"noon" not in seen
    assert b"Ringfence/" not in seen  # what the program is concerns nobody on the way


@pytest.mark.rfc("3261", "23.4.1.2")
async def test_a_subject_that_only_the_callee_reads(world: World) -> None:
    alice, bob = await world.both()
    await alice.call(BOB, encrypt=True, subject="The merger")
    theirs = await soon(anext(bob.incoming()))
    assert theirs.request.headers.get("Subject") == "The merger"
    assert "Subject" not in sent(world, "INVITE").headers
    assert b"merger" not in sent(world, "INVITE").to_bytes()


# -- something is changed ------------------------------------------------------------------------------


def add_subject(message: Message) -> Message:
    message.headers.set("Subject", "Buy now")
    return message


def other_contact(message: Message) -> Message:
    message.headers.set("Contact", "<sip:mallory@127.0.0.1:9;transport=tcp>")
    return message


def other_name(message: Message) -> Message:
    sender = message.from_
    message.headers.set("From", f"<sip:president@127.0.0.1>;tag={sender.tag}")
    return message


def other_date(message: Message) -> Message:
    message.headers.set("Date", "Mon, 02 Nov 2026 10:00:00 GMT")
    return message


def no_allow(message: Message) -> Message:
    message.headers.remove("Allow")
    return message


@pytest.mark.rfc("3261", "23.4.2")
@pytest.mark.parametrize(
    ("change", "name"),
    [
        (add_subject, "Subject"),
        (other_contact, "Contact"),
        (other_name, "From"),
        (other_date, "Date"),
        (no_allow, "Allow"),
    ],
)
async def test_a_changed_header_field_is_named(world: World, change: Any, name: str) -> None:
    alice, bob = await world.both()
    world.middle.requests = lambda message: change(message) if message.body else message
    await alice.call(BOB, sign=True, tunnel=True)
    theirs = await soon(anext(bob.incoming()))
    found = theirs.peer.protection
    assert found is not None
    assert [line.name for line in found.changed] == [name]
    assert any(warning.startswith(name) for warning in found.warnings)
    assert (await event(theirs, "warning")).facts["reason"].startswith(name)  # type: ignore[union-attr]
    if name == "From":
        assert theirs.peer.evidence is Evidence.CLAIMED


@pytest.mark.rfc("3261", "16.6")
async def test_what_a_proxy_may_do_raises_no_alarm(world: World) -> None:
    alice, bob = await world.both()

    def forward(message: Message) -> Message:
        if isinstance(message, Request) and message.method == "INVITE":
            message.headers.prepend("Record-Route", "<sip:127.0.0.1:9;lr>")
            message.headers.set("Max-Forwards", "69")
            message.headers.add("Max-Breadth", "60")
            message.headers.add("History-Info", "<sip:bob@127.0.0.1>;index=1")
            message.headers.add("P-Asserted-Identity", "<sip:alice@127.0.0.1>")
            message.uri = f"{message.uri};maddr=127.0.0.1"
        return message

    world.middle.requests = forward
    await alice.call(BOB, sign=True, tunnel=True)
    theirs = await soon(anext(bob.incoming()))
    assert theirs.peer.protection is not None
    assert theirs.peer.protection.warnings == ()
    assert theirs.peer.evidence is Evidence.SIGNED


async def test_a_changed_body_is_named(world: World) -> None:
    """He wants to hear the call: the address of the audio is put to his own."""
    alice, bob = await world.both()

    def mine(message: Message) -> Message:
        message.body = message.body.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 127.0.0.9")
        return message

    world.middle.requests = mine
    await alice.call(BOB, sign=True)
    theirs = await soon(anext(bob.incoming()))
    found = theirs.peer.protection
    assert found is not None
    assert not found.intact
    assert found.warnings[0] == "the signature does not count: the content is not what was signed"
    assert theirs.peer.evidence is Evidence.CLAIMED


async def test_an_answer_that_is_changed_is_named(world: World) -> None:
    alice, bob = await world.both()

    def mine(message: Message) -> Message:
        message.body = message.body.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 127.0.0.9")
        return message

    world.middle.responses = mine
    call = await alice.call(BOB, sign=True)
    await (await soon(anext(bob.incoming()))).answer()
    await call.answered
    assert call.peer.protection is not None
    assert not call.peer.protection.intact
    assert call.peer.evidence is Evidence.CALLED
    await event(call, "warning")


async def test_an_answer_whose_protection_is_taken_off_is_told(world: World) -> None:
    alice, bob = await world.both()

    def bare(message: Message) -> Message:
        if isinstance(message, Response) and message.body:
            inner = body_of(message).parts()[0]
            message.set_body(inner.content(), "application/sdp")
        return message

    world.middle.responses = bare
    call = await alice.call(BOB, sign=True)
    await (await soon(anext(bob.incoming()))).answer()
    await call.answered
    assert "not signed" in str((await event(call, "warning")).facts["reason"])


async def test_a_message_that_is_sent_again_is_noticed(world: World) -> None:
    alice, bob = await world.both()
    await alice.send_text(BOB, "Pay him.", tunnel=True)
    first = await soon(anext(bob.texts()))
    assert first.peer.protection is not None
    assert first.peer.protection.warnings == ()
    again = parse(sent(world, "MESSAGE").to_bytes())
    again.headers.set("Via", again.via.with_param("branch", "z9hG4bKagain"))
    world.middle.requests = lambda message: again if message.body else message
    with pytest.raises(MessageError, match="408"):  # the answer is to a message that is over
        await alice.send_text(BOB, "Something else.", tunnel=True)
    second = await soon(anext(bob.texts()))
    assert second.peer.protection is not None
    assert "has come before" in " ".join(second.peer.protection.warnings)


# -- certificates --------------------------------------------------------------------------------------


@pytest.mark.rfc("3261", "23.2")
async def test_certificates_are_exchanged_on_first_contact(world: World) -> None:
    alice, bob = await world.both(person(ALICE), person(BOB), trusting=False)
    await alice.send_text(BOB, "hello", sign=True, encrypt=True)
    text = await soon(anext(bob.texts()))
    assert text.peer.evidence is Evidence.FIRST_CONTACT
    await bob.send_text(
        address(alice).replace(address(alice).partition("@")[2], "127.0.0.1"), "x"
    ) if 0 else None
    await alice.send_text(BOB, "again", sign=True, encrypt=True)
    again = await soon(anext(bob.texts()))
    assert again.peer.evidence is Evidence.PINNED
    kept = world.directory / "bob" / "others" / "alice@127.0.0.1.pem"
    assert x509.load_pem_x509_certificates(kept.read_bytes()) == alice.certificates.shown()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [each.method for each in world.middle.seen if isinstance(each, Request)].count("OPTIONS") == 1


@pytest.mark.rfc("3261", "23.2")
async def test_another_certificate_of_somebody_known_is_a_clear_warning(world: World) -> None:
    _, bob = await world.both(person(ALICE), person(BOB), trusting=False)
    for number, pair in enumerate((person(ALICE), person(ALICE))):
        mallory = await world.agent(f"alice{number}", pair, trusting=False, proxy=world.middle.uri)
        object.__setattr__(mallory.account, "aor", sip_uri(ALICE))
        await mallory.send_text(BOB, "It is me.", sign=True)
    first, second = await soon(anext(bob.texts())), await anext(bob.texts())
    assert first.peer.evidence is Evidence.FIRST_CONTACT
    assert second.peer.evidence is Evidence.CLAIMED
    assert second.peer.protection is not None
    assert second.peer.protection.pinned is Pinned.CHANGED
    assert "another certificate than before" in second.peer.protection.warnings[0]
    # Its user has called her, and compared the fingerprint.
    signer = second.peer.protection.signer
    assert signer is not None
    assert signer.certificate is not None
    bob.certificates.accept(sip_uri(ALICE), signer.certificate)
    await mallory.send_text(BOB, "It is still me.", sign=True)
    assert (await soon(anext(bob.texts()))).peer.evidence is Evidence.PINNED


async def test_somebody_elses_certificate_proves_nothing(world: World) -> None:
    _, bob = await world.both()
    mallory = await world.agent(
        "mallory", person("sip:mallory@127.0.0.1", world.root), proxy=world.middle.uri
    )
    object.__setattr__(mallory.account, "aor", sip_uri(ALICE))
    await mallory.send_text(BOB, "It is Alice.", sign=True)
    text = await soon(anext(bob.texts()))
    assert text.peer.evidence is Evidence.CLAIMED
    assert text.peer.protection is not None
    assert "sip:mallory@127.0.0.1, not for sip:alice@127.0.0.1" in text.peer.protection.warnings[0]


@pytest.mark.rfc("3261", "23.2")
async def test_what_can_not_be_decrypted_is_493_with_our_certificate(world: World) -> None:
    """Bob has a new key. Alice learns it from the refusal and calls again."""
    alice, bob = await world.both()
    old = person(BOB, world.root)
    alice.certificates.accept(sip_uri(BOB), old.certificate)
    call = await alice.call(BOB, sign=True, encrypt=True)
    theirs = await soon(anext(bob.incoming()))
    await theirs.answer()
    await call.answered
    refused = next(each for each in world.middle.seen if isinstance(each, Response) and each.status == 493)
    assert refused.headers.get("Content-Type") == (
        "application/pkcs7-mime; smime-type=certs-only; name=smime.p7c"
    )
    assert theirs.peer.evidence is Evidence.SIGNED


async def test_a_new_certificate_that_nobody_vouches_for_is_not_taken_from_a_refusal(world: World) -> None:
    alice, bob = await world.both(person(ALICE), person(BOB), trusting=False)
    alice.certificates.accept(sip_uri(BOB), person(BOB).certificate)
    with pytest.raises(LocalError, match="another certificate than before"):
        await alice.send_text(BOB, "x", encrypt=True)
    call = await alice.call(BOB, encrypt=True)
    with pytest.raises(CallError, match="493"):
        await call.answered
    assert not bob.desk.live


async def test_an_agent_without_keys(world: World) -> None:
    """It verifies, refuses what it can't read, and says what it lacks to sign."""
    bob = await world.agent("bob", None)
    world.middle = await StreamTamperer.open(("127.0.0.1", sip_uri(address(bob)).port or 0))
    alice = await world.agent("alice", person(ALICE, world.root), proxy=world.middle.uri)
    await alice.send_text(BOB, "hello", sign=True)
    assert (await soon(anext(bob.texts()))).peer.evidence is Evidence.SIGNED
    with pytest.raises(LocalError, match="no certificate of sip:bob"):
        await alice.send_text(BOB, "hello", encrypt=True)
    alice.certificates.accept(sip_uri(BOB), person(BOB).certificate)
    with pytest.raises(MessageError, match="493"):
        await alice.send_text(BOB, "hello", encrypt=True)
    with pytest.raises(LocalError, match="needed to sign"):
        await bob.call(address(alice), sign=True)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    settings = smime(tmp_path / "alice", person(ALICE))
    assert settings.key is not None
    settings.key.chmod(0o644)
    with pytest.raises(LocalError, match="0644"):
        Certificates(settings)
    with pytest.raises(LocalError, match="No such file"):
        Certificates(Smime(certificate=tmp_path / "none.pem"))
