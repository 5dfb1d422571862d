"""What a plan needs besides calls: keep-alives, relayed packets, and what a database of its own has to do.

A keep-alive is what a phone sends to hold its connection open (RFC 5626 section 4.4): two CRLF over TCP and TLS, a
STUN request over UDP. One comes at a time, so that each finds the node asleep, as between the phones of a day. What the
node takes while nothing happens at all is taken off. A packet of media passes a relay in a process of its own. The
database is a PostgreSQL of our own, where that is installed: its CPU, not the node's, which the rows of calls have.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ringfence.bench.harness import NODE, Result, Server
from ringfence.bench.memory import wait
from ringfence.bench.rows import Row
from ringfence.bench.world import HOST, World, cpu_seconds
from ringfence.ledger.book import Sealing, SqlLedger
from ringfence.ledger.events import Event, Kind
from ringfence.store.database import Database
from ringfence.store.migrate import upgrade
from ringfence.store.records import Binding
from ringfence.transport.relay import Relay
from ringfence.transport.stun import binding_request

PHONES = 50
"""That send keep-alives in turn."""

RATE = 400.0
"""Keep-alives a second."""

STREAMS = 20
"""Calls through the relay: 2,000 packets a second."""

INTERVAL = 0.02
PACKET = b"\x80\x00" + bytes(10) + bytes(160)
"""G.711: 172 octets."""

RELAY_PORTS = range(13_000, 13_000 + 8 * STREAMS + 64)

WRITES = 150.0
"""Calls, or registrations, a second that the database is given."""

FACTS = {
    "account": "sip:alice@example.org", "caller": "sip:alice@example.org", "callee": "sip:bob@example.org",
    "call_id": "843817637684230@998sdasdh09", "evidence": "digest SHA-256", "transport": "TLS",
    "source": "198.51.100.10 40000",
}  # fmt: skip


class NotHere(Exception):
    """What has to be measured is not installed."""


def run(row: Row, seconds: float, cores: tuple[str, str]) -> Result:
    """One run of a row of this kind. Raises NotHere."""
    if row.kind == "ping":
        return _pings(row, seconds, cores)
    if row.kind == "packet":
        return _packets(seconds, cores[0])
    return asyncio.run(_writes(row.mode, seconds))


def _result(count: int, failed: int, cpu: float, times: Sequence[float] = (0.0,)) -> Result:
    ordered = sorted(times) or [0.0]
    p50, p99 = (1e3 * ordered[int(len(ordered) * part)] for part in (0.50, 0.99))
    return Result(count, failed, max(0.0, 1e6 * cpu / max(1, count - failed)), p50, p99, 0.0)


# -- keep-alives ----------------------------------------------------------------------------------------


def _pings(row: Row, seconds: float, cores: tuple[str, str]) -> Result:
    world = World(*cores)
    try:
        server = Server.named("ringfence", 17_060)
        log = world.directory / "small.log"
        words = [
            *NODE,
            "--mode",
            "noauth",
            "--udp",
            f"{HOST}:{server.base}",
            "--tls",
            f"{HOST}:{server.base + 1}",
        ]
        words += ["--cert", str(world.cert), "--key", str(world.key), "--users", str(world.one_caller)]
        node = world.spawn([*words, "--dir", str(world.fresh("node"))], world.server_core, log)
        wait(server, node, log)
        phones = [open_phone(row.transport, server.base) for _ in range(PHONES)]
        time.sleep(1.0)
        before = cpu_seconds(node)
        time.sleep(seconds)
        idle = cpu_seconds(node) - before
        before = cpu_seconds(node)
        times, failed = ping_all(phones, row.transport, seconds)
        cpu = cpu_seconds(node) - before - idle
        for phone in phones:
            phone.close()
        return _result(len(times) + failed, failed, cpu, times)
    finally:
        world.close()


def open_phone(transport: str, base: int) -> socket.socket:
    """A phone that is connected to the node whose first port is ``base``."""
    if transport == "udp":
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect((HOST, base))
    else:
        sock = socket.create_connection((HOST, base + (transport == "tls")), 10)
        if transport == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            sock = context.wrap_socket(sock)
    sock.settimeout(1.0)
    return sock


def ping_all(phones: Sequence[socket.socket], transport: str, seconds: float) -> tuple[list[float], int]:
    """Keep-alives from the phones in turn: how long each answer took, in seconds, and how many did not come."""
    times, failed = [], 0
    begun = time.perf_counter()
    for number in range(int(RATE * seconds)):
        time.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
        phone = phones[number % len(phones)]
        sent = time.perf_counter()
        try:
            phone.sendall(binding_request(os.urandom(12)) if transport == "udp" else b"\r\n\r\n")
            phone.recv(1000)
        except OSError:
            failed += 1
        else:
            times.append(time.perf_counter() - sent)
    return times, failed


# -- media ----------------------------------------------------------------------------------------------


def _packets(seconds: float, core: str) -> Result:
    phones = [_phone_pair() for _ in range(STREAMS)]
    ports = [[each.getsockname()[1] for each in pair] for pair in phones]
    words = ["taskset", "-c", core, sys.executable, "-m", "ringfence.bench.small", json.dumps(ports)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            told = json.loads(child.stdout.readline())
            ways = [
                way for pair, legs in zip(phones, told, strict=True) for way in zip(pair, legs, strict=True)
            ]
            _stream(ways, 0.3)  # each side is learnt by its first packet
            before = cpu_seconds(child)
            sent, arrived = _stream(ways, seconds)
            cpu = cpu_seconds(child) - before
        finally:
            child.stdin.close()
            child.wait(5)
    for pair in phones:
        for sock in pair:
            sock.close()
    return _result(sent, sent - arrived, cpu)


def _phone_pair() -> tuple[socket.socket, socket.socket]:
    made = []
    for _ in range(2):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((HOST, 0))
        sock.setblocking(False)
        made.append(sock)
    return made[0], made[1]


def _stream(ways: Sequence[tuple[socket.socket, int]], seconds: float) -> tuple[int, int]:
    """Packets on all ways, spread over each interval; gives how many were sent, and how many came."""
    sent = arrived = 0
    begun = time.perf_counter()
    for number in range(int(seconds / INTERVAL) * len(ways)):
        sock, port = ways[number % len(ways)]
        time.sleep(max(0.0, begun + number * INTERVAL / len(ways) - time.perf_counter()))
        sock.sendto(PACKET, (HOST, port))
        sent += 1
        arrived += _drain(sock)
    time.sleep(0.1)
    return sent, arrived + sum(_drain(sock) for sock, _ in ways)


def _drain(sock: socket.socket) -> int:
    count = 0
    with contextlib.suppress(BlockingIOError):
        while sock.recv(2000):
            count += 1
    return count


async def relay(ports: Sequence[tuple[int, int]]) -> None:
    """A relay for these pairs of phones, until its input ends. It tells its own ports."""
    plane = Relay(HOST, RELAY_PORTS)
    told = []
    for one, other in ports:
        session = plane.open()
        session.a.expect((HOST, one))
        session.b.expect((HOST, other))
        told.append((session.a.port, session.b.port))
    print(json.dumps(told), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    plane.close()


# -- a database of its own ------------------------------------------------------------------------------


@contextlib.contextmanager
def postgresql(directory: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A private PostgreSQL in a directory: its URL, and its process. Raises NotHere."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
    if initdb is None:
        raise NotHere("PostgreSQL is not installed")
    data = directory / "data"
    data.mkdir()
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to be root's
    if user is not None:
        for each in (directory, data):
            shutil.chown(each, user)
    options: dict[str, str] = {} if user is None else {"user": user}
    words = [initdb, "-D", str(data), "-U", "bench", "--auth=trust", "-N"]
    subprocess.run(words, check=True, capture_output=True, cwd=directory, **options)  # type: ignore[call-overload]
    server = subprocess.Popen(
        [str(Path(initdb).with_name("postgres")), "-D", data, "-k", directory, "-c", "listen_addresses="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=directory, **options,  # type: ignore[call-overload]
    )  # fmt: skip
    try:
        end = time.monotonic() + 20.0
        while not list(directory.glob(".s.PGSQL.*[0-9]")) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)
        yield f"postgresql:///postgres?host={directory}&user=bench", server
    finally:
        server.terminate()
        server.wait()


async def _writes(what: str, seconds: float) -> Result:
    """CPU of the database for each call of a ledger, or each registration."""
    with (
        tempfile.TemporaryDirectory(prefix="ringfence-pg-") as name,
        tempfile.TemporaryDirectory() as own,
        postgresql(Path(name)) as (url, server),
    ):
        await asyncio.to_thread(upgrade, url)
        if what == "ledger":
            ledger = await SqlLedger.open(
                url, "bench", Sealing(Ed25519PrivateKey.generate(), Path(own) / "w")
            )
            one, close = (lambda number: _call(ledger, number)), ledger.close
        else:
            store = await Database.open(url)
            one, close = (lambda number: _registration(store, number)), store.close
        before = cpu_seconds(server)
        times = await _at_a_rate(one, seconds)
        await close()
        return _result(len(times), 0, cpu_seconds(server) - before, times)


async def _at_a_rate(one: Callable[[int], Awaitable[None]], seconds: float) -> list[float]:
    times: list[float] = []

    async def timed(number: int) -> None:
        begun = time.perf_counter()
        await one(number)
        times.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(WRITES * seconds)):
            await asyncio.sleep(max(0.0, begun + number / WRITES - time.perf_counter()))
            tasks.create_task(timed(number))
    return times


async def _call(ledger: SqlLedger, number: int) -> None:
    key = f"{number:x}.c0ffee"
    durable = ledger.append(Event(Kind.START, time.time(), key, FACTS))
    if durable is not None:
        await durable
    ledger.note(Event(Kind.ANSWER, time.time(), key, {"tag": "b"}))
    ledger.note(Event(Kind.STOP, time.time(), key, {"reason": "the caller hung up", "status": 200}))


async def _registration(store: Database, number: int) -> None:
    aor, now = f"sip:user{number}@example.org", time.time()
    binding = Binding(aor, f"sip:user{number}@192.0.2.1:5061;transport=tls", now + 3600, f"{number}", 1, now)
    await store.bindings.change(aor, lambda _: (binding,), now)


if __name__ == "__main__":
    asyncio.run(relay(json.loads(sys.argv[1])))
