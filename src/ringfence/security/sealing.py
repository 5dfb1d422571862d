"""Texts that others carry for us and can neither read nor change: AES-SIV (RFC 5297).

Sealing is deterministic: the same text for the same purpose gives the same token. So every message of a dialog shows
the same one, and nothing has to be drawn or remembered. That two tokens are equal tells that their texts are, and
nothing else. What a token is bound to (a dialog, say) has to be told again to open it: it is of no use elsewhere.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

MAX_TOKEN: Final = 4096
"""Characters of a token that is opened; twenty routes fit."""

_KEY_OCTETS: Final = 64  # AES-256-SIV


class Sealer:
    """Seals and opens with one key, of up to 64 octets: the same on every worker."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(blake2b(key=key, digest_size=_KEY_OCTETS, person=b"sealing").digest())

    def seal(self, text: str, *bound: str) -> str:
        """A token of the text, safe in a URI; ``bound`` says what it belongs to. The text must not be empty."""
        sealed = self._cipher.encrypt(_octets(text), [_octets(each) for each in bound])
        return urlsafe_b64encode(sealed).decode("ascii").rstrip("=")

    def open(self, token: str, *bound: str) -> str | None:
        """The text of a token that this key has sealed for this purpose; None for any other."""
        if not token.isascii() or len(token) > MAX_TOKEN:
            return None
        try:
            sealed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            text = self._cipher.decrypt(sealed, [_octets(each) for each in bound])
        except (ValueError, InvalidTag):
            return None
        return text.decode("utf-8", "surrogateescape")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
