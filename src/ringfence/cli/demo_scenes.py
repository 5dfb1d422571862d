"""The scenes of ``ringfence demo``: what is done, and what was promised of it.

Each scene is a function that does it with real phones and nodes, and gives its promises, each with whether it was kept.
"""

from __future__ import annotations

import asyncio
import itertools
import wave
from array import array
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ringfence.cli.demo_pair import Stage
from ringfence.cli.demo_private import anonymous
from ringfence.cli.demo_record import record
from ringfence.cli.demo_stage import HOST, TIMEOUT
from ringfence.cli.demo_verdict import Promise
from ringfence.client import CallError, Evidence, Media, Peer, RegistrationError, UserAgent
from ringfence.message import sip_uri
from ringfence.transport.tls import proves

REQUIREMENTS = {
    1: "identification",
    2: "anonymity",
    3: "authorization",
    4: "accounting",
    5: "integrity",
    6: "confidentiality",
    7: "privacy",
    8: "spam resistance",
    9: "resistance to attacks",
}
"""The nine of the paper (Rantapuska, 2003, section 3) that Ringfence is built to."""

ORG, NET = "example.org", "example.net"

TONE_SECONDS = 0.4
SETTLE_SECONDS = 0.1
"""For the last packets to arrive."""

HIGH, LOW = 660, 440
"""Hz: what each side of a call plays, so that a recording tells whose voice it is."""


async def registrations(stage: Stage) -> list[Promise]:
    """Three phones register."""
    await stage.register(ORG, "alice", accept_transfers=True, smime=stage.smime(ORG, "alice"))
    await stage.register(ORG, "bob")
    await stage.register(NET, "carol", smime=stage.smime(NET, "carol"))
    return proved(stage)


def proved(stage: Stage) -> list[Promise]:
    """That whoever has registered has proved its password to its server, and by what."""
    addresses = [phone.account.aor for phone in stage.phones.values()]
    proofs = {stage.recording.proof(f"sip:{aor.user}@{aor.host}") for aor in addresses}
    return [
        Promise(
            f"{', '.join(stage.phones)} proved their passwords by {' and '.join(proofs)}",
            proofs == {"digest SHA-512-256"},
        ),
        Promise("all of it went by TLS", stage.all_tls()),
    ]


async def secure_call(stage: Stage) -> list[Promise]:
    """Alice calls bob: both play a tone and record what they hear."""
    heard_by_alice, heard_by_bob = stage.directory / "alice.wav", stage.directory / "bob.wav"
    outgoing, incoming = await stage.connect(
        "alice", "bob", "bob", Media(record=heard_by_alice), Media(record=heard_by_bob)
    )
    await asyncio.gather(
        outgoing.audio.send_tone(HIGH, TONE_SECONDS), incoming.audio.send_tone(LOW, TONE_SECONDS)
    )
    await asyncio.sleep(SETTLE_SECONDS)
    encrypted = outgoing.encrypted and incoming.encrypted
    stage.recording.heard("alice", "bob", f"SRTP, {HIGH} Hz", encrypted=incoming.encrypted)
    stage.recording.heard("bob", "alice", f"SRTP, {LOW} Hz", encrypted=outgoing.encrypted)
    await outgoing.hang_up()
    await incoming.ended
    right = near(pitch(heard_by_bob), HIGH) and near(pitch(heard_by_alice), LOW)
    agreed = outgoing.session.agreed
    suite = agreed.local_crypto.suite if agreed is not None and agreed.local_crypto is not None else "none"
    return [
        Promise("signalling by TLS on every hop", stage.all_tls()),
        Promise(f"audio by SRTP both ways ({suite})", encrypted),
        Promise("each heard the other's tone", right),
        _shown(incoming.peer, stage.phones["alice"], "bob"),
    ]


async def wrong_password(stage: Stage) -> list[Promise]:
    """Mallory tries a password for alice, and a user that there is not."""
    statuses = []
    for user in ("alice", "nobody"):
        try:
            async with stage.domains[ORG].phone(user, password="guessed"):  # noqa: S106  (that is the point)
                statuses.append(200)
        except RegistrationError as error:
            statuses.append(error.status)
    return [
        Promise("a wrong password is refused with 401", statuses[0] == 401),
        Promise("a user that there is not gets the same answer", statuses[1] == statuses[0]),
    ]


