"""Passwords that are made here and shown once."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from ringfence.security.digest import STRONG, Algorithm, make_ha1

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without characters that look alike."""

GROUPS, LETTERS = 4, 5
"""20 characters of 31: 99 bits."""


def generate() -> str:
    """A password, in groups so that it can be read out."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(LETTERS)) for _ in range(GROUPS))


def stored(user: str, realm: str, password: str, before: Mapping[str, str] | None = None) -> dict[str, str]:
    """What is kept of it: H(A1) for each strong algorithm, and for MD5 where the account had that before."""
    algorithms = [*STRONG, *([Algorithm.MD5] if before and str(Algorithm.MD5) in before else [])]
    return {str(each): make_ha1(user, realm, password, each) for each in algorithms}
