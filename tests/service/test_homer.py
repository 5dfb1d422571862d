"""What sends messages to a HEP server: over each transport, to one that comes late, goes away or reads nothing."""

import asyncio
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringfence.message import parse
from ringfence.service import homer as module
from ringfence.service.hep import Agent
from ringfence.service.homer import Homer, Policy, Server
from ringfence.transport.flow import Endpoint
from tests.service.test_hep import read
from tests.service.test_trace import BUSY, INVITE, PaperFlow
from tests.transport.support import Authority

HOST = "127.0.0.1"


async def until(ready: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not ready():
            await asyncio.sleep(0.01)


class Receiver(asyncio.DatagramProtocol):
    """A HEP server: cuts the stream by the length of each packet, as the specification says."""

    def __init__(self) -> None:
        self.packets: list[dict[int, Any]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    def datagram_received(self, data: bytes, _addr: object) -> None:
        self.packets.append(read(data))

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readexactly(6)
                (length,) = struct.unpack("!H", head[4:])
                self.packets.append(read(head + await reader.readexactly(length - 6)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def listen(self, context: ssl.SSLContext | None = None, port: int = 0) -> asyncio.Server:
        server = await asyncio.start_server(self.connected, HOST, port, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        return server


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


class Running:
    """An exporter at work, for the time of a test."""

    def __init__(self, port: int, *, datagrams: bool = False, policy: Policy = "hide", **more: Any) -> None:
        self.homer = Homer(Server(HOST, port, datagrams, **more), Agent(7, b"key", "n"), policy, b"secret")

    async def __aenter__(self) -> Homer:
        self._task = asyncio.create_task(self.homer.run())
        return self.homer

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def show(homer: Homer, data: bytes = INVITE, direction: str = "in", *, private: bool = False) -> None:
    homer.offer(direction, parse(data), PaperFlow(), 1000.5, private=private)


async def test_over_tcp_each_message_arrives_once_without_secrets(receiver: Receiver) -> None:
    async with await receiver.listen(), Running(receiver.port) as homer:
        show(homer)
        show(homer, BUSY, "out")
        await until(lambda: len(receiver.packets) == 2)
        invite, busy = receiver.packets
        assert (invite[3], invite[4]) == (bytes([192, 0, 2, 1]), bytes([192, 0, 2, 10]))
        assert (busy[3], busy[4]) == (bytes([192, 0, 2, 10]), bytes([192, 0, 2, 1]))
        assert invite[15].startswith(b"INVITE sip:bob@example.net")
        assert b"hunter2" not in invite[15]
        assert (invite[12], invite[14], invite[17]) == (7, b"key", b"abc@192.0.2.1")
        assert homer.counts["sent"] == 2
        assert homer.connected


async def test_over_udp(receiver: Receiver) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: receiver, local_addr=(HOST, 0))
    async with Running(transport.get_extra_info("sockname")[1], datagrams=True) as homer:
        show(homer)
        await until(lambda: receiver.packets)
    transport.close()


async def test_over_tls_the_certificate_is_checked(receiver: Receiver, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(HOST))
    trusting = ssl.create_default_context(cafile=authority.root)
    async with await receiver.listen(context):
        async with Running(receiver.port, context=trusting) as homer:
            show(homer)
            await until(lambda: receiver.packets)
        async with Running(receiver.port, context=ssl.create_default_context()) as homer:
            show(homer)
            await until(lambda: homer.counts["failed connections"])
            assert len(receiver.packets) == 1


@pytest.mark.parametrize("policy", ["hide", "link", "omit"])
async def test_private_calls_are_sent_as_the_owner_wants(receiver: Receiver, policy: Policy) -> None:
    async with await receiver.listen(), Running(receiver.port, policy=policy) as homer:
        show(homer, private=True)
        show(homer, BUSY, private=True)
        show(homer, INVITE.replace(b"abc@", b"def@"), private=True)
        show(homer, INVITE.replace(b"abc@", b"open@"))
        await until(lambda: any(b"open@" in each.get(17, b"") for each in receiver.packets))
        private = receiver.packets[:-1]
        for each in private:
            assert b"alice" not in each[15]
            assert b"abc@" not in each[15]
            assert each[3] == bytes([192, 0, 2, 1])
            assert each[7] == 5060
        links = [each.get(17) for each in private]
        if policy == "omit":
            assert homer.counts["omitted"] == 3
            assert not private
        elif policy == "hide":
            assert links == [None] * 3
        else:
            assert links[0] == links[1] != links[2]
            assert links[0] in private[0][15]


async def test_it_waits_for_a_server_and_finds_it_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_REST", 0.02)
    server = await receiver.listen()
    port = receiver.port
    server.close()
    await server.wait_closed()
    async with Running(port) as homer:
        show(homer)
        await until(lambda: homer.counts["failed connections"] >= 2)
        assert homer.waiting == 1
        async with await receiver.listen(port=port):
            await until(lambda: receiver.packets)
            receiver.writers[0].close()

            def again() -> bool:
                show(homer, BUSY)
                return len(receiver.writers) == 2

            await until(again)


async def test_too_many_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    homer = Homer(Server(HOST, 9, False), Agent(1))
    for _ in range(25):
        show(homer)
    assert (homer.waiting, homer.counts["dropped"]) == (10, 15)
    monkeypatch.setattr(module, "MAX_WAITING", 1000)
    monkeypatch.setattr(module, "MAX_WAITING_OCTETS", 15 * len(INVITE))
    for _ in range(25):
        show(homer)
    assert homer.waiting == 15


async def test_a_server_that_reads_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.2)
    kept: list[asyncio.StreamWriter] = []
    deaf = await asyncio.start_server(lambda _, writer: kept.append(writer), HOST, 0, limit=1)
    large = INVITE.replace(b"Content-Length: 0\r\n\r\n", b"Content-Length: 60000\r\n\r\n" + b"x" * 60_000)
    async with Running(deaf.sockets[0].getsockname()[1]) as homer:
        loop = asyncio.get_running_loop()
        slowest = 0.0
        while not homer.counts["failed connections"]:
            for _ in range(8):
                show(homer, large)
            before = loop.time()
            await asyncio.sleep(0)
            slowest = max(slowest, loop.time() - before)
        assert "dropped" in homer.counts or homer.counts["lost"]
        assert slowest < 0.5
    for each in kept:
        each.close()
    deaf.close()


async def test_a_socket_of_both_families_has_an_address_of_the_right_one(receiver: Receiver) -> None:
    class Both(PaperFlow):
        __slots__ = ()

        def __init__(self) -> None:
            super().__init__("UDP")
            self.local, self.remote = Endpoint("::", 5060), Endpoint("::ffff:192.0.2.9", 40000)

    async with await receiver.listen(), Running(receiver.port) as homer:
        homer.offer("in", parse(INVITE), Both(), 1.0, private=False)
        await until(lambda: receiver.packets)
        assert (receiver.packets[0][3], receiver.packets[0][4]) == (bytes([192, 0, 2, 9]), bytes(4))
