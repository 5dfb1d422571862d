"""SIP over TCP: framing answers, keepalives, and what slow, endless, silent and deaf peers get."""

import asyncio
import dataclasses
import socket

import pytest

from ringfence.transport.flow import Endpoint, Flow
from ringfence.transport.pool import Pool
from tests.transport.conftest import LIMITS, MakeSide
from tests.transport.support import PATIENCE, Recorder, options

Raw = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def server(make: MakeSide, host: str) -> tuple[Pool, Recorder, Endpoint]:
    pool, above = make()
    listener = await pool.listen("TCP", host, 0)
    return pool, above, listener.local


async def dial(endpoint: Endpoint) -> Raw:
    return await asyncio.open_connection(*endpoint)


async def rest(raw: Raw) -> bytes:
    """All that comes until the other side closes; a reset counts as a close."""
    try:
        return await asyncio.wait_for(raw[0].read(), PATIENCE)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"], indirect=True)
async def test_both_ways(make: MakeSide, host: str) -> None:
    (here, above_here), (there, above_there) = make(), make()
    listener = await there.listen("TCP", host, 0)
    flow = here.flow_to("TCP", listener.local)
    flow.send(options(1))
    flow.send(options(2))
    assert flow is here.flow_to("TCP", listener.local)
    assert (await above_there.message(2))[0] == options(2)
    back = above_there.messages[0][1]
    await above_here.until(lambda: flow in above_here.opens)
    assert (flow.remote, flow.local) == (back.local, back.remote)
    assert flow.reliable
    assert not flow.secure
    back.send(b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    data, same = await above_here.message()
    assert data.startswith(b"SIP/2.0 200")
    assert same is flow
    assert there.find(back.key) is back
    flow.close("enough")
    assert (await above_here.end()) == (flow, "enough")
    assert (await above_there.end()) == (back, "the peer closed it")
    assert there.find(back.key) is None


@pytest.mark.rfc("3261", "18.3")
async def test_a_request_without_content_length_is_answered_400_and_closed(
    server: tuple[Pool, Recorder, Endpoint],
) -> None:
    raw = await dial(server[2])
    raw[1].write(options(1) + options(2).replace(b"Content-Length", b"X-Length"))
    answer = await rest(raw)
    assert answer.startswith(b"SIP/2.0 400 Bad Request (Content-Length: missing on a stream)\r\n")
    assert b"Call-ID: 2@127.0.0.1\r\n" in answer
    assert b"To: <sip:b@example.org>;tag=" in answer
    assert answer.endswith(b"Content-Length: 0\r\n\r\n")
    assert len(server[1].messages) == 1
    assert "malformed: 400" in (await server[1].end())[1]
    raw[1].close()


async def test_a_body_that_is_too_large_is_answered_413_before_it_comes(
    server: tuple[Pool, Recorder, Endpoint],
) -> None:
    raw = await dial(server[2])
    raw[1].write(options(length=LIMITS.body + 1) + b"x" * 100)
    assert (await rest(raw)).startswith(b"SIP/2.0 413 ")
    raw[1].close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 100,
        b"SIP/2.0 200 OK\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        options()
        .replace(b"OPTIONS sip", b"ACK sip")
        .replace(b"1 OPTIONS", b"1 ACK")
        .replace(b"Content-L", b"X"),
    ],
)
async def test_nobody_is_answered_who_did_not_ask(
    server: tuple[Pool, Recorder, Endpoint], data: bytes
) -> None:
    raw = await dial(server[2])
    raw[1].write(data)
    assert await rest(raw) == b""
    await server[1].end()
    raw[1].close()


@pytest.mark.rfc("5626", "4.4.1")
async def test_a_ping_is_answered_with_a_pong(server: tuple[Pool, Recorder, Endpoint]) -> None:
    raw = await dial(server[2])
    raw[1].write(b"\r\n\r\n" + options() + b"\r\n\r\n")
    assert await asyncio.wait_for(raw[0].readexactly(4), PATIENCE) == b"\r\n\r\n"
    assert (await server[1].message())[0] == options()
    raw[1].close()


