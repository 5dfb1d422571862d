"""The parameters and the keys of ipsec-3gpp."""

from __future__ import annotations

import pytest

from ringfence.message import LocalError, PeerError
from ringfence.message.fields.security_agreement import parse_mechanism
from ringfence.security.ipsec_3gpp import (
    Secrets,
    Side,
    acceptable,
    integrity_key,
    mechanism_of,
    read_keys,
    read_secrets,
    read_side,
)

SIDE = Side(1_234_567_890, 4_000_000_000, 5064, 5062)


@pytest.mark.rfc("3329", "A")
def test_what_is_written_is_read() -> None:
    text = str(mechanism_of(SIDE, q="0.2"))
    assert text == (
        "ipsec-3gpp;q=0.2;alg=hmac-sha-1-96;ealg=aes-cbc;prot=esp;mod=trans;"
        "spi-c=1234567890;spi-s=4000000000;port-c=5064;port-s=5062"
    )
    assert read_side(parse_mechanism(text)) == SIDE
    assert acceptable(parse_mechanism(text))


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc", True),
        ("ipsec-3gpp;alg=HMAC-SHA-1-96;ealg=AES-CBC;prot=ESP", True),
        ("ipsec-3gpp;alg=hmac-sha-1-96", False),
        ("ipsec-3gpp;alg=hmac-sha-1-96;ealg=null", False),
        ("ipsec-3gpp;alg=hmac-md5-96;ealg=aes-cbc", False),
        ("ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;mod=tun", False),
        ("ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;prot=ah", False),
        ("tls", False),
    ],
)
def test_only_this_is_agreed_on(text: str, good: bool) -> None:
    assert acceptable(parse_mechanism(text)) is good


@pytest.mark.parametrize(
    "params",
    [
        "spi-c=1;spi-s=2000;port-c=1;port-s=2",
        "spi-c=2000;spi-s=2000;port-c=1;port-s=2",
        "spi-c=2000;spi-s=2001;port-c=7;port-s=7",
        "spi-c=2000;spi-s=4294967296;port-c=1;port-s=2",
        "spi-c=2000;spi-s=2001;port-c=0;port-s=2",
        "spi-c=2000;spi-s=2001;port-c=1;port-s=65536",
        "spi-c=2000;port-c=1;port-s=2",
        "spi-c=x;spi-s=2001;port-c=1;port-s=2",
        "spi-c=00000002000;spi-s=2001;port-c=1;port-s=2",
    ],
)
def test_numbers_that_make_no_sense(params: str) -> None:
    with pytest.raises(PeerError) as caught:
        read_side(parse_mechanism(f"ipsec-3gpp;{params}"))
    assert caught.value.status == 494


def test_keys() -> None:
    secrets = read_secrets(f"{'0a' * 16}\n{'0b' * 16}\n")
    assert secrets == Secrets(b"\x0a" * 16, b"\x0b" * 16)
    assert integrity_key(secrets) == b"\x0a" * 16 + bytes(4)
    assert "0a" not in repr(secrets)
    for text in ("", "0a" * 16, f"{'0a' * 15} {'0b' * 16}"):
        with pytest.raises(LocalError, match="IK and CK"):
            read_secrets(text)
    with pytest.raises(LocalError, match="hexadecimal"):
        read_keys("secret")
