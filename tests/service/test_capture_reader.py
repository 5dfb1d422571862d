"""Reading captures: pcap and pcapng, links, fragments, streams in any order."""

from __future__ import annotations

import gzip
import random
import struct
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import LocalError, parse
from ringfence.service import capture_file
from ringfence.service.capture import beginning, packet
from ringfence.service.capture_file import frames, is_capture, opened
from ringfence.service.capture_packets import MAX_PARTIAL
from ringfence.service.capture_reader import Heard, messages
from ringfence.service.capture_streams import MAX_STREAMS
from tests.service.test_capture import CASES, MESSAGE

HERE, THERE = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
HERE_6, THERE_6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")
SECOND = MESSAGE.replace(b"abc@", b"def@")


def udp(payload: bytes, source: int = 5060, target: int = 5060) -> bytes:
    return struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def tcp(number: int, payload: bytes = b"", flags: int = 0x10, source: int = 40000) -> bytes:
    return struct.pack("!HHIIBBHHH", source, 5060, number & 0xFFFFFFFF, 0, 0x50, flags, 512, 0, 0) + payload


def ip4(payload: bytes, protocol: int = 17, name: int = 7, offset: int = 0, *, more: bool = False) -> bytes:
    place = offset // 8 | (0x2000 if more else 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), name, place, 64, protocol, 0)
    return head + HERE.packed + THERE.packed + payload


def ip6(payload: bytes, protocol: int = 17) -> bytes:
    return (
        struct.pack("!IHBB", 0x60000000, len(payload), protocol, 64)
        + HERE_6.packed
        + THERE_6.packed
        + payload
    )


def pcap(*packets: bytes, link: int = 101, order: str = "<", magic: int = 0xA1B2C3D4) -> bytes:
    data = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    for each in packets:
        data += struct.pack(f"{order}IIII", 1_000_000_000, 250_000, len(each), len(each)) + each
    return data


def texts(data: bytes) -> list[bytes]:
    return [heard.data for heard in messages(data)]


def test_what_a_trace_has_written_is_read_again() -> None:
    data = beginning("test") + b"".join(packet(event, MESSAGE) for event, _, _ in CASES)
    found = list(messages(data))
    assert [each.data for each in found] == [MESSAGE] * len(CASES)
    assert found[0] == Heard(1_000_000_000.25, "UDP", "192.0.2.1:40000", "192.0.2.10:5060", MESSAGE)
    assert found[2].source == "[2001:db8::7]:40000"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_pcap_of_either_order_and_resolution(order: str, magic: int) -> None:
    (found,) = messages(pcap(ip4(udp(MESSAGE)), order=order, magic=magic))
    assert (found.source, found.target, found.data) == ("192.0.2.1:5060", "192.0.2.2:5060", MESSAGE)
    assert found.time == 1_000_000_000 + 250_000 / (10**9 if magic == 0xA1B23C4D else 10**6)


ETHERNET = bytes(12) + b"\x08\x00"


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (1, ETHERNET),
        (1, bytes(12) + b"\x81\x00\x00\x05\x08\x00"),
        (1, bytes(12) + b"\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00"),
        (0, b"\x02\x00\x00\x00"),
        (113, bytes(14) + b"\x08\x00"),
        (276, b"\x08\x00" + bytes(18)),
        (228, b""),
        (1, bytes(12) + b"\x88\x64\x11\x00\x00\x07\xff\xff\x00\x21"),  # PPPoE
        (1, bytes(12) + b"\x88\x47\x00\x01\x00\x40\x00\x02\x01\x40"),  # MPLS, two labels
        (1, bytes(12) + b"\x01\x00\xaa\xaa\x03\x00\x00\x00\x08\x00"),  # LLC and SNAP
        (113, bytes(14) + b"\x81\x00\x00\x05\x08\x00"),
        (276, b"\x81\x00" + bytes(18) + b"\x00\x05\x08\x00"),
        (9, b"\xff\x03\x00\x21"),
        (9, b"\x21"),
        (50, b"\xff\x03\x00\x21"),
        (51, b"\x11\x00\x00\x07\xff\xff\x00\x21"),
        (104, b"\x0f\x00\x08\x00"),
        (239, b"\x02\x00\x00\x01\x06\x00\x0a\x00ab\x00\x00\x00\x20\x09\x00"),
        (105, b"\x88\x01" + bytes(24) + b"\xaa\xaa\x03\x00\x00\x00\x08\x00"),
        (127, b"\x00\x00\x08\x00" + bytes(4) + b"\x08\x02" + bytes(22) + b"\xaa\xaa\x03\x00\x00\x00\x08\x00"),
    ],
)
def test_links(link: int, head: bytes) -> None:
    assert texts(pcap(head + ip4(udp(MESSAGE)), link=link)) == [MESSAGE]