@pytest.mark.rfc("5626", "4.4.1")
async def test_our_ping_wants_a_pong(make: MakeSide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.transport.tcp.PONG_TIME", 0.2)
    (here, above), (there, _) = make(), make()
    answering = await there.listen("TCP", "127.0.0.1", 0)
    flow = here.flow_to("TCP", answering.local)
    await above.until(lambda: flow in above.opens)
    flow.ping()
    await asyncio.sleep(0.4)
    assert not flow.closed

    async def read_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    deaf = await asyncio.start_server(read_only, "127.0.0.1", 0)
    silent = here.flow_to("TCP", Endpoint(*deaf.sockets[0].getsockname()))
    await above.until(lambda: silent in above.opens)
    silent.ping()
    assert await above.end() == (silent, "timed out waiting for a pong")
    deaf.close()
    await deaf.wait_closed()


async def test_slow_and_silent_peers_are_cut_off(server: tuple[Pool, Recorder, Endpoint]) -> None:
    drip, silent, body = [await dial(server[2]) for _ in range(3)]
    body[1].write(options(1) + options(2, length=100) + b"half of it")
    loop = asyncio.get_running_loop()
    start = loop.time()
    while not drip[1].is_closing() and loop.time() - start < PATIENCE:
        drip[1].write(b"x")  # a byte now and then is activity, but no message
        await asyncio.sleep(0.02)
    assert await rest(silent) == b""
    assert await rest(body) == b""
    await server[1].until(lambda: len(server[1].ends) == 3)
    reasons = sorted(reason for _, reason in server[1].ends)
    assert reasons == [
        "timed out waiting for a first message",
        "timed out waiting for a first message",
        "timed out waiting for the rest of a message",
    ]
    assert loop.time() - start < 2
    for raw in (drip, silent, body):
        raw[1].close()


async def test_a_head_without_end_is_cut_off_by_size(server: tuple[Pool, Recorder, Endpoint]) -> None:
    raw = await dial(server[2])
    raw[1].write(b"X-Endless: " + b"x" * 1_000_000)
    assert await rest(raw) == b""
    assert "malformed: 513" in (await server[1].end())[1]
    raw[1].close()


async def test_an_idle_connection_is_closed(make: MakeSide) -> None:
    pool, above = make(limits=dataclasses.replace(LIMITS, idle_time=0.2))
    listener = await pool.listen("TCP", "127.0.0.1", 0)
    raw = await dial(listener.local)
    raw[1].write(options())
    assert await rest(raw) == b""
    assert (await above.end())[1] == "idle for 0.2 s"
    raw[1].close()


async def test_a_peer_that_does_not_read_is_cut_off(make: MakeSide) -> None:
    pool, above = make(limits=dataclasses.replace(LIMITS, unsent=200_000))
    listener = await pool.listen("TCP", "127.0.0.1", 0)
    raw = await dial(listener.local)
    raw[1].write(options())
    flow = (await above.message())[1]
    for _ in range(20_000):
        flow.send(options(body=b"x" * 1000))
        if above.ends:
            break
        await asyncio.sleep(0)
    assert (await above.end()) == (flow, "the peer did not read 200000 bytes")
    raw[1].close()


async def test_too_many_connections_are_refused_at_the_door(make: MakeSide) -> None:
    pool, above = make(limits=dataclasses.replace(LIMITS, connections_per_source=2))
    listener = await pool.listen("TCP", "127.0.0.1", 0)
    kept = [await dial(listener.local) for _ in range(2)]
    await above.until(lambda: len(above.opens) == 2)
    raw = await dial(listener.local)
    assert await rest(raw) == b""
    assert pool.refused == 1
    assert above.ends == []
    kept[0][1].close()
    await above.end()
    again = await dial(listener.local)
    again[1].write(options())
    assert (await above.message())[0] == options()
    for other in (raw, again, kept[1]):
        other[1].close()


async def test_a_peer_that_is_not_there_is_told_later(make: MakeSide) -> None:
    pool, above = make()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = Endpoint(*probe.getsockname())
    flow = pool.flow_to("TCP", gone)
    flow.send(options())
    assert not flow.closed
    assert above.ends == []
    ended, reason = await above.end()
    assert ended is flow
    assert flow.closed
    assert "cannot be reached: Connection refused" in reason


async def test_sends_wait_for_the_connection_up_to_a_limit(make: MakeSide) -> None:
    pool, above = make(limits=dataclasses.replace(LIMITS, unsent=2000))
    other, _ = make()
    listener = await other.listen("TCP", "127.0.0.1", 0)
    flow = pool.flow_to("TCP", listener.local)
    for number in range(10):
        flow.send(options(number))
    assert flow.closed
    assert (await above.end())[1] == "too much to send before the connection was ready"


async def test_half_closed_after_a_request_still_gets_what_was_answered_at_once(make: MakeSide) -> None:
    pool, above = make()
    above.answer = lambda data, flow: b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
    listener = await pool.listen("TCP", "127.0.0.1", 0)
    raw = await dial(listener.local)
    raw[1].write(options())
    raw[1].write_eof()
    assert (await rest(raw)).startswith(b"SIP/2.0 200 OK")
    raw[1].close()


async def test_a_flow_that_is_closed_while_messages_wait_delivers_no_more(make: MakeSide) -> None:
    pool, above = make()

    def close_first(data: bytes, flow: Flow) -> None:
        flow.close("banned")

    above.answer = close_first
    listener = await pool.listen("TCP", "127.0.0.1", 0)
    raw = await dial(listener.local)
    raw[1].write(options(1) + options(2) + options(3))
    assert await rest(raw) == b""
    assert len(above.messages) == 1
    assert (await above.end())[1] == "banned"
    raw[1].close()
