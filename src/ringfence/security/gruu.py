"""Temporary GRUUs that need no table (RFC 5627 appendix A.2).

A temporary GRUU is an encrypted index with a MAC. Every refresh of a registration hands out another, and nobody
but us can tell that two of them lead to the same phone. The index is random for each instance and Call-ID of its
registration, so a new one ends the old ones all at once.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

PREFIX = "tgruu."
"""How the user part of a temporary GRUU of ours starts."""

INDEX_OCTETS = 10
_DISTINGUISHER_OCTETS = 6
_MAC_OCTETS = 10


def make_temporary_gruu(key: bytes, index: str, distinguisher: int) -> str:
    """The user part of a temporary GRUU.

    ``key`` has 32 octets, ``index`` is 20 hexadecimal digits, ``distinguisher`` differs from one made before by
    this index; only its low 48 bits count.
    """
    block = (distinguisher & 0xFFFF_FFFF_FFFF).to_bytes(_DISTINGUISHER_OCTETS, "big") + bytes.fromhex(index)
    encryptor = Cipher(AES(key[:16]), ECB()).encryptor()  # noqa: S305  (one block, as the appendix has it)
    sealed = encryptor.update(block) + encryptor.finalize()
    return PREFIX + urlsafe_b64encode(sealed + _mac(key, sealed)).decode("ascii").rstrip("=")


def open_temporary_gruu(key: bytes, user: str) -> str | None:
    """The index inside a temporary GRUU's user part; None when we did not make it."""
    text = user.removeprefix(PREFIX)
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    sealed, mac = data[:16], data[16:]
    if len(sealed) != 16 or not hmac.compare_digest(mac, _mac(key, sealed)):
        return None
    decryptor = Cipher(AES(key[:16]), ECB()).decryptor()  # noqa: S305
    return (decryptor.update(sealed) + decryptor.finalize())[_DISTINGUISHER_OCTETS:].hex()


def _mac(key: bytes, sealed: bytes) -> bytes:
    return hmac.digest(key[16:], sealed, "sha256")[:_MAC_OCTETS]
