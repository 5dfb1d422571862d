"""The attributes that we act on: read, written, and refused with a reason."""

import pytest

from ringfence.message.sdp_attributes import (
    Candidate,
    Crypto,
    Direction,
    Fingerprint,
    Group,
    Key,
    Rtcp,
    Rtpmap,
)

KEY = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (Rtpmap.parse, "98 L16/16000/2"),
        (Rtpmap.parse, "31 h263-1998/90000"),
        (Rtcp.parse, "53020 IN IP6 2001:2345:6789:ABCD:EF01:2345:6789:ABCD"),
        (Crypto.parse, f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4 FEC_ORDER=FEC_SRTP"),
        (Crypto.parse, f"2 F8_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4;inline:{KEY}|3000|2:4 KDR=1 -X=1"),
        (Crypto.parse, f"1 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|1066:4"),
        (Crypto.parse, f"1 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|1"),
        (Fingerprint.parse, "sha-256 12:DF:3E:5D"),
        (Candidate.parse, "1 1 UDP 2130706431 203.0.113.141 8998 typ host"),
        (
            Candidate.parse,
            "2 1 UDP 1694498815 192.0.2.3 5000 typ srflx raddr 10.0.1.1 rport 8998 generation 0",
        ),
        (Group.parse, "BUNDLE 1 2"),
    ],
)
@pytest.mark.rfc("4568", "9")
def test_what_is_read_is_written_back(read: object, text: str) -> None:
    assert str(read(text)) == text  # type: ignore[operator]


@pytest.mark.rfc("4568", "6.1")
def test_the_parts_of_a_crypto_attribute() -> None:
    crypto = Crypto.parse(f"1 AES_CM_128_HMAC_SHA1_80\tinline:{KEY}|2^20|1:32")
    assert (crypto.tag, crypto.suite) == (1, "AES_CM_128_HMAC_SHA1_80")
    (key,) = crypto.keys
    assert len(key.material) == 30
    assert (key.lifetime, key.mki, key.mki_length) == (2**20, 1, 32)


@pytest.mark.rfc("4568", "6.1")
def test_padding_of_the_key_may_be_left_out() -> None:
    assert Key.parse("inline:AAAAAAA=").material == Key.parse("inline:AAAAAAA").material == bytes(5)


def test_a_key_is_never_shown() -> None:
    crypto = Crypto.parse(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")
    assert KEY[:8] not in repr(crypto)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x AES_CM_128_HMAC_SHA1_80 inline:AAAA",
        "1234567890 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
        "1 AES_CM_128_HMAC_SHA1_80",
        "1 AES_CM_128_HMAC_SHA1_80 uri:https://example.com",
        "1 AES_CM_128_HMAC_SHA1_80 inline:A",
        "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA|2^49",
        "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA|562949953421312",
        "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA|020",
        "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA|1:129",
        "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA|256:1",
        "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA;inline:BBBB",
        "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA|1:4;inline:BBBB|2:1",
    ],
)
@pytest.mark.rfc("4568", "6")
def test_an_invalid_crypto_attribute_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Crypto.parse(text)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (Rtpmap.parse, "31 LPC"),
        (Rtpmap.parse, "128 LPC/8000"),
        (Rtpmap.parse, "31 L(C/8000"),
        (Rtcp.parse, ""),
        (Rtcp.parse, "1 IN IP4"),
        (Rtcp.parse, "65536"),
        (Fingerprint.parse, "sha-256 1:2"),
        (Fingerprint.parse, "sha-256"),
        (Candidate.parse, "1 1 UDP 2130706431 203.0.113.141 8998 host"),
        (Candidate.parse, "1 1 UDP 2130706431 203.0.113.141 8998 typ host raddr"),
        (Group.parse, " "),
    ],
)
def test_malformed_values_are_refused(read: object, text: str) -> None:
    with pytest.raises(ValueError):
        read(text)  # type: ignore[operator]


@pytest.mark.rfc("3264", "5.1")
def test_directions() -> None:
    for direction in Direction:
        assert Direction.of(direction.sends, direction.receives) is direction
    assert Direction.of(sends=True, receives=False) is Direction.SENDONLY
