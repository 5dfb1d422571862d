"""Which way to do TLS is the cheapest: asyncio's, uvloop's, or ours (OpenSSL's memory buffers over uvloop's TCP).

    python bench/tls_path.py                 all ways, a table of microseconds of CPU and their ratios
    python bench/tls_path.py --seconds 5     longer, steadier

A server echoes SIP messages of 700 bytes in a process of its own, and only its CPU time is counted, kernel
included. "message": 16 in flight on one connection; "alone": one in flight; "connection": TCP and TLS handshake,
one message each way, close. Run on loopback, P-256 certificate, TLS 1.3; "tcp" is the same code without TLS.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing as mp
import socket
import ssl
import subprocess
import tempfile
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import uvloop

from ringfence.transport.contexts import Contexts, TlsSettings
from ringfence.transport.flow import Endpoint, Flow
from ringfence.transport.limits import Limits
from ringfence.transport.pool import Pool

HEAD = b"OPTIONS sip:b@bench.test SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK1\r\nContent-Length: 600\r\n\r\n"
MESSAGE = HEAD + b"x" * 600
WAYS = ("asyncio", "uvloop", "ours", "tcp")


class Echo:
    """Stands above our transport."""

    def received(self, data: bytes, flow: Flow) -> None:
        """Send it back."""
        flow.send(data)

    def opened(self, flow: Flow) -> None:
        """Nothing."""

    def closed(self, flow: Flow, reason: str) -> None:
        """Nothing."""


class EchoProtocol(asyncio.Protocol):
    """The same on a loop's own TLS."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self.transport = transport
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        """Send whole messages back, each by a write of its own, as a SIP server does."""
        data = self.rest + data
        size = len(MESSAGE)
        whole = len(data) // size * size
        for start in range(0, whole, size):
            self.transport.write(data[start : start + size])  # type: ignore[attr-defined]
        self.rest = data[whole:]


async def serve(way: str, directory: Path, ports: Queue[int], stop: Event) -> None:
    """Listen until told to stop."""
    pair = directory / "cert.pem", directory / "key.pem"
    if way in {"ours", "tcp"}:
        settings = TlsSettings((pair,), client_certificates="none")
        pool = Pool(Echo(), Limits(connections_per_source=20_000), contexts=Contexts(settings))
        listener = await pool.listen("TLS" if way == "ours" else "TCP", "127.0.0.1", 0)
        ports.put(listener.local.port)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        context.num_tickets = 0
        loop = asyncio.get_running_loop()
        server = await loop.create_server(EchoProtocol, "127.0.0.1", 0, ssl=context)
        ports.put(server.sockets[0].getsockname()[1])
    while not stop.is_set():
        await asyncio.sleep(0.05)


def server(way: str, directory: Path, ports: Queue[int], stop: Event, result: Queue[float]) -> None:
    """The process that is measured."""
    start = time.process_time()
    (asyncio.run if way == "asyncio" else uvloop.run)(serve(way, directory, ports, stop))
    result.put(time.process_time() - start)


def connect(remote: Endpoint, context: ssl.SSLContext | None) -> socket.socket:
    """A client's connection."""
    sock = socket.create_connection(remote)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(sock, server_hostname="bench.test") if context else sock


def exchange(sock: socket.socket, number: int) -> None:
    """Send messages, take them back."""
    for _ in range(number):
        sock.sendall(MESSAGE)
    left = number * len(MESSAGE)
    while left:
        left -= len(sock.recv(65536))


def load(what: str, remote: Endpoint, tls: bool, seconds: float) -> int:
    """Keep the server busy; gives how often."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    flight = 16 if what == "message" else 1
    end = time.monotonic() + seconds
    done = 0
    sock = connect(remote, context)
    while time.monotonic() < end:
        if what == "connection":
            sock.close()
            sock = connect(remote, context)
        exchange(sock, flight)
        done += flight
    sock.close()
    return done


def measure(way: str, what: str, directory: Path, seconds: float) -> float:
    """Microseconds of the server's CPU for one."""
    ports: Queue[int] = mp.Queue()
    result: Queue[float] = mp.Queue()
    stop = mp.Event()
    process = mp.Process(target=server, args=(way, directory, ports, stop, result))
    process.start()
    done = load(what, Endpoint("127.0.0.1", ports.get(timeout=10)), way != "tcp", seconds)
    stop.set()
    used = result.get(timeout=10)
    process.join()
    return used / done * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bench"
        )
        files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
        subprocess.run([*command.split(), *files], check=True, stderr=subprocess.DEVNULL)
        print(f"{'us of CPU':12}{''.join(f'{way:>12}' for way in WAYS)}   ours : asyncio, uvloop")
        for what in ("message", "alone", "connection"):
            costs = {way: min(measure(way, what, directory, seconds) for _ in range(2)) for way in WAYS}
            figures = "".join(f"{costs[way]:12.1f}" for way in WAYS)
            ratios = [costs["ours"] / costs[way] for way in ("asyncio", "uvloop")]
            print(f"{what:12}{figures}   {ratios[0]:.2f}, {ratios[1]:.2f}")


if __name__ == "__main__":
    main()
