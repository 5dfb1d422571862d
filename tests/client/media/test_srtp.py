"""SRTP against the vectors of RFC 3711 and the reference packets of libsrtp; replay, forgery, roll-over."""

import pytest

from ringfence.client.media.srtp import REPLAY_WINDOW, SUITES, Srtp, _counter_mode, derive, new_crypto
from ringfence.message import LocalError, PeerError
from ringfence.message.sdp_attributes import Crypto, Key

MASTER_KEY = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
MASTER_SALT = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
CRYPTO = Crypto(1, "AES_CM_128_HMAC_SHA1_80", (Key(MASTER_KEY + MASTER_SALT),))
RTP = bytes.fromhex("800f1234decafbadcafebabe" + "ab" * 16)
RTCP = bytes.fromhex("81c8000bcafebabe" + "ab" * 16)


def packet(sequence: int, ssrc: int = 1) -> bytes:
    return b"\x80\x00" + sequence.to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big") + b"audio"


@pytest.mark.rfc("3711", "B.2")
def test_the_key_stream_of_the_rfc() -> None:
    key = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
    stream = _counter_mode(key, int("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000", 16), bytes(1_044_512))
    first = (
        "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0"
    )
    last = (
        "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44"
    )
    assert (stream[:48], stream[-48:]) == (bytes.fromhex(first), bytes.fromhex(last))