def test_other_links_and_other_protocols_are_passed_over() -> None:
    assert texts(pcap(ip4(udp(MESSAGE)), link=147)) == []
    assert texts(pcap(bytes(12) + b"\x08\x06" + bytes(28), link=1)) == []  # ARP
    assert texts(pcap(ip4(b"x" * 20, protocol=1), ip4(udp(b"\x80\x00rtp" * 9, 4000, 4002)))) == []


def test_sip_by_its_port_or_its_looks() -> None:
    odd = b"\x00\x01 is no SIP"
    assert texts(pcap(ip4(udp(odd)), ip4(udp(MESSAGE, 7000, 7001)), ip4(udp(odd, 7000, 7001)))) == [
        odd,
        MESSAGE,
    ]
    assert texts(pcap(ip4(udp(b"\r\n\r\n")), ip4(udp(b"\0\0\0\0")))) == []  # keepalives
    stun = b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)
    assert texts(pcap(ip4(udp(stun)), ip4(udp(b"\x16\xfe\xfd" + bytes(30))))) == []  # and a DTLS record


def test_a_short_snapshot_length_is_told_and_is_no_fault_of_the_message() -> None:
    packet = ip4(udp(MESSAGE))
    (found,) = messages(pcap(packet[:-9]))
    assert found.missing == 9
    assert found.data + packet[-9:] == MESSAGE
    assert parse(found.whole_lines()).headers.names == parse(MESSAGE).headers.names[:-1]
    (found,) = messages(pcap(ip6(udp(MESSAGE))[:150]))
    assert found.missing == len(packet) + 20 - 150
    (found,) = messages(pcap(packet))
    assert (found.missing, found.whole_lines()) == (0, MESSAGE)


def test_a_compressed_file() -> None:
    data = pcap(ip4(udp(MESSAGE)))
    assert opened(gzip.compress(data)) == data
    assert opened(data) == data
    assert opened(b"\x1f\x8bnothing") == b"\x1f\x8bnothing"
    assert texts(opened(gzip.compress(data + data[24:])[:-12])) == [MESSAGE]


def test_a_compressed_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_file, "MAX_OPENED", 1_000_000)
    with pytest.raises(LocalError, match="unpack it first"):
        opened(gzip.compress(bytes(1_000_001)))


def test_times_that_are_counted_from_another_day() -> None:
    packet = ip4(udp(MESSAGE))
    options = struct.pack("<HHB3xHHq", 9, 1, 3, 14, 8, 1_000_000_000) + bytes(4)
    size = struct.pack("<I", 20 + len(options))
    interface = struct.pack("<I", 1) + size + struct.pack("<HHI", 101, 0, 0) + options + size
    body = struct.pack("<IIIII", 0, 0, 250, len(packet), len(packet)) + packet
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    (found,) = messages(beginning("")[:36] + interface + struct.pack("<I", 6) + size + body + size)
    assert found.time == 1_000_000_000.25


