"""Keepalives over the flow of a registration (RFC 5626 section 4.4)."""

from __future__ import annotations

import asyncio

import pytest

from ringfence.client.keepalive import Keepalive
from ringfence.transport import stun
from ringfence.transport.flow import Endpoint, Flow
from ringfence.transport.pool import Pool


class Upward:
    """Hears of nothing that matters here."""

    def received(self, data: bytes, flow: object) -> None: ...

    def opened(self, flow: object) -> None: ...

    def closed(self, flow: object, reason: str) -> None: ...


@pytest.mark.rfc("5626", "4.4.2")
async def test_over_udp_it_is_a_stun_request() -> None:
    pool = Pool(Upward())
    await pool.listen("UDP", "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    class Server(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            heard.put_nowait(data)

    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    flow = pool.flow_to("UDP", Endpoint(*transport.get_extra_info("sockname")))
    keepalive = Keepalive(flow, flow_timer=0)
    keepalive.start()
    async with asyncio.timeout(2):
        first, second = await heard.get(), await heard.get()
    keepalive.stop()
    assert first != second
    assert stun.answer(first, "192.0.2.1", 5060) is not None
    await pool.close()
    transport.close()


@pytest.mark.rfc("5626", "4.4.2")
async def test_an_answer_is_heard_and_another_address_in_it_fails_the_flow() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()

    class Hears(Upward):
        def closed(self, flow: object, reason: str) -> None:
            told.put_nowait(reason)

    pool = Pool(Hears())
    await pool.listen("UDP", "127.0.0.1", 0)
    seen = [("192.0.2.1", 5060), ("192.0.2.1", 5060), ("192.0.2.1", 6060)]

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            answer = stun.answer(data, *(seen.pop(0) if seen else ("192.0.2.1", 6060)))
            assert answer is not None
            self.transport.sendto(answer, addr)  # type: ignore[attr-defined]

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    flow = pool.flow_to("UDP", Endpoint(*transport.get_extra_info("sockname")))
    keepalive = Keepalive(flow, flow_timer=0)
    keepalive.start()
    async with asyncio.timeout(3):
        assert "as 192.0.2.1:6060 now, not as 192.0.2.1:5060" in await told.get()
    keepalive.stop()
    assert not seen
    await pool.close()
    transport.close()


async def test_a_registrar_without_outbound_gets_crlf() -> None:
    class Line(Flow):
        closed = False
        key = ""
        reliable = False
        sent: list[bytes] = []  # noqa: RUF012

        def send(self, data: bytes) -> None:
            self.sent.append(data)

        def close(self, reason: str) -> None: ...

    flow = Line()
    keepalive = Keepalive(flow, flow_timer=0, answered=False)
    keepalive.start()
    while not flow.sent:
        await asyncio.sleep(0.01)
    keepalive.stop()
    assert set(flow.sent) == {b"\r\n\r\n"}