@pytest.mark.rfc("3711", "B.3")
@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (0, "C61E7A93744F39EE10734AFE3FF7A087"),
        (2, "30CBBC08863D8C85D49DB34A9AE1"),
        (
            1,
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE"
            "E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25"
            "6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2",
        ),
    ],
)
def test_the_session_keys_of_the_rfc(label: int, expected: str) -> None:
    assert derive(MASTER_KEY, MASTER_SALT, label, len(expected) // 2) == bytes.fromhex(expected)


def test_the_reference_packets_of_libsrtp() -> None:
    sender, receiver = Srtp(CRYPTO), Srtp(CRYPTO)
    srtp = "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"
    srtcp = "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798"
    assert sender.protect(RTP).hex() == srtp
    assert sender.protect_rtcp(RTCP).hex() == srtcp
    assert receiver.unprotect(bytes.fromhex(srtp)) == RTP
    assert receiver.unprotect_rtcp(bytes.fromhex(srtcp)) == RTCP


@pytest.mark.rfc("4568", "6.2")
@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_both_ways_with_an_extension_and_a_key_identifier(suite: str) -> None:
    key = new_crypto(1, suite).keys[0]._replace(mki=1066, mki_length=4)
    crypto = Crypto.parse(str(Crypto(1, suite, (key,))))
    extended = bytes.fromhex("910f1234decafbadcafebabe0000000abede0001aabbccdd") + b"audio"
    sender, receiver = Srtp(crypto), Srtp(crypto)
    data, report = sender.protect(extended), sender.protect_rtcp(RTCP)
    assert data[:24] == extended[:24]
    assert b"audio" not in data
    assert len(data) == len(extended) + 4 + SUITES[suite].tag
    assert len(report) == len(RTCP) + 4 + 4 + 10
    assert receiver.unprotect(data) == extended
    assert receiver.unprotect_rtcp(report) == RTCP


@pytest.mark.rfc("3711", "3.3.2")
def test_a_packet_is_taken_once_and_not_when_too_old() -> None:
    sender, receiver = Srtp(CRYPTO), Srtp(CRYPTO)
    packets = [sender.protect(packet(number)) for number in range(1000, 1000 + REPLAY_WINDOW + 2)]
    assert receiver.unprotect(packets[0]) is not None
    assert receiver.unprotect(packets[0]) is None
    assert receiver.unprotect(packets[-1]) is not None
    assert receiver.unprotect(packets[3]) == packet(1003)
    assert receiver.unprotect(packets[3]) is None
    assert receiver.unprotect(packets[1]) is None  # behind the window, though never seen
    reports = [sender.protect_rtcp(RTCP) for _ in range(2)]
    assert [receiver.unprotect_rtcp(report) for report in (reports[1], reports[1], reports[0])] == [
        RTCP,
        None,
        RTCP,
    ]


@pytest.mark.rfc("3711", "3.3.1")
def test_sequence_numbers_roll_over_also_with_loss_and_late_packets() -> None:
    sender, receiver = Srtp(CRYPTO), Srtp(CRYPTO)
    numbers = [*range(65_500, 65_536), *range(30)]
    data = {number: sender.protect(packet(number)) for number in numbers}
    for number in (65_500, 65_530, 5, 65_535, 3, 29):
        assert receiver.unprotect(data[number]) == packet(number)
    # The same number a turn later is another packet, under another key stream.
    again = [sender.protect(packet(number)) for number in (20_000, 40_000, 60_000, 29)][-1]
    assert again[12:17] != data[29][12:17]


@pytest.mark.parametrize("at", [0, 1, 3, 4, 11, 14, 20, -1])
def test_a_changed_bit_is_noticed(at: int) -> None:
    data = bytearray(Srtp(CRYPTO).protect(RTP))
    report = bytearray(Srtp(CRYPTO).protect_rtcp(RTCP))
    data[at] ^= 1
    report[at] ^= 1
    assert Srtp(CRYPTO).unprotect(bytes(data)) is None
    assert Srtp(CRYPTO).unprotect_rtcp(bytes(report)) is None


@pytest.mark.rfc("4568", "6.3.2")
def test_a_report_in_the_clear_is_refused() -> None:
    sender = Srtp(CRYPTO)
    body = RTCP + (1).to_bytes(4, "big")
    assert Srtp(CRYPTO).unprotect_rtcp(body + sender._rtcp_mac(body)) is None


def test_short_packets_and_other_keys_are_refused() -> None:
    receiver = Srtp(CRYPTO)
    other = Srtp(new_crypto(1, CRYPTO.suite)).protect(RTP)
    for data in (b"", RTP[:12], b"\x9f" + RTP[1:12] + bytes(12), RTP, other):
        assert receiver.unprotect(data) is None
        assert receiver.unprotect_rtcp(data) is None


def test_sources_are_limited() -> None:
    sender, receiver = Srtp(CRYPTO), Srtp(CRYPTO)
    taken = [receiver.unprotect(sender.protect(packet(1, ssrc))) is not None for ssrc in range(10)]
    assert taken == [True] * 8 + [False] * 2


@pytest.mark.rfc("4568", "6.1")
def test_the_life_of_a_key_is_kept_on_both_sides() -> None:
    short = Crypto(1, CRYPTO.suite, (CRYPTO.keys[0]._replace(lifetime=2),))
    sender, receiver, free = Srtp(short), Srtp(short), Srtp(CRYPTO)
    for number in (1, 2):
        assert receiver.unprotect(sender.protect(packet(number))) is not None
        assert receiver.unprotect_rtcp(sender.protect_rtcp(RTCP)) is not None
    with pytest.raises(LocalError):
        sender.protect(packet(3))
    with pytest.raises(LocalError):
        sender.protect_rtcp(RTCP)
    assert receiver.unprotect([free.protect(packet(number)) for number in (1, 2, 3)][2]) is None
    assert receiver.unprotect_rtcp([free.protect_rtcp(RTCP) for _ in range(3)][2]) is None


def test_one_index_is_never_used_twice() -> None:
    sender = Srtp(CRYPTO)
    sender.protect(packet(7))
    with pytest.raises(LocalError):
        sender.protect(packet(7))


@pytest.mark.rfc("4568", "6.2.1")
def test_a_key_must_fit_its_suite() -> None:
    for crypto in (Crypto(1, "F8_128_HMAC_SHA1_80", CRYPTO.keys), Crypto(1, CRYPTO.suite, (Key(bytes(29)),))):
        with pytest.raises(PeerError) as caught:
            Srtp(crypto)
        assert caught.value.status == 488
