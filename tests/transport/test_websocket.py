"""SIP over WebSocket (RFC 7118), with wsproto as the other side where the other side must misbehave."""

import asyncio

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from ringfence.transport.flow import Endpoint
from ringfence.transport.websocket import WebSocketPolicy
from tests.transport.conftest import LIMITS, MakeSide
from tests.transport.support import PATIENCE, Authority, Recorder, options
from tests.transport.test_tcp import dial, rest
from tests.transport.test_tls import strange_client


class Browser:
    """A client that sends what a test wants."""

    def __init__(self, remote: Endpoint) -> None:
        self.remote = remote
        self.websocket = WSConnection(ConnectionType.CLIENT)
        self.events: list[Event] = []

    async def upgrade(self, *subprotocols: str, origin: str | None = None) -> Event:
        self.reader, self.writer = await dial(self.remote)
        headers = [(b"Origin", origin.encode())] if origin else []
        request = Request(host="x", target="/", subprotocols=list(subprotocols), extra_headers=headers)
        self.send(request)
        return await self.event()

    def send(self, event: Event) -> None:
        self.writer.write(self.websocket.send(event))

    async def event(self) -> Event:
        async with asyncio.timeout(PATIENCE):
            while not self.events:
                data = await self.reader.read(65536)
                self.websocket.receive_data(data or None)
                self.events += self.websocket.events()
        return self.events.pop(0)


async def listening(make: MakeSide, **policy: frozenset[str]) -> tuple[Recorder, Endpoint]:
    pool, above = make(websocket=WebSocketPolicy(**policy))
    return above, (await pool.listen("WS", "127.0.0.1", 0)).local


@pytest.mark.rfc("7118", "4.1")
@pytest.mark.parametrize("transport", ["WS", "WSS"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"], indirect=True)
async def test_both_ways(make: MakeSide, authority: Authority, transport: str, host: str) -> None:
    there, above_there = make(authority.contexts("example.org"))
    here, above = make(authority.contexts())
    listener = await there.listen(transport, host, 0)
    flow = here.flow_to(transport, listener.local, "example.org")
    flow.send(options(1))
    flow.send(options(2, body=b"\xff\xfe" * 40_000))
    assert (await above_there.message())[0] == options(1)
    data, back = await above_there.message(2)
    assert data == options(2, body=b"\xff\xfe" * 40_000)
    assert (back.transport, back.reliable, back.secure) == (transport, True, transport == "WSS")
    back.send(b"SIP/2.0 200 OK\r\n\r\n")
    assert (await above.message()) == (b"SIP/2.0 200 OK\r\n\r\n", flow)
    flow.close("enough")
    assert (await above.end()) == (flow, "enough")
    assert "1001" in (await above_there.end())[1]


@pytest.mark.rfc("7118", "4.2")
async def test_text_and_binary_are_taken_and_sent(make: MakeSide) -> None:
    above, remote = await listening(make)
    browser = Browser(remote)
    accepted = await browser.upgrade("chat", "sip")
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == "sip"
    assert accepted.extensions == []
    browser.send(TextMessage(data=options(1).decode()))
    browser.send(BytesMessage(data=options(2)))
    for number in (1, 2):
        data, flow = await above.message(number)
        assert data == options(number)
    flow.send("SIP/2.0 200 Schön\r\n\r\n".encode())
    assert await browser.event() == TextMessage(data="SIP/2.0 200 Schön\r\n\r\n")
    flow.send(b"\xff")
    assert await browser.event() == BytesMessage(data=bytearray(b"\xff"))
    browser.writer.close()


async def test_a_message_may_come_in_pieces(make: MakeSide) -> None:
    above, remote = await listening(make)
    browser = Browser(remote)
    await browser.upgrade("sip")
    text = options().decode()
    browser.send(TextMessage(data=text[:50], message_finished=False))
    browser.send(Ping(payload=b"between"))
    browser.send(TextMessage(data=text[50:90], message_finished=False))
    browser.send(TextMessage(data=text[90:]))
    assert await browser.event() == Pong(payload=bytearray(b"between"))
    assert (await above.message())[0] == options()
    browser.writer.close()


@pytest.mark.rfc("7118", "6")
async def test_keepalives(make: MakeSide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.transport.websocket.PONG_TIME", 0.2)
    above, remote = await listening(make)
    browser = Browser(remote)
    await browser.upgrade("sip")
    browser.send(TextMessage(data="\r\n\r\n"))
    assert await browser.event() == TextMessage(data="\r\n")
    browser.send(TextMessage(data="\r\n"))
    browser.send(TextMessage(data=options().decode()))
    flow = (await above.message())[1]
    flow.ping()
    ping = await browser.event()
    assert isinstance(ping, Ping)
    browser.send(ping.response())
    await asyncio.sleep(0.4)
    assert not flow.closed
    flow.ping()
    assert (await above.end())[1] == "timed out waiting for a pong"
    browser.writer.close()


@pytest.mark.rfc("7118", "4.1")
async def test_the_sip_subprotocol_is_required(make: MakeSide) -> None:
    above, remote = await listening(make)
    for subprotocols in ((), ("chat",)):
        refused = await Browser(remote).upgrade(*subprotocols)
        assert isinstance(refused, RejectConnection)
        assert refused.status_code == 400
    assert above.opens == []


@pytest.mark.rfc("6455", "10.2")
async def test_origins(make: MakeSide) -> None:
    _, remote = await listening(make, origins=frozenset({"https://phone.example.org"}))
    for origin, good in (
        ("https://phone.example.org", True),
        ("https://Phone.Example.org", True),
        (None, True),
        ("https://evil.example", False),
        ("null", False),
        ("https://phone.example.org.evil.example", False),
    ):
        answer = await Browser(remote).upgrade("sip", origin=origin)
        assert isinstance(answer, AcceptConnection if good else RejectConnection), origin
        assert good or answer.status_code == 403


GOOD = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (GOOD.replace(b"Version: 13", b"Version: 8"), b"426"),
        (GOOD.replace(b"Upgrade: websocket\r\n", b""), b"426"),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"426"),
        (GOOD.replace(b"Host: x", b"Host: \xff.\xfe"), b"400"),
        (b"GET  HTTP\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 30_000, b"400"),
        (b"INVITE sip:x SIP/2.0\r\n\r\n", b"400"),
    ],
)
async def test_what_is_no_websocket_gets_an_http_error(
    make: MakeSide, request_bytes: bytes, status: bytes
) -> None:
    above, remote = await listening(make)
    raw = await dial(remote)
    raw[1].write(request_bytes)
    answer = await rest(raw)
    assert answer.startswith(b"HTTP/1.1 " + status)
    if status == b"426":
        assert b"upgrade: websocket" in answer.lower()
    await above.end()
    assert above.opens == []
    raw[1].close()


@pytest.mark.rfc("6455", "4.2.1")
@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"x",
        b"AAAA",
        b"AAAAAAAAAAAAAAAAAAAAAAA=",
        b"dGhlIHNhbXBsZSBub25jZQ",
        b"!" * 24,
        b"dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ],
)
async def test_a_key_that_is_none_is_refused(make: MakeSide, key: bytes) -> None:
    above, remote = await listening(make)
    raw = await dial(remote)
    raw[1].write(GOOD.replace(b"dGhlIHNhbXBsZSBub25jZQ==", key))
    answer = await rest(raw)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Sec-WebSocket-Key" in answer
    await above.end()
    assert above.opens == []
    raw[1].close()


