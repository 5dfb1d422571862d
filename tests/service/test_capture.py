"""A capture, as tcpdump and tshark read it."""

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ringfence.service.capture import MAX_PAYLOAD, beginning, packet

MESSAGE = (
    b"OPTIONS sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@example.org>;tag=1\r\nTo: <sip:bob@example.org>\r\nCall-ID: abc@192.0.2.1\r\n"
    b"CSeq: 7 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def event(direction: str, remote: str, local: str = "192.0.2.10:5060") -> dict[str, Any]:
    return {
        "time": 1_000_000_000.25,
        "direction": direction,
        "transport": "TLS",
        "local": local,
        "remote": remote,
    }


CASES = (
    (event("in", "192.0.2.1:40000"), "192.0.2.1", "192.0.2.10"),
    (event("out", "192.0.2.1:40000"), "192.0.2.10", "192.0.2.1"),
    (event("in", "[2001:db8::7]:40000", "[2001:db8::10]:5060"), "2001:db8::7", "2001:db8::10"),
    (event("out", "[fe80::7%eth0]:40000", "[fe80::1%eth0]:5060"), "fe80::1", "fe80::7"),
    (event("in", "[private]"), "192.0.2.1", "192.0.2.10"),
    (event("out", "[private]", "[2001:db8::10]:5060"), "2001:db8::10", "2001:db8::1"),
    (event("in", "192.0.2.1:40000", "[::]:5060"), "::ffff:192.0.2.1", "::"),
)


def capture(path: Path) -> Path:
    blocks = [beginning("ringfence test"), *(packet(each, MESSAGE) for each, _, _ in CASES)]
    path.write_bytes(b"".join(blocks))
    return path


def test_every_block_is_whole() -> None:
    data = beginning("ringfence") + packet(CASES[0][0], b"x" * 70_000)
    at, kinds = 0, []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, at + length - 4) == (length,)
        kinds.append(kind)
        at += length
    assert kinds == [0x0A0D0D0A, 1, 6]
    assert b"x" * MAX_PAYLOAD in data
    assert b"x" * (MAX_PAYLOAD + 1) not in data


@pytest.mark.interop("tcpdump")
def test_tcpdump_reads_it(tmp_path: Path) -> None:
    words = ["tcpdump", "-nn", "-tt", "-vv", "-r", str(capture(tmp_path / "c.pcapng"))]
    read = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    assert read.stdout.count("OPTIONS sip:bob@example.org SIP/2.0") == len(CASES)
    assert "1000000000.250000 IP (" in read.stdout
    assert "bad" not in read.stdout, "a checksum or a length is wrong"
    assert "192.0.2.1.40000 > 192.0.2.10.5060" in read.stdout


@pytest.mark.interop("tshark")
def test_wireshark_takes_each_for_sip(tmp_path: Path) -> None:
    words = [
        "tshark",
        "-r",
        str(capture(tmp_path / "c.pcapng")),
        "-T",
        "json",
        "-o",
        "udp.check_checksum:TRUE",
    ]
    shown = subprocess.run(
        [str(shutil.which("tshark")), *words[1:]], capture_output=True, text=True, timeout=60
    )
    packets = [each["_source"]["layers"] for each in json.loads(shown.stdout)]
    assert len(packets) == len(CASES)
    for layers, (told, source, target) in zip(packets, CASES, strict=True):
        assert layers["sip"]["sip.msg_hdr_tree"]["sip.Call-ID"] == "abc@192.0.2.1"
        assert layers["udp"]["udp.checksum.status"] == "1", "good"
        family = layers["ip"] if "ip" in layers else layers["ipv6"]
        found = (family.get("ip.src", family.get("ipv6.src")), family.get("ip.dst", family.get("ipv6.dst")))
        assert found == (source, target)
        assert ("stand-ins" in json.dumps(layers)) == (told["remote"] == "[private]")
