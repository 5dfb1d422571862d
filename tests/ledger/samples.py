"""A ledger of some calls, in memory, with its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ringfence.ledger.chain import GENESIS, Checkpoint, Link, Seal, extend, key_name, leaf, sign
from ringfence.ledger.events import Event, Kind, body_of

NOW = 1_800_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
WRITER = "node1"


def call_events(number: int) -> list[Event]:
    """The three events of one call."""
    call, at = f"c{number}", NOW + number
    facts = {
        "account": "sip:alice@example.org",
        "caller": "sip:alice@example.org",
        "callee": f"sip:b{number}@x.org",
    }
    return [
        Event(Kind.START, at, call, facts),
        Event(Kind.ANSWER, at + 5, call, {"tag": "t"}),
        Event(Kind.STOP, at + 65, call, {"reason": "the caller hung up", "status": 200}),
    ]


def bodies(calls: int) -> list[str]:
    """The bodies of so many calls."""
    return [body_of(event) for number in range(calls) for event in call_events(number)]


def seal(links: Sequence[Link], key: Ed25519PrivateKey = KEY) -> Checkpoint:
    """A checkpoint over these links."""
    last = links[-1]
    leaves = b"".join(leaf(link.body) for link in links)
    name = key_name(key.public_key())
    return sign(Seal(WRITER, links[0].number, last.number, last.hash, 1, NOW, name, leaves), key)


def ledger(calls: int = 4, every: int = 5) -> tuple[list[Link], list[Checkpoint]]:
    """A chain with a checkpoint over each ``every`` events, the last of which may cover fewer."""
    links = extend(WRITER, 0, GENESIS, bodies(calls))
    return links, [seal(links[place : place + every]) for place in range(0, len(links), every)]
