"""The ``openssl cms`` program: the other side that nobody here wrote."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.security.pki import Pair

PROGRAM = shutil.which("openssl")
interop = [
    pytest.mark.interop("openssl"),
    pytest.mark.skipif(PROGRAM is None, reason="the openssl program is not installed"),
]


def run(*arguments: object, ok: bool = True) -> bytes:
    """Run ``openssl``; its standard output."""
    done = subprocess.run(
        [PROGRAM or "openssl", *map(str, arguments)], capture_output=True, timeout=30, check=False
    )
    assert (done.returncode == 0) == ok, done.stderr.decode()
    return done.stdout


def write(folder: Path, name: str, data: bytes) -> Path:
    """Put octets into a file of the test's own folder."""
    path = folder / name
    path.write_bytes(data)
    return path


def certificate(folder: Path, pair: Pair, name: str = "cert.pem") -> Path:
    """The certificate as a file."""
    return write(folder, name, pair.certificate.public_bytes(Encoding.PEM))


def key(folder: Path, pair: Pair, name: str = "key.pem") -> Path:
    """The private key as a file."""
    return write(folder, name, pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
