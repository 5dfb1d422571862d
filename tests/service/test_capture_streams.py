"""TCP in a capture: segments that the capture lost, connections that begin anew, WebSocket."""

from __future__ import annotations

import struct

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Ping, Request, TextMessage

from ringfence.service.capture_reader import Heard, messages
from tests.service.test_capture import MESSAGE
from tests.service.test_capture_reader import HERE, SECOND, THERE, ip4, pcap, tcp, texts

THIRD = MESSAGE.replace(b"abc@", b"ghi@")
SYN = 2


def sent(number: int, data: bytes = b"", flags: int = 0x10) -> bytes:
    return ip4(tcp(number, data, flags), protocol=6)


def answered(acknowledged: int, data: bytes = b"", number: int = 1) -> bytes:
    """A segment of the other side, which says what it has got."""
    head = struct.pack("!HHIIBBHHH", 5060, 40000, number, acknowledged, 0x50, 0x10, 512, 0, 0)
    packet = ip4(head + data, protocol=6)
    return packet[:12] + THERE.packed + HERE.packed + packet[20:]


def test_a_segment_that_the_capture_lost_is_passed_over_when_the_other_side_has_it() -> None:
    second = 101 + len(MESSAGE) + 700
    packets = [sent(100, flags=SYN), sent(101, MESSAGE), sent(second, SECOND), answered(second + len(SECOND))]
    packets.append(sent(second + len(SECOND), THIRD))
    found = list(messages(pcap(*packets)))
    assert [each.data for each in found] == [MESSAGE, SECOND, THIRD]
    # Without the answer it could still come.
    late = sent(101 + len(MESSAGE), b"\r\n" * 350)
    assert texts(pcap(*packets[:3], late)) == [MESSAGE, SECOND]


def test_the_end_of_the_capture_gives_what_stands_behind_a_gap() -> None:
    far = 10_000
    packets = [
        sent(101, MESSAGE),
        sent(far, b"of a message"),
        sent(far + 12, SECOND),
        sent(far + 9_000, THIRD),
    ]
    assert texts(pcap(*packets)) == [MESSAGE, SECOND, THIRD]
    assert texts(pcap(sent(101, MESSAGE[:50]), sent(far, b"no message"))) == []


def test_a_syn_sent_again_changes_nothing_and_a_new_one_begins_a_connection() -> None:
    half = [sent(100, flags=SYN), sent(101, MESSAGE[:50]), sent(100, flags=SYN), sent(151, MESSAGE[50:])]
    assert texts(pcap(*half)) == [MESSAGE]
    anew = [sent(100, flags=SYN), sent(101, MESSAGE[:50]), sent(9_000, flags=SYN), sent(9_001, SECOND)]
    assert texts(pcap(*anew)) == [SECOND]


def websocket(*events: TextMessage | BytesMessage | Ping) -> tuple[bytes, bytes]:
    """What a client and a server of WebSocket write: an upgrade, and these from either side."""
    client, server = WSConnection(ConnectionType.CLIENT), WSConnection(ConnectionType.SERVER)
    asked = client.send(Request(host="example.org", target="/", subprotocols=["sip"]))
    server.receive_data(asked)
    agreed = server.send(AcceptConnection(subprotocol="sip"))
    client.receive_data(agreed)
    for event in (*client.events(), *server.events()):
        assert event
    return (
        asked + b"".join(client.send(each) for each in events),
        agreed + b"".join(server.send(each) for each in events),
    )


@pytest.mark.parametrize("size", [60, 100_000])
@pytest.mark.rfc("7118", "5")
def test_messages_in_websocket_frames(size: int) -> None:
    text = MESSAGE.decode()
    there, back = websocket(
        TextMessage(text[:40], message_finished=False),
        Ping(b"?"),
        TextMessage(text[40:]),
        TextMessage("\r\n\r\n"),
        BytesMessage(SECOND),
    )
    packets = [sent(101 + at, there[at : at + size]) for at in range(0, len(there), size)]
    packets += [answered(1, back[at : at + size], 1 + at) for at in range(0, len(back), size)]
    found = list(messages(pcap(sent(100, flags=SYN), answered(101, number=1), *packets)))
    assert [each.data for each in found] == [MESSAGE, SECOND] * 2
    assert found[0] == Heard(1_000_000_000.25, "WS", "192.0.2.1:40000", "192.0.2.2:5060", MESSAGE)
    assert found[2].source == "192.0.2.2:5060"


def test_a_websocket_that_can_not_be_read_ends() -> None:
    there, _ = websocket(TextMessage(MESSAGE.decode()))
    broken = there + b"\xff\xff\xff" + there[-300:]
    assert texts(pcap(sent(101, broken))) == [MESSAGE]
    assert texts(pcap(sent(101, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9_000))) == []


def test_http_is_no_sip() -> None:
    web = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    asked = [tcp(100, flags=SYN, source=40001), tcp(101, web, source=40001)]
    packets = [ip4(each[:2] + b"\x00\x50" + each[4:], protocol=6) for each in asked]
    assert texts(pcap(*packets)) == []
    assert texts(pcap(sent(100, flags=SYN), sent(101, web))) == [web]  # somebody sends it to our port