async def forged_from(stage: Stage) -> list[Promise]:
    """Bob, with his own password, calls as alice."""
    password = stage.domains[ORG].passwords["bob"]
    async with stage.domains[ORG].phone("alice", username="bob", password=password, register=False) as phone:
        status = await _refused(phone, "sips:bob@example.org")
    return [Promise("a From that is not the account's own is refused with 403", status == 403)]


async def relay(stage: Stage) -> list[Promise]:
    """Somebody without an account sends a call for another domain, then one to bob in alice's name."""
    proxy = f"sip:{HOST}:{stage.domains[ORG].port('udp')};transport=udp"
    async with UserAgent("sip:mallory@example.com", proxy=proxy) as phone:
        relayed = await _refused(phone, "sip:carol@example.net")
    async with UserAgent("sip:alice@example.org", proxy=proxy) as phone:
        posed = await _refused(phone, "sip:bob@example.org")
    return [
        Promise("a call through the domain is refused with 407: no open relay", relayed == 407),
        Promise("and so is one in the name of a user", posed == 407),
    ]


async def other_domain(stage: Stage) -> list[Promise]:
    """Alice calls carol, of the other domain."""
    outgoing, incoming = await stage.connect("alice", "carol", "sips:carol@example.net")
    await outgoing.audio.send_tone(HIGH, TONE_SECONDS)
    heard = incoming.audio.stats.received
    encrypted = outgoing.encrypted and incoming.encrypted
    stage.recording.heard("alice", "carol", f"SRTP, {heard} packets", encrypted=encrypted)
    await outgoing.hang_up()
    await incoming.ended
    there = stage.recording.certificate("example.net", "example.org")
    back = stage.recording.certificate("example.org", "example.net")
    return [
        Promise(
            "each domain proves its name to the other by its certificate",
            bool(there and proves(there, ORG) and back and proves(back, NET)),
        ),
        Promise("TLS on all three hops, SRTP from end to end", stage.all_tls() and encrypted and heard > 0),
        Promise("the call is signed for alice (RFC 8224)", bool(stage.recording.signature)),
        _shown(incoming.peer, stage.phones["alice"], "carol"),
    ]


async def hold(stage: Stage) -> list[Promise]:
    """Alice puts bob on hold and takes him back."""
    outgoing, incoming = await stage.connect("alice", "bob", "bob")
    await outgoing.audio.send_tone(HIGH, 0.1)
    await outgoing.hold()
    await asyncio.sleep(SETTLE_SECONDS)
    before = incoming.audio.stats.received
    await asyncio.sleep(0.2)
    silent = incoming.audio.stats.received == before
    await outgoing.resume()
    await outgoing.audio.send_tone(HIGH, 0.2)
    again = incoming.audio.stats.received > before
    encrypted = outgoing.encrypted and incoming.encrypted
    await outgoing.hang_up()
    await incoming.ended
    return [
        Promise("on hold nothing is heard, afterwards all of it", silent and again),
        Promise("still SRTP", encrypted),
    ]


async def transfer(stage: Stage) -> list[Promise]:
    """Bob hands alice on to carol."""
    first, there = await stage.connect("alice", "bob", "bob")
    handing = asyncio.create_task(there.transfer("sips:carol@example.net"))
    incoming = await anext(stage.phones["carol"].incoming())
    await incoming.answer()
    await handing
    await first.ended
    successor = first.successor
    assert successor is not None  # carol has answered it
    await successor.answered
    encrypted = incoming.encrypted and successor.encrypted
    referred = incoming.referred_by or ""
    await successor.hang_up()
    await incoming.ended
    return [
        Promise("alice and carol talk, bob is out", there.state == "ended"),
        Promise("carol is told who sent her the call", "bob@example.org" in referred),
        Promise("still SRTP", encrypted),
    ]


async def message(stage: Stage) -> list[Promise]:
    """Alice writes to carol."""
    await stage.phones["alice"].send_text("sips:carol@example.net", "See you at noon.")
    text = await anext(stage.phones["carol"].texts())
    return [
        Promise("the text arrives", text.text == "See you at noon."),
        Promise("by TLS on every hop", stage.all_tls()),
        _shown(text.peer, stage.phones["alice"], "carol"),
    ]


async def stolen_signature(stage: Stage) -> list[Promise]:
    """Mallory has seen alice's message, and sends another with the signature of that one."""
    proxy = f"sip:{HOST}:{stage.domains[NET].port('udp')};transport=udp"
    signature = stage.recording.signature
    async with UserAgent("sip:alice@example.org", proxy=proxy) as phone:
        request = phone.desk.request("MESSAGE", sip_uri("sip:carol@example.net"), signature)
        request.headers.set("From", f"<sips:alice@example.org>;tag={phone.desk.token()}")
        request.headers.set("To", "<sips:carol@example.net>")
        request.set_body(b"Come at once.", "text/plain")
        response = await phone.desk.exchange(request).run()
    reason = response.reason.partition("(")[2].rstrip(")")
    return [
        Promise(f"a signature that was sent before is refused with 438: {reason}", response.status == 438)
    ]


