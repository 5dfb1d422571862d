"""What IP packets of a capture carry: extension headers, tunnels, fragments that overlap."""

from __future__ import annotations

import struct

import pytest

from tests.service.test_capture import MESSAGE
from tests.service.test_capture_reader import ETHERNET, HERE, THERE, ip4, ip6, pcap, texts, udp

ROUTING = bytes([17, 0, 253, 0, 0, 0, 0, 0])
AUTHENTICATION = bytes([17, 4]) + bytes(22)


@pytest.mark.parametrize(
    "packet",
    [
        ip6(bytes([60, 0]) + bytes(6) + bytes([17, 1]) + bytes(14) + udp(MESSAGE), protocol=0),
        ip6(ROUTING + udp(MESSAGE), protocol=43),
        ip6(AUTHENTICATION + udp(MESSAGE), protocol=51),
        ip4(AUTHENTICATION + udp(MESSAGE), protocol=51),
    ],
    ids=["hop-by-hop and destination options", "routing", "IPv6 AH", "IPv4 AH"],
)
def test_headers_between_ip_and_udp(packet: bytes) -> None:
    assert texts(pcap(packet)) == [MESSAGE]


INNER = ip4(udp(MESSAGE))


@pytest.mark.parametrize(
    "packet",
    [
        ip4(INNER, protocol=4),
        ip4(ip6(udp(MESSAGE)), protocol=41),
        ip6(INNER, protocol=4),
        ip4(b"\x00\x00\x08\x00" + INNER, protocol=47),
        ip4(b"\xb0\x00\x08\x00" + bytes(12) + INNER, protocol=47),
        ip4(b"\x00\x00\x65\x58" + ETHERNET + INNER, protocol=47),
        ip4(b"\x10\x00\x88\xbe" + bytes(12) + ETHERNET + INNER, protocol=47),
        ip4(b"\x00\x00\x88\xbe" + ETHERNET + INNER, protocol=47),
        ip4(b"\x10\x00\x22\xeb" + bytes(16) + ETHERNET + INNER, protocol=47),
        ip4(b"\x10\x00\x22\xeb" + bytes(15) + b"\x01" + bytes(8) + ETHERNET + INNER, protocol=47),
        ip4(udp(b"\x08\x00\x00\x00\x00\x00\x07\x00" + ETHERNET + INNER, 50_000, 4789)),
        ip4(udp(b"\x30\xff\x00\x00\x00\x00\x00\x01" + INNER, 2152, 2152)),
        ip4(udp(b"\x34\xff\x00\x00\x00\x00\x00\x01" + b"\0\0\0\x85\x01\x10\x09\x00" + INNER, 2152, 2152)),
        ip4(ip4(INNER, protocol=4), protocol=4),
    ],
    ids=[
        *(
            "ipip",
            "6in4",
            "4in6",
            "gre",
            "gre-long",
            "gre-bridged",
            "erspan2",
            "erspan1",
            "erspan3",
            "erspan3-long",
        ),
        *("vxlan", "gtp", "gtp-long", "twice"),
    ],
)
def test_tunnels(packet: bytes) -> None:
    assert texts(pcap(packet)) == [MESSAGE]


def test_tunnels_in_tunnels_end() -> None:
    packet = INNER
    for _ in range(10):
        packet = ip4(packet, protocol=4)
    assert texts(pcap(packet)) == []


def test_fragments_that_overlap() -> None:
    whole = udp(MESSAGE)
    parts = [
        ip4(whole[:160], more=True),
        ip4(whole[80:200], offset=80, more=True),
        ip4(whole[:80], more=True),
        ip4(whole[200:], offset=200),
    ]
    assert texts(pcap(*parts)) == [MESSAGE]


def test_destination_options_in_front_of_what_was_cut_up() -> None:
    whole = bytes([17, 0]) + bytes(6) + udp(MESSAGE)

    def part(offset: int, data: bytes, more: bool) -> bytes:
        return ip6(struct.pack("!BBHI", 60, 0, offset | more, 9) + data, protocol=44)

    assert texts(pcap(part(0, whole[:80], True), part(80, whole[80:], False))) == [MESSAGE]


def test_a_packet_cut_up_into_its_smallest_parts_costs_little() -> None:
    whole = udp(MESSAGE + bytes(60_000))
    parts = [ip4(whole[at : at + 8], offset=at, more=at + 8 < len(whole)) for at in range(0, len(whole), 8)]
    assert len(texts(pcap(*reversed(parts)))) == 1


def test_headers_that_are_too_short() -> None:
    head = struct.pack("!BBHHHBBH", 0x41, 0, 20, 0, 0, 64, 17, 0) + HERE.packed + THERE.packed
    assert texts(pcap(head + bytes(20), ip4(b""), ip4(b"\0" * 7), ip6(b""), b"\x45", ip4(INNER))) == []
