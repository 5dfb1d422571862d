"""Keys and certificates as PEM text."""

import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa

from ringfence.message import LocalError
from ringfence.security import pem
from ringfence.security.authority import Authority, new_key, serial_number

NOW = 1_800_000_000.0


def authority() -> Authority:
    return Authority.create("Test", now=NOW, serial=serial_number(os.urandom(20)))


def test_chains_and_lists_survive_writing_and_reading() -> None:
    ca = authority()
    leaf = ca.issue_server(new_key().public_key(), ["example.org"], now=NOW, serial=2)
    assert pem.read_chain(pem.chain_pem([leaf, ca.certificate])) == [leaf, ca.certificate]
    crl = ca.revoke([leaf], now=NOW)
    assert pem.read_crl(pem.crl_pem(crl)) == crl


@pytest.mark.parametrize("password", [None, b"secret"])
def test_keys_survive_writing_and_reading(password: bytes | None) -> None:
    for key in (new_key(), ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)):
        text = pem.key_pem(key, password)
        assert pem.read_key(text, password).public_key() == key.public_key()
        assert (b"ENCRYPTED" in text) is (password is not None)


def test_a_key_needs_its_password() -> None:
    text = pem.key_pem(new_key(), b"secret")
    for password in (None, b"wrong"):
        with pytest.raises(LocalError):
            pem.read_key(text, password)


def test_weak_and_foreign_keys_are_refused() -> None:
    small = rsa.generate_private_key(65537, 1024)
    other = dsa.generate_private_key(2048)
    for key in (small, other):
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with pytest.raises(LocalError):
            pem.read_key(text)


@pytest.mark.parametrize(
    "data", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_pem_is_our_own_error(data: bytes) -> None:
    for read in (pem.read_chain, pem.read_crl, pem.read_key):
        with pytest.raises(LocalError):
            read(data)


def test_a_huge_file_is_not_read() -> None:
    with pytest.raises(LocalError):
        pem.read_chain(b" " * (pem.MAX_PEM + 1))


def test_a_key_has_to_be_that_of_its_certificate() -> None:
    key = new_key()
    leaf = authority().issue_server(key.public_key(), ["example.org"], now=NOW, serial=2)
    pem.check_pair(leaf, key)
    with pytest.raises(LocalError, match=r"example\.org"):
        pem.check_pair(leaf, new_key())


@pytest.mark.parametrize(
    ("mode", "refused"),
    [
        (0o100600, False),
        (0o100400, False),
        (0o100640, False),
        (0o100644, True),
        (0o100604, True),
        (0o100602, True),
        (0o100601, True),
        (0o100660, True),
    ],
)
def test_a_key_file_that_others_can_open_is_refused(mode: int, refused: bool) -> None:
    assert (pem.key_file_flaw(mode) is not None) is refused
