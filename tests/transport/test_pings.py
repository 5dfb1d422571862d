"""Keepalives over UDP against a STUN server that does what a test wants."""

import asyncio
import socket

import pytest

from ringfence.transport import pings, stun
from ringfence.transport.flow import Endpoint
from tests.transport.conftest import MakeSide
from tests.transport.support import PATIENCE, options


class Server(asyncio.DatagramProtocol):
    """Answers as if from a NAT with this port, or not at all."""

    def __init__(self) -> None:
        self.port: int | None = 40000
        self.lose = 0
        self.requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.requests += 1
        if self.lose:
            self.lose -= 1
        elif self.port is not None:
            response = stun.answer(data, "192.0.2.9", self.port)
            assert response is not None
            self.transport.sendto(response[:-1], addr)  # type: ignore[attr-defined]
            self.transport.sendto(response, addr)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pings, "RETRANSMISSIONS", (0.02, 0.04))
    monkeypatch.setattr(pings, "LAST_WAIT", 0.1)


@pytest.mark.rfc("5626", "4.4.2")
async def test_a_flow_lives_while_answers_come_from_one_address(make: MakeSide) -> None:
    pool, above = make()
    listener = await pool.listen("UDP", "127.0.0.1", 0)
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        Server, local_addr=("127.0.0.1", 0)
    )
    flow = pool.flow_to("UDP", Endpoint(*transport.get_extra_info("sockname")))
    flow.ping()
    await asyncio.sleep(0.1)
    server.lose = 1
    flow.ping()
    await asyncio.sleep(0.1)
    assert server.requests == 3
    assert above.ends == []
    server.port = 40001
    flow.ping()
    ended, reason = await above.end()
    assert ended is flow
    assert reason == "the NAT shows us as 192.0.2.9:40001 now, not as 192.0.2.9:40000"
    server.port = None
    flow.ping()
    assert await above.end(2) == (flow, "no answer to a keepalive")
    assert server.requests == 7
    assert listener.pings._waiting == {}  # type: ignore[attr-defined]
    transport.close()


async def test_nobody_else_can_answer(make: MakeSide) -> None:
    pool, above = make()
    listener = await pool.listen("UDP", "127.0.0.1", 0)
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    peer.settimeout(PATIENCE)
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flow = pool.flow_to("UDP", Endpoint(*peer.getsockname()))
    flow.ping()
    request = peer.recv(1000)
    response = stun.answer(request, "192.0.2.66", 1)
    assert response is not None
    stranger.sendto(response, tuple(listener.local))
    stranger.sendto(options(), tuple(listener.local))
    await above.message()
    assert await above.end() == (flow, "no answer to a keepalive")
    peer.close()
    stranger.close()


async def test_a_closed_socket_pings_no_more(make: MakeSide) -> None:
    pool, above = make()
    listener = await pool.listen("UDP", "127.0.0.1", 0)
    flow = pool.flow_to("UDP", Endpoint("127.0.0.1", 9))
    flow.ping()
    listener.close()
    flow.ping()
    await asyncio.sleep(0.3)
    assert all("refused" in reason for _, reason in above.ends)
