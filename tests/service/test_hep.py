"""HEP packets, read by a parser that is written from the specification and knows nothing of ours."""

import struct
from ipaddress import IPv6Address, ip_address
from typing import Any

from ringfence.service.hep import Agent, Seen, packet

TYPES = {1: "B", 2: "B", 7: "H", 8: "H", 9: "I", 10: "I", 11: "B", 12: "I", 13: "H"}
"""Chunks that are numbers, by the table of "HEP/EEP rev. 32"."""


def read(data: bytes) -> dict[int, Any]:
    """The chunks of one packet, which is all of the data."""
    assert data[:4] == b"HEP3"
    assert struct.unpack("!H", data[4:6]) == (len(data),)
    found: dict[int, Any] = {}
    at = 6
    while at < len(data):
        vendor, kind, length = struct.unpack_from("!HHH", data, at)
        assert vendor == 0
        assert length >= 6
        assert kind not in found
        value = data[at + 6 : at + length]
        found[kind] = struct.unpack(f"!{TYPES[kind]}", value)[0] if kind in TYPES else value
        at += length
    assert at == len(data)
    return found


def seen(payload: bytes = b"SIP/2.0 200 OK\r\n\r\n", **more: Any) -> Seen:
    source, target = (ip_address("192.0.2.1"), 40000), (ip_address("192.0.2.10"), 5061)
    return Seen(
        **{"time": 1_000_000_000.25, "source": source, "target": target, "reliable": True, "payload": payload}
        | {"correlation": "abc@192.0.2.1"}
        | more
    )


def test_every_chunk_is_there() -> None:
    assert read(packet(seen(), Agent(2001, b"secret", "node1"))) == {
        1: 2,
        2: 6,
        3: bytes([192, 0, 2, 1]),
        4: bytes([192, 0, 2, 10]),
        7: 40000,
        8: 5061,
        9: 1_000_000_000,
        10: 250_000,
        11: 1,
        12: 2001,
        14: b"secret",
        15: b"SIP/2.0 200 OK\r\n\r\n",
        17: b"abc@192.0.2.1",
        19: b"node1",
    }


def test_what_is_empty_is_left_out_and_ipv6_has_chunks_of_its_own() -> None:
    source, target = (ip_address("2001:db8::1"), 1), (ip_address("2001:db8::2"), 2)
    found = read(packet(seen(source=source, target=target, correlation="", reliable=False), Agent(1)))
    assert not {3, 4, 14, 17, 19} & found.keys()
    assert (found[1], found[2], IPv6Address(found[5]), IPv6Address(found[6])) == (
        10,
        17,
        source[0],
        target[0],
    )


def test_a_large_message_is_cut_to_one_datagram() -> None:
    data = packet(seen(b"x" * 70_000), Agent(1, b"k" * 255, "n" * 64))
    assert len(data) <= 65_507
    assert len(read(data)[15]) > 65_000
