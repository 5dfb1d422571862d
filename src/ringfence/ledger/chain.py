"""A hash chain for each writer, and checkpoints that sign it.

The hash of an event covers the hash of the one before, the writer, the number and the body; so no event can be
changed, removed, inserted or moved without changing every hash behind it. Who can write to the database could
compute all of them anew. That is what checkpoints are for: every so many events or seconds the newest hash is
signed with a key that is not in the database. A checkpoint also lists a short digest of each body that it
covers, so that `verification` can name the very event, and not only the stretch, that is not what was signed.

Pure functions: the caller has the keys, the time and the storage.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import blake2b, sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ringfence.store.errors import StoreError

GENESIS = bytes(32)
"""What stands for the hash before the first event."""

LEAF_OCTETS = 8
"""Of the digest of one body. It only finds the place: what convicts is the whole hash, and the signature."""

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class Link(NamedTuple):
    """One stored event: its place in the chain of its writer, its text and its hash."""

    writer: str
    number: int
    body: str
    hash: bytes


class Seal(NamedTuple):
    """What a checkpoint says: the hash of event ``number``, and of which events since the one before.

    ``first`` is the first event covered; ``low`` the first event of the oldest call that is still open, so that
    a node that crashed need not read further back. ``key`` names the signing key.
    """

    writer: str
    first: int
    number: int
    hash: bytes
    low: int
    time: float
    key: str
    leaves: bytes


class Checkpoint(NamedTuple):
    """A seal as it is stored: its canonical text and the Ed25519 signature over it."""

    writer: str
    number: int
    body: str
    signature: bytes


def link_hash(before: bytes, writer: str, number: int, body: str) -> bytes:
    """The hash of an event. The writer's length and NULs keep the parts apart."""
    name = writer.encode()
    return sha256(b"%b%d\0%b\0%d\0%b" % (before, len(name), name, number, body.encode())).digest()


def leaf(body: str) -> bytes:
    """The short digest of a body."""
    return blake2b(body.encode(), digest_size=LEAF_OCTETS).digest()


def extend(writer: str, number: int, before: bytes, bodies: Sequence[str]) -> list[Link]:
    """The links that follow event ``number``, whose hash is ``before``."""
    links = []
    for body in bodies:
        number += 1
        before = link_hash(before, writer, number, body)
        links.append(Link(writer, number, body, before))
    return links


def key_name(key: Ed25519PublicKey) -> str:
    """A short name of a key: what a person compares."""
    return sha256(public_octets(key)).hexdigest()[:16]


def public_octets(key: Ed25519PublicKey) -> bytes:
    """The 32 octets of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def sign(seal: Seal, key: Ed25519PrivateKey) -> Checkpoint:
    """Sign a seal."""
    body = _ENCODER.encode(
        {
            "writer": seal.writer,
            "first": seal.first,
            "number": seal.number,
            "hash": seal.hash.hex(),
            "low": seal.low,
            "time": f"{seal.time:.6f}",
            "key": seal.key,
            "leaves": b64encode(seal.leaves).decode(),
        }
    )
    return Checkpoint(seal.writer, seal.number, body, key.sign(body.encode()))


def seal_of(checkpoint: Checkpoint) -> Seal:
    """What a checkpoint says, whether or not its signature is good.

    Raises:
        StoreError: It can't be read, or says something else than its place in the storage.
    """
    try:
        fields = json.loads(checkpoint.body)
        seal = Seal(
            str(fields["writer"]),
            int(fields["first"]),
            int(fields["number"]),
            bytes.fromhex(fields["hash"]),
            int(fields["low"]),
            float(fields["time"]),
            str(fields["key"]),
            b64decode(fields["leaves"], validate=True),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"it can't be read: {error}") from None
    if (seal.writer, seal.number) != (checkpoint.writer, checkpoint.number):
        raise StoreError("it is of another place")
    if len(seal.leaves) != LEAF_OCTETS * (seal.number - seal.first + 1):
        raise StoreError("it does not cover what it says")
    return seal


def is_signed(checkpoint: Checkpoint, key: Ed25519PublicKey) -> bool:
    """Whether the signature is that of the key."""
    try:
        key.verify(checkpoint.signature, checkpoint.body.encode())
    except (InvalidSignature, UnicodeEncodeError):
        return False
    return True
