"""Tokens of programs: made here, shown once, and kept as a digest."""

from __future__ import annotations

import hashlib
import secrets

from ringfence.store.records import Token

PREFIX = "rft_"
"""So that a token that was published by mistake is found by those who search for such."""

RANDOM_OCTETS = 32


def new_token(name: str, administrator: str, now: float, seconds: float) -> tuple[Token, str]:
    """What is kept, and the token itself. ``now`` is in seconds since the epoch."""
    text = PREFIX + secrets.token_urlsafe(RANDOM_OCTETS)
    return Token(name, administrator, digest_of(text), now, now + seconds), text


def digest_of(text: str) -> str:
    """What a token is found by."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
