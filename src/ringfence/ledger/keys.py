"""The keys of the ledger: one that signs checkpoints, and one that opens who a private caller was.

The signing key is an Ed25519 key in a PEM file of mode 0600; its public half lies beside it, for whoever checks the
ledger elsewhere. Callers who asked for privacy are charged like others, but what names them is sealed in their events:
only who holds the node's secret can open it. The chain covers the sealed text, so that checking needs no secret.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from json import dumps, loads
from pathlib import Path

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from ringfence.ledger.events import Fact
from ringfence.message.errors import LocalError

PRIVATE_FACTS = ("account", "caller", "source", "call_id")
"""What names a caller. Phones write their own address into the Call-ID (RFC 3323 section 4.1)."""

SEALED = "sealed"
_NONCE_OCTETS = 12


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """The key as it is kept, in a file of mode 0600."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: Ed25519PublicKey) -> bytes:
    """What whoever verifies is given."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs.

    Raises:
        LocalError: There is none, or what is there can't be used.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LocalError(f"{path} has no key for the ledger: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise LocalError(f"{path} has a key of another kind than Ed25519")
    return key


_END = b"-----END PUBLIC KEY-----"


def read_public_keys(path: Path) -> list[Ed25519PublicKey]:
    """The keys of a file of one or more public keys, or of one private key.

    Raises:
        LocalError: It can't be read.
    """
    try:
        data = path.read_bytes()
        if b"PRIVATE KEY" in data:
            return [read_signing_key(path).public_key()]
        keys = [load_pem_public_key(part + _END) for part in data.split(_END) if part.strip()]
    except OSError as error:
        raise LocalError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise LocalError(f"{path} has no public key in PEM form, such as ledger.pub") from None
    if not keys or not all(isinstance(key, Ed25519PublicKey) for key in keys):
        raise LocalError(f"{path} has a key of another kind than Ed25519")
    return [key for key in keys if isinstance(key, Ed25519PublicKey)]


class Privacy:
    """Seals what names a private caller. ``key``: 32 octets."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, facts: Mapping[str, Fact]) -> dict[str, Fact]:
        """The facts with what names the caller sealed."""
        hidden = {name: facts[name] for name in PRIVATE_FACTS if name in facts}
        nonce = os.urandom(_NONCE_OCTETS)
        text = self._cipher.encrypt(nonce, dumps(hidden).encode(), None)
        kept = {name: value for name, value in facts.items() if name not in hidden}
        return {**kept, SEALED: b64encode(nonce + text).decode(), "private": True}

    def open(self, facts: Mapping[str, Fact]) -> dict[str, Fact]:
        """The facts with what was sealed; as they are, where that was done with another key."""
        sealed = facts.get(SEALED)
        if not isinstance(sealed, str):
            return dict(facts)
        try:
            data = b64decode(sealed, validate=True)
            hidden: dict[str, Fact] = loads(
                self._cipher.decrypt(data[:_NONCE_OCTETS], data[_NONCE_OCTETS:], None)
            )
        except (InvalidTag, ValueError):
            return dict(facts)
        return {name: value for name, value in facts.items() if name != SEALED} | hidden
