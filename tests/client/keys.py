"""Certificates of people, as files that an agent uses."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cryptography import x509

from ringfence.client import Smime
from ringfence.security.pem import chain_pem, key_pem
from tests.security.pki import Key, Pair, issue

START = time.time() - 3600


def authority(directory: Path) -> Pair:
    """An authority, its certificate in ``ca.pem``."""
    made = issue("People", ca=True, start=START)
    (directory / "people.pem").write_bytes(chain_pem([made.certificate]))
    return made


def person(address: str, issuer: Pair | None = None, *, key: Key | None = None, days: float = 30) -> Pair:
    """A certificate of an address, by an authority or by itself."""
    name = [x509.UniformResourceIdentifier(address)]
    return issue(address, issuer, key=key, names=name, start=START, days=days)


def smime(directory: Path, pair: Pair | None, *, trust: Path | None = None) -> Smime:
    """What an agent needs, in a directory of its own."""
    directory.mkdir(exist_ok=True)
    roots = (trust,) if trust is not None else ()
    if pair is None:
        return Smime(directory=directory / "others", trust=roots)
    (directory / "own.pem").write_bytes(chain_pem([pair.certificate]))
    path = directory / "own.key"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key_pem(pair.key))
    return Smime(certificate=directory / "own.pem", key=path, directory=directory / "others", trust=roots)
