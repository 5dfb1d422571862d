"""Keepalives over the flow of a registration (RFC 5626 section 4.4)."""

from __future__ import annotations

import asyncio
import struct

import pytest

from ringfence.client.keepalive import Keepalive, binding_request
from ringfence.transport import stun
from ringfence.transport.flow import Endpoint
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


def test_the_request_is_what_rfc_5389_says() -> None:
    kind, length, cookie = struct.unpack_from("!HHI", binding_request(bytes(12)))
    assert (kind, length, cookie) == (1, 0, 0x2112A442)
