"""A private call between two baresip phones, each in a network of its own: what arrives at the callee is captured.

The caller's phone knows nothing of privacy; its account is private. A capture on its side tells what there is to be
found: its Call-ID, tags, branches, addresses and the CNAME in its RTCP. None of that may be in any packet that reaches
the other phone, in signalling or media; and each hears the other all the same.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.interop.baresip import MODULES
from tests.interop.namespaces import NODE, PHONE, Lab
from tests.interop.processes import eventually
from tests.interop.test_nat import HEARD, World, heard

pytestmark = pytest.mark.interop("ip", "nft", "tcpdump", "baresip")

CALLER_OUTSIDE = "198.51.100.2"
"""What the caller's NAT shows of it."""


@dataclass(frozen=True)
class Datagram:
    source: str
    to: str
    data: bytes


def datagrams(capture: Path) -> Iterator[Datagram]:
    """The UDP datagrams in a capture of Ethernet."""
    data = capture.read_bytes()
    place = 24
    while place + 16 <= len(data):
        (length,) = struct.unpack_from("<I", data, place + 8)
        frame = data[place + 16 : place + 16 + length]
        place += 16 + length
        packet = frame[14:]
        if len(frame) < length or packet[:1] != b"\x45" or packet[9] != 17:
            continue
        yield Datagram(str(ip_address(packet[12:16])), str(ip_address(packet[16:20])), packet[28:])


def cnames(packet: bytes) -> list[bytes]:
    """What the source descriptions in a datagram of RTCP say of the sender (RFC 3550 section 6.5)."""
    found = []
    while len(packet) >= 4 and packet[0] >> 6 == 2 and 200 <= packet[1] <= 204:
        length = 4 * (struct.unpack_from(">H", packet, 2)[0] + 1)
        if packet[1] == 202:
            found.append(packet[10 : 10 + packet[9]])
        packet = packet[length:]
    return found


def names_of(sent: list[bytes]) -> set[bytes]:
    """Everything in the caller's own messages that could tell who or where it is."""
    names: set[bytes] = {b"alice", CALLER_OUTSIDE.encode(), ip_address(CALLER_OUTSIDE).packed}
    for data in sent:
        if b"SIP/2.0" in data[:100] or data.startswith(b"SIP/2.0"):
            names |= set(re.findall(rb"(?mi)^call-id: *([^\r]+)", data))
            names |= set(re.findall(rb"(?mi)^from:[^\r]*;tag=([^\r;]+)", data))
            names |= set(re.findall(rb"(?mi)^via:[^\r]*;branch=([^\r;]+)", data))
            names |= set(re.findall(rb"(?m)^o=\S+ (\d{5,}) ", data))
        names |= {name for name in cnames(data) if name}
    return names


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("private"))
    made.lab = Lab("port-restricted")
    try:
        yield made
    finally:
        made.close()


def test_baresip_calls_anonymously_and_nothing_of_it_arrives(world: World) -> None:
    if not MODULES.is_dir():
        pytest.skip(f"baresip's modules are not in {MODULES}")
    world.node.command("user", "privacy", "alice", "--keep", "user,header,session")
    world.serve()
    captures = {side: world.directory / f"{side}.pcap" for side in ("a", "b")}
    dumps = [
        world.start(side, "tcpdump", "-i", f"to-nat{side}", "-U", "-w", file, "udp", name=f"tcpdump-{side}")
        for side, file in captures.items()
    ]
    eventually(lambda: all("listening on" in each.tail() for each in dumps), "tcpdump listens")
    bob = world.baresip("b", "bob")
    eventually(lambda: "200 OK" in bob.tail(), "bob is registered")
    alice = world.baresip("a", "alice", "-e", "/dial sip:bob@example.org")
    for user, hertz in (("alice", 700), ("bob", 440)):
        eventually(
            lambda: heard(world.directory / f"baresip-{user}", "dump-*-dec.wav", hertz) >= HEARD,  # noqa: B023
            f"{user} hears the other",
        )
    sent = captures["a"]
    eventually(
        lambda: any(cnames(each.data) for each in datagrams(sent) if each.source == PHONE),
        "the caller's RTCP",
        20,
    )
    alice.end()
    eventually(lambda: world.node.status()["media_sessions"] == 0, "the call is over")
    for each in dumps:
        each.end()
    names = names_of([each.data for each in datagrams(sent) if each.source == PHONE])
    assert len(names) > 8, names
    arrived = [each for each in datagrams(captures["b"]) if each.to == PHONE]
    assert {each.source for each in arrived} == {NODE}
    assert any(cnames(each.data) for each in arrived), "RTCP of the caller has arrived"
    whole = b"\n".join(each.data for each in arrived)
    assert [name for name in names if name in whole] == []
    assert b"anonymous@anonymous.invalid" in whole
