"""RTP packets, and the sequence and jitter rules of RFC 3550 appendix A."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.client.media.reorder import DEPTH, ReorderBuffer
from ringfence.client.media.rtp import Reception, RtpPacket, is_rtcp, pack, unpack

PACKET = RtpPacket(0, 0x1234, 0xDECAFBAD, 0xCAFEBABE, b"\xab" * 4, True)


@pytest.mark.rfc("3550", "5.1")
def test_the_header() -> None:
    assert pack(PACKET).hex() == "80801234decafbadcafebabe" + "ab" * 4
    assert unpack(pack(PACKET)) == PACKET


@pytest.mark.rfc("3550", "5.1")
@pytest.mark.parametrize(
    ("data", "payload"),
    [
        ("82001234decafbadcafebabe" + "00" * 8 + "abcd", "abcd"),  # two CSRCs
        ("90001234decafbadcafebabe" + "bede0001" + "00" * 4 + "abcd", "abcd"),  # a header extension
        ("a0001234decafbadcafebabe" + "abcd" + "000003", "abcd"),  # padding
        ("a0001234decafbadcafebabe" + "abcd" + "000006", None),
        ("a0001234decafbadcafebabe" + "abcd00", None),
        ("90001234decafbadcafebabe", None),
        ("90001234decafbadcafebabe" + "bede0002" + "00" * 4, None),
        ("8f001234decafbadcafebabe", None),
        ("40001234decafbadcafebabe", None),
        ("80001234decafbadcafeba", None),
        ("", None),
    ],
)
def test_what_the_header_may_hold(data: str, payload: str | None) -> None:
    packet = unpack(bytes.fromhex(data))
    assert (packet.payload.hex() if packet else None) == payload


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    packet = unpack(data)
    assert packet is None or (packet.payload in data and packet.payload_type < 128)


@pytest.mark.rfc("5761", "4")
def test_rtcp_on_the_same_port() -> None:
    assert is_rtcp(bytes((0x80, 200)))
    assert not is_rtcp(bytes((0x80, 0)))
    assert not is_rtcp(b"\x80")


def feed(source: Reception, *sequences: int) -> list[int | None]:
    return [
        source.receive(sequence, sequence * 160, 0.02 * number) for number, sequence in enumerate(sequences)
    ]


@pytest.mark.rfc("3550", "A.1")
def test_sequence_numbers_wrap_and_late_ones_are_placed_before_the_wrap() -> None:
    source = Reception(1, 65_533)
    assert feed(source, 65_533, 65_535, 0, 65_534, 1) == [65_533, 65_535, 65_536, 65_534, 65_537]
    assert (source.expected, source.received, source.lost) == (5, 5, 0)
    assert feed(Reception(1, 2), 2, 65_534) == [2, -2]


@pytest.mark.rfc("3550", "A.1")
def test_a_jump_is_believed_when_the_next_number_follows() -> None:
    source = Reception(1, 10)
    assert feed(source, 10, 11, 30_000, 12, 40_000, 40_001) == [10, 11, None, 12, None, 40_001]
    assert (source.received, source.lost) == (1, 0)


@pytest.mark.rfc("3550", "A.3")
def test_loss_in_reports() -> None:
    source = Reception(7, 100)
    feed(source, 100, 101, 103, 107)
    report = source.report(last_sr=5, delay=6)
    assert (report.ssrc, report.lost, report.highest, report.last_sr, report.delay) == (7, 4, 107, 5, 6)
    assert report.fraction_lost == 128
    feed(source, 108)
    assert (source.report().fraction_lost, source.lost) == (0, 4)
    feed(source, 108, 108)  # duplicates count as received
    assert source.report().lost == 2


@pytest.mark.rfc("3550", "A.8")
def test_jitter() -> None:
    source = Reception(1, 0)
    for number in range(200):  # each other packet comes 10 ms late
        source.receive(number, number * 160, number * 0.02 + (0.01 if number % 2 else 0))
    assert source.report().jitter == pytest.approx(80, abs=2)
    steady = Reception(1, 0)
    for number in range(50):  # over the wrap of the timestamp
        steady.receive(number, (2**32 - 800 + number * 160) % 2**32, number * 0.02)
    assert steady.report().jitter == 0


def ordered(buffer: ReorderBuffer, *sequences: int) -> list[list[int]]:
    return [[p.sequence for p in buffer.push(s, PACKET._replace(sequence=s))] for s in sequences]


def test_packets_are_put_in_order_and_missing_ones_given_up() -> None:
    buffer = ReorderBuffer()
    assert ordered(buffer, 1, 3, 2, 2, 4, 0) == [[1], [], [2, 3], [], [4], []]
    assert buffer.late == 2
    waits = range(6, 6 + DEPTH)
    assert ordered(buffer, *waits) == [[]] * DEPTH
    assert ordered(buffer, 6 + DEPTH) == [[*waits, 6 + DEPTH]]
    assert ordered(buffer, 20) == [[]]
    assert [packet.sequence for packet in buffer.flush()] == [20]
    assert ordered(buffer, 3) == [[3]]