async def sealed_message(stage: Stage) -> list[Promise]:
    """Alice writes to carol what the servers on the way are not to know."""
    alice, carol = stage.phones["alice"], stage.phones["carol"]
    secret, subject = "The key is under the mat.", "Your key"
    await alice.send_text("sips:carol@example.net", secret, sign=True, encrypt=True, subject=subject)
    text = await anext(carol.texts())
    protection = text.peer.protection
    intact = protection is not None and protection.intact
    cipher = protection.encrypted if protection is not None else ""
    read = any(map(stage.recording.could_read, (secret, subject)))
    return [
        Promise("carol reads the text and its subject", (text.text, text.subject) == (secret, subject)),
        Promise(f"no server could: S/MIME, {cipher or 'nothing'}", bool(cipher) and not read),
        Promise(
            f"carol's phone says that alice wrote it: {text.peer.evidence}",
            intact and text.peer.evidence is Evidence.SIGNED,
        ),
    ]


async def no_downgrade(stage: Stage) -> list[Promise]:
    """Dave's phone has no TLS. Alice calls him by a sips address."""
    await stage.register(ORG, "dave", transport="udp")
    stage.recording.clear()
    status = await _refused(stage.phones["alice"], "sips:dave@example.org")
    return [
        Promise("a sips call to a phone without TLS ends with 480", status == 480),
        Promise("and nothing of it leaves TLS", stage.all_tls()),
    ]


class Scene(NamedTuple):
    """One scene: its title, the requirements that it is about, who a phone without a name is."""

    title: str
    requirements: Sequence[int]
    play: Callable[[Stage], Awaitable[list[Promise]]]
    stranger: str = "stranger"


SCENES = (
    Scene("Three phones register", (1, 3), registrations),
    Scene("A call with audio", (1, 6), secure_call),
    Scene("A wrong password", (3, 9), wrong_password, "mallory"),
    Scene("A forged From", (1, 8), forged_from, "bob as alice"),
    Scene("A stranger in search of a relay", (3, 8), relay, "mallory"),
    Scene("A call to another domain", (1, 5, 6), other_domain),
    Scene("Hold", (6,), hold),
    Scene("Transfer", (1, 6), transfer),
    Scene("A message", (1, 6), message),
    Scene("A stolen signature", (5, 8), stolen_signature, "mallory"),
    Scene("A message that no server can read", (5, 6), sealed_message),
    Scene("A call from nobody", (2, 4, 7), anonymous),
    Scene("The record of a call", (4, 5), record),
    Scene("No downgrade", (6,), no_downgrade),
)


# -- what scenes share ---------------------------------------------------------------------------------


def _shown(peer: Peer, caller: UserAgent, who: str) -> Promise:
    """That somebody is shown the caller's address as asserted by the own server."""
    address = f"{caller.account.aor.user}@{caller.account.aor.host}"
    right = peer.identity.partition(":")[2] == address and peer.evidence is Evidence.ASSERTED
    return Promise(f"{who}'s phone shows {address}, {peer.evidence}", right)


async def _refused(phone: UserAgent, address: str) -> int:
    """The status by which a call is refused; 200 when it is not."""
    try:
        call = await phone.call(address)
        async with asyncio.timeout(TIMEOUT):
            await call.answered
        await call.hang_up()
    except CallError as error:
        return error.status
    return 200


def near(found: float, wanted: float) -> bool:
    """Whether a pitch is the one that was played, as far as crossings of zero tell."""
    return abs(found - wanted) < wanted / 20


def pitch(path: Path) -> float:
    """The frequency of what was recorded in Hz, by its crossings of zero; 0 for silence."""
    with wave.open(str(path), "rb") as file:
        rate = file.getframerate()
        samples = array("h", file.readframes(file.getnframes()))
    loud = [place for place, sample in enumerate(samples) if abs(sample) > 500]
    if len(loud) < rate // 20:
        return 0.0
    heard = samples[loud[0] : loud[-1] + 1]
    crossings = sum(before < 0 <= after for before, after in itertools.pairwise(heard))
    return crossings * rate / len(heard)
