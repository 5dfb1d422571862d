"""What a datagram costs: asyncio's endpoint, uvloop's, and ours (reads in bursts, sends straight to the socket).

    python bench/udp_path.py                 microseconds of CPU for a datagram received and sent back
    python bench/udp_path.py --seconds 5     longer, steadier

A server echoes datagrams of 700 bytes in a process of its own, and only its CPU time is counted, kernel included.
"busy": as many as it takes, 200 in flight; the other columns are at a fixed rate, where most of the cost is the
kernel's waking a process that slept.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing as mp
import socket
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import Any

import uvloop

from ringfence.transport.flow import Flow
from ringfence.transport.pool import Pool

MESSAGE = b"OPTIONS sip:b@bench.test SIP/2.0\r\n" + b"x" * 666
WAYS = ("asyncio", "uvloop", "ours")
RATES = (0, 10_000, 2_000)


class Echo:
    """Stands above our transport."""

    def received(self, data: bytes, flow: Flow) -> None:
        """Send it back."""
        flow.send(data)

    def opened(self, flow: Flow) -> None:
        """Nothing."""

    def closed(self, flow: Flow, reason: str) -> None:
        """Nothing."""


class EchoProtocol(asyncio.DatagramProtocol):
    """The same on a loop's own endpoint."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Send it back."""
        self.transport.sendto(data, addr)


async def serve(way: str, ports: Queue[int], stop: Event) -> None:
    """Receive until told to stop."""
    if way == "ours":
        listener = await Pool(Echo()).listen("UDP", "127.0.0.1", 0)
        ports.put(listener.local.port)
    else:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(EchoProtocol, local_addr=("127.0.0.1", 0))
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_194_304)
        ports.put(transport.get_extra_info("sockname")[1])
    while not stop.is_set():
        await asyncio.sleep(0.1)


def server(way: str, ports: Queue[int], stop: Event, result: Queue[float]) -> None:
    """The process that is measured."""
    start = time.process_time()
    (asyncio.run if way == "asyncio" else uvloop.run)(serve(way, ports, stop))
    result.put(time.process_time() - start)


def load(port: int, rate: int, seconds: float) -> int:
    """Send at a rate, or as fast as answers come; gives how many came back."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_194_304)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    start = time.monotonic()
    sent = back = 0
    while (passed := time.monotonic() - start) < seconds:
        due = int(passed * rate) if rate else back + 200
        while sent < due:
            sock.send(MESSAGE)
            sent += 1
        try:
            while True:
                sock.recv(2048)
                back += 1
        except BlockingIOError:
            time.sleep(0.0001 if rate else 0)
    sock.close()
    return back


def measure(way: str, rate: int, seconds: float) -> float:
    """Microseconds of the server's CPU for one datagram."""
    ports: Queue[int] = mp.Queue()
    result: Queue[float] = mp.Queue()
    stop = mp.Event()
    process = mp.Process(target=server, args=(way, ports, stop, result))
    process.start()
    done = load(ports.get(timeout=10), rate, seconds)
    stop.set()
    used = result.get(timeout=10)
    process.join()
    return used / done * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    seconds = parser.parse_args().seconds
    print(f"{'us of CPU':10}" + "".join(f"{f'{rate}/s' if rate else 'busy':>10}" for rate in RATES))
    for way in WAYS:
        costs = [min(measure(way, rate, seconds) for _ in range(2)) for rate in RATES]
        print(f"{way:10}" + "".join(f"{cost:10.1f}" for cost in costs))


if __name__ == "__main__":
    main()