async def test_a_client_that_says_nothing_is_cut_off(make: MakeSide) -> None:
    above, remote = await listening(make)
    silent, slow = await dial(remote), await dial(remote)
    slow[1].write(b"GET / HTTP/1.1\r\nHost:")
    for raw in (silent, slow):
        assert await rest(raw) == b""
        raw[1].close()
    await above.until(lambda: len(above.ends) == 2)
    assert {reason for _, reason in above.ends} == {"timed out waiting for the end of the handshake"}


async def test_a_message_that_never_ends_is_cut_off(make: MakeSide) -> None:
    above, remote = await listening(make)
    browser = Browser(remote)
    await browser.upgrade("sip")
    browser.send(TextMessage(data=options().decode()))
    await above.message()
    browser.send(TextMessage(data="OPTIONS", message_finished=False))
    assert (await above.end())[1] == "timed out waiting for the rest of a message"
    browser.writer.close()


async def test_a_message_that_is_too_large_is_refused_with_1009(make: MakeSide) -> None:
    above, remote = await listening(make)
    browser = Browser(remote)
    await browser.upgrade("sip")
    browser.send(BytesMessage(data=b"x" * (LIMITS.body + 70_000)))
    closing = await browser.event()
    assert isinstance(closing, CloseConnection)
    assert closing.code == 1009
    assert above.messages == []
    await above.end()
    browser.writer.close()


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x85\0\0\0\0\xff\xff\xff\xff\xff",  # text that is not UTF-8
        b"\x81\x05hello",  # not masked
        b"\xf1\x80\0\0\0\0",  # reserved bits
        b"\x83\x80\0\0\0\0",  # unknown opcode
        b"\x89\xfe\x00\xff\0\0\0\0",  # a ping of 255 bytes
        b"\x80\x80\0\0\0\0",  # a continuation of nothing
    ],
)
async def test_broken_frames_close_the_connection(make: MakeSide, frame: bytes) -> None:
    above, remote = await listening(make)
    browser = Browser(remote)
    await browser.upgrade("sip")
    browser.writer.write(frame)
    closing = await browser.event()
    assert isinstance(closing, CloseConnection)
    await above.end()
    assert above.messages == []
    browser.writer.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the server answered HTTP 404"),
        (b"SIP/2.0 400 Bad Request\r\n\r\n", "WebSocket: "),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: bm90IHRoZSByaWdodCBvbmU=\r\n\r\n",
            "WebSocket: ",
        ),
    ],
)
async def test_a_server_that_does_not_agree(make: MakeSide, answer: bytes, reason: str) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    pool, above = make()
    flow = pool.flow_to("WS", Endpoint(*server.sockets[0].getsockname()))
    flow.send(options())
    ended, why = await above.end()
    assert ended is flow
    assert reason in why
    server.close()
    await server.wait_closed()


async def test_tls_and_upgrade_in_one_go(make: MakeSide, authority: Authority) -> None:
    """A client may put its upgrade and the end of its handshake into one packet."""
    pool, above = make(authority.contexts("example.org"))
    remote = (await pool.listen("WSS", "127.0.0.1", 0)).local
    reader, writer = await asyncio.open_connection(*remote, ssl=strange_client())
    writer.write(GOOD)
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).startswith(b"HTTP/1.1 101 ")
    await above.until(lambda: len(above.opens) == 1)
    writer.close()
    await above.end()
