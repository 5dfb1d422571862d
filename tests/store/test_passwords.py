from __future__ import annotations

import time
from base64 import b64encode

import pytest

from ringfence.store import hash_password, verify_password


def test_a_password_is_known_again() -> None:
    stored = hash_password("correct horse")
    assert stored.startswith("scrypt$32768$8$3$")
    assert "correct" not in stored
    assert verify_password("correct horse", stored)
    assert not verify_password("correct hors", stored)


def test_equal_passwords_have_different_hashes() -> None:
    assert hash_password("same") != hash_password("same")


def test_composed_and_decomposed_letters_are_one_password() -> None:
    assert verify_password("s\u00e9same", hash_password("se\u0301same"))


@pytest.mark.rfc("7914", "12")
def test_scrypt_is_the_published_one() -> None:
    # The RFC's example has 64 bytes. They are made block by block, and we keep the first block.
    derived = bytes.fromhex("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162")
    salt, wanted = b64encode(b"NaCl").decode(), b64encode(derived).decode()
    assert verify_password("password", f"scrypt$1024$8$16${salt}${wanted}")


def test_an_unknown_name_takes_the_same_work() -> None:
    stored = hash_password("x")

    def cost(text: str | None) -> float:
        begun = time.thread_time()
        verify_password("x", text)
        return time.thread_time() - begun

    known, unknown = min(cost(stored) for _ in range(3)), min(cost(None) for _ in range(3))
    assert unknown > known / 2
    assert not verify_password("", None)


@pytest.mark.parametrize(
    "stored", ["", "plain", "bcrypt$1$2$3$4$5", "scrypt$32768$8$3$AA==", "scrypt$1048577$8$1$AA==$AA=="]
)
def test_what_is_no_hash_is_refused(stored: str) -> None:
    with pytest.raises(ValueError, match="scrypt"):
        verify_password("x", stored)
