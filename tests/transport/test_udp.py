"""UDP: datagrams up and down, keepalives, ICMP."""

import asyncio
import socket
import struct

import pytest

from ringfence.transport import udp
from ringfence.transport.flow import Endpoint
from tests.transport.conftest import MakeSide
from tests.transport.support import options

pytestmark = pytest.mark.parametrize("host", ["127.0.0.1", "::1"], indirect=True)


def plain_socket(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


async def heard(sock: socket.socket) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), 3)


async def test_both_ways(make: MakeSide, host: str) -> None:
    (here, above_here), (there, above_there) = make(), make()
    a = await here.listen("UDP", host, 0)
    b = await there.listen("UDP", host, 0)
    flow = here.flow_to("UDP", b.local)
    flow.send(options())
    data, back = await above_there.message()
    assert data == options()
    assert (back.transport, back.local, back.remote) == ("UDP", b.local, a.local)
    assert not back.reliable
    assert not back.secure
    back.send(b"SIP/2.0 200 OK\r\n\r\n")
    assert (await above_here.message())[0].startswith(b"SIP/2.0 200")


async def test_a_flow_is_found_by_its_key(make: MakeSide, host: str) -> None:
    pool, _ = make()
    listener = await pool.listen("UDP", host, 0)
    flow = pool.flow_to("UDP", Endpoint(host, 5099))
    found = pool.find(flow.key)
    assert found is not None
    assert (found.local, found.remote) == (listener.local, Endpoint(host, 5099))
    assert flow.toward(Endpoint(host, 5098)).remote == Endpoint(host, 5098)
    listener.close()
    assert pool.find(flow.key) is None


async def test_the_largest_datagram_arrives_and_a_larger_one_is_told(make: MakeSide, host: str) -> None:
    (here, above_here), (there, above_there) = make(), make()
    await here.listen("UDP", host, 0)
    b = await there.listen("UDP", host, 0)
    largest = options(body=b"x" * (65_000 - len(options())))
    here.flow_to("UDP", b.local).send(largest)
    assert (await above_there.message())[0] == largest
    flow = here.flow_to("UDP", b.local)
    flow.send(b"x" * 70_000)
    assert above_here.ends == []  # never from inside send
    ended, reason = await above_here.end()
    assert ended is flow
    assert "too long" in reason
    assert not flow.closed


@pytest.mark.rfc("5626", "4.4.1")
async def test_what_is_not_sip_goes_no_further(make: MakeSide, host: str) -> None:
    pool, above = make()
    listener = await pool.listen("UDP", host, 0)
    sock = plain_socket(host)
    for noise in (b"", b"\r\n\r\n", b"\0\0\0\0", b"\x16\x03\x01", b"\xff" * 50, b"\r\n", b"\n", options()):
        sock.sendto(noise, tuple(listener.local))
    assert (await above.message())[0] == options()
    assert len(above.messages) == 1
    assert listener.dropped == 7
    sock.close()


@pytest.mark.parametrize("method", ["<INVITE>", " INVITE", '"a"', "\x7fA", "\u00e9", "\n\nINVITE"])
async def test_a_method_that_is_none_goes_up_so_that_it_can_be_answered(
    make: MakeSide, host: str, method: str
) -> None:
    pool, above = make()
    listener = await pool.listen("UDP", host, 0)
    data = method.encode() + b" sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n"
    sock = plain_socket(host)
    sock.sendto(data, tuple(listener.local))
    assert (await above.message())[0] == data
    sock.close()


async def test_crlf_before_a_request_is_dropped(make: MakeSide, host: str) -> None:
    pool, above = make()
    listener = await pool.listen("UDP", host, 0)
    sock = plain_socket(host)
    sock.sendto(b"\r\n" + options(), tuple(listener.local))
    assert (await above.message())[0] == options()
    sock.close()


@pytest.mark.rfc("5626", "8")
async def test_stun_is_answered_on_the_sip_port(make: MakeSide, host: str) -> None:
    pool, above = make()
    listener = await pool.listen("UDP", host, 0)
    sock = plain_socket(host)
    sock.sendto(struct.pack("!HHI", 1, 0, 0x2112A442) + b"transaction1", tuple(listener.local))
    response = await heard(sock)
    assert response[:2] == b"\x01\x01"
    assert response[8:20] == b"transaction1"
    assert above.messages == []
    sock.close()


@pytest.mark.rfc("3261", "18.4")
async def test_an_unreachable_peer_is_told_and_nobody_else_is_hurt(make: MakeSide, host: str) -> None:
    pool, above = make()
    await pool.listen("UDP", host, 0)
    dead, alive = plain_socket(host), plain_socket(host)
    gone = Endpoint(*dead.getsockname()[:2])
    dead.close()
    flow = pool.flow_to("UDP", gone)
    living = pool.flow_to("UDP", Endpoint(*alive.getsockname()[:2]))
    flow.send(options())
    living.send(options(2))
    assert await heard(alive) == options(2)
    ended, reason = await above.end()
    assert ended.remote == gone
    assert "refused" in reason
    assert not flow.closed
    alive.close()


async def test_flow_objects_are_bounded(make: MakeSide, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "MAX_FLOWS", 8)
    pool, _ = make()
    listener = await pool.listen("UDP", host, 0)
    flows = [pool.flow_to("UDP", Endpoint(host, port)) for port in range(6000, 6100)]
    assert len({flow.key for flow in flows}) == 100
    assert len(listener._flows) <= 10


async def test_a_closed_socket_sends_nothing(make: MakeSide, host: str) -> None:
    pool, above = make()
    listener = await pool.listen("UDP", host, 0)
    flow = pool.flow_to("UDP", Endpoint(host, 5099))
    listener.close()
    assert flow.closed
    flow.send(options())
    dead = pool.flow_to("UDP", Endpoint(host, 5099))
    assert dead.closed
    assert (await above.end())[0] is dead


async def test_ports_can_be_shared(make: MakeSide, host: str) -> None:
    (one, _), (two, _) = make(), make()
    first = await one.listen("UDP", host, 0, reuse_port=True)
    await two.listen("UDP", host, first.local.port, reuse_port=True)
    with pytest.raises(OSError, match=rf"cannot listen on .*{first.local.port}"):
        await one.listen("UDP", host, first.local.port)
