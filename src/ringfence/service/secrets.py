"""The node's secret: random bytes in a file that nobody else can read, the same for all workers of a domain."""

from __future__ import annotations

import os
from pathlib import Path

from ringfence.message import LocalError
from ringfence.security.pem import key_file_flaw

MIN_SECRET = 32
"""Bytes: the strength of the keys that are derived from it."""


def read_secret(path: Path) -> bytes:
    """The content of the secret file.

    Raises:
        LocalError: when it is missing, too short, or others can read it; with what to do.
    """
    try:
        with path.open("rb") as file:
            flaw = key_file_flaw(os.fstat(file.fileno()).st_mode)
            secret = file.read()
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}; make it with: ringfence init") from None
    if flaw is not None:
        raise LocalError(f"{path}: {flaw}; run: chmod 600 {path}")
    if len(secret) < MIN_SECRET:
        raise LocalError(f"{path}: {len(secret)} bytes are too few; it needs {MIN_SECRET} random bytes")
    return secret