def test_the_packet_block_of_old_pcapng_files() -> None:
    packet = ip4(udp(MESSAGE))
    body = struct.pack("<HHIIII", 0, 5, 0, 250_000, len(packet), len(packet)) + packet
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    raw = struct.pack("<IIHHII", 1, 20, 101, 0, 0, 20)  # an interface of raw IP
    assert texts(beginning("")[:36] + raw + struct.pack("<I", 2) + size + body + size) == [MESSAGE]


def test_fragments_of_both_versions_in_any_order() -> None:
    whole = udp(MESSAGE)
    parts = [
        ip4(whole[:80], more=True),
        ip4(whole[80:160], offset=80, more=True),
        ip4(whole[160:], offset=160),
    ]
    random.Random(1).shuffle(parts)
    assert texts(pcap(*parts)) == [MESSAGE]

    def part(offset: int, data: bytes, more: bool) -> bytes:
        return ip6(struct.pack("!BBHI", 17, 0, offset | more, 9) + data, protocol=44)

    assert texts(pcap(part(80, whole[80:], False), part(0, whole[:80], True))) == [MESSAGE]


def test_fragments_that_never_end_are_bounded() -> None:
    lost = [ip4(udp(MESSAGE)[:80], name=name, more=True) for name in range(4 * MAX_PARTIAL)]
    assert texts(pcap(*lost, ip4(udp(MESSAGE)))) == [MESSAGE]


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 200), max_size=8), st.randoms())
def test_a_stream_in_any_order_and_more_than_once(start: int, cuts: list[int], chance: random.Random) -> None:
    stream = MESSAGE + b"\r\n\r\n" + SECOND
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    segments = [tcp(start + 1 + here, stream[here:there]) for here, there in pairwise(edges)]
    segments += chance.sample(segments, len(segments) // 2)
    chance.shuffle(segments)
    packets = [tcp(start, flags=0x02), *segments]
    assert texts(pcap(*(ip4(each, protocol=6) for each in packets))) == [MESSAGE, SECOND]


def test_a_stream_that_was_begun_before_or_has_a_hole_goes_on_with_the_next_message() -> None:
    packets = [
        tcp(1, b"half of something\r\n\r\n"),
        tcp(22, MESSAGE),
        tcp(22 + len(MESSAGE), b"junk\x00\xff" * 9),
    ]
    packets.append(tcp(9_000_000, SECOND))
    assert texts(pcap(*(ip6(each, protocol=6) for each in packets))) == [MESSAGE, SECOND]
    lost = [tcp(22, MESSAGE), *(tcp(100_000 + each * 1_000, b"x" * 1_000) for each in range(1_100))]
    lost.append(tcp(9_000_000, SECOND))
    assert texts(pcap(*(ip6(each, protocol=6) for each in lost))) == [MESSAGE, SECOND]


def test_many_streams_are_bounded() -> None:
    begun = [ip4(tcp(1, MESSAGE[:50], source=1024 + each), protocol=6) for each in range(2 * MAX_STREAMS)]
    assert texts(pcap(*begun, ip4(tcp(1, MESSAGE), protocol=6))) == [MESSAGE]


def test_a_file_that_breaks_off_ends_there_and_nonsense_is_refused() -> None:
    data = pcap(ip4(udp(MESSAGE)), ip4(udp(SECOND)))
    assert texts(data[:-100]) == [MESSAGE]
    for nonsense in (b"", b"INVITE sip:bob@example.org SIP/2.0\r\n", b"\n\r\r\n" * 4):
        assert not is_capture(nonsense)
        with pytest.raises(LocalError, match="not a capture"):
            list(frames(nonsense))
    with pytest.raises(LocalError, match="at most"):
        list(frames(data[:32] + b"\xff\xff\xff\xff" + data[36:]))


@given(st.binary(max_size=300), st.booleans())
def test_any_octets_end(data: bytes, new: bool) -> None:
    start = beginning("x") if new else pcap()
    try:
        found = texts(start + data) + texts(pcap(data, link=101)) + texts(pcap(ETHERNET + data, link=1))
    except LocalError:
        return
    assert all(isinstance(each, bytes) for each in found)
