"""Passwords of administrators, kept as scrypt hashes (RFC 7914).

The accounts of phones don't use this: digest needs the HA1 itself (RFC 7616), so they have that instead.
A check costs some 0.2 s of CPU and 32 MB on purpose; call it from a thread and bound how many run at once.
"""

from __future__ import annotations

import hmac
import os
import unicodedata
from base64 import b64decode, b64encode

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

# OWASP's row for 32 MB: less memory than N=2**17, so that a burst of sign-ins can't exhaust a small machine.
COST, BLOCK_SIZE, PARALLELISM = 2**15, 8, 3
SALT_BYTES = 16
HASH_BYTES = 32

MAX_COST = 2**20
"""The largest N that a stored hash may ask for (1 GB): a damaged row must not take the machine's memory."""


def hash_password(password: str) -> str:
    """The text to store for a password: ``scrypt$N$r$p$salt$hash``, salt and hash in base64."""
    salt = os.urandom(SALT_BYTES)
    derived = _derive(password, salt, COST, BLOCK_SIZE, PARALLELISM)
    return (
        f"scrypt${COST}${BLOCK_SIZE}${PARALLELISM}${b64encode(salt).decode()}${b64encode(derived).decode()}"
    )


def verify_password(password: str, stored: str | None) -> bool:
    """Whether the password is the one hashed in `stored`.

    With None, for a name that nobody has, the same work is done: time does not tell which names exist.

    Raises:
        ValueError: `stored` was not made by `hash_password`.
    """
    if stored is None:
        _derive(password, bytes(SALT_BYTES), COST, BLOCK_SIZE, PARALLELISM)
        return False
    scheme, *fields = stored.split("$")
    if scheme != "scrypt" or len(fields) != 5:
        raise ValueError("not a stored scrypt hash")
    cost, block_size, parallelism = map(int, fields[:3])
    if cost > MAX_COST or block_size > BLOCK_SIZE or parallelism > 16:
        raise ValueError("the stored scrypt hash asks for too much memory or time")
    derived = _derive(password, b64decode(fields[3]), cost, block_size, parallelism)
    return hmac.compare_digest(derived, b64decode(fields[4]))


def _derive(password: str, salt: bytes, cost: int, block_size: int, parallelism: int) -> bytes:
    # The same password typed on another keyboard may be composed in another way (RFC 8265 section 4.2.2).
    text = unicodedata.normalize("NFC", password).encode()
    return Scrypt(salt=salt, length=HASH_BYTES, n=cost, r=block_size, p=parallelism).derive(text)
