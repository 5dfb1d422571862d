"""What a relayed packet costs: our relay, its twin without a compiler, and rtpengine in user space, in one run.

    python bench/relay.py                 the table
    python bench/relay.py --write         also into docs/media.md

Each relay is a process of its own. Streams of G.711 (50 packets a second each way, 172 octets) run through it for some
seconds, between sockets of this program on 127.0.0.1; then its CPU time is read from /proc, user and system. How many
streams a core carries follows from that: a stream is 100 packets a second. A packet's way through is timed from just
before it is sent until it has been read. In our own process an event loop runs besides, as signalling does: how late it
is shows whether media hold it up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop

from ringfence.engine.places import Endpoint
from ringfence.message import Headers, Request, Response, sdp
from ringfence.roles.media import Party, Rewritten
from ringfence.roles.media_engine import RtpengineMedia
from ringfence.transport import legs, relay
from ringfence.transport.rtpengine import Rtpengine

HOST = "127.0.0.1"
HERE = Endpoint(HOST, 5060)
NG_PORT = 11_999
INTERVAL = 0.02
"""Seconds between the packets of a stream, one way."""
PACKET = b"\x80\x00" + bytes(10) + bytes(160)
DOCUMENT = Path(__file__).parents[1] / "docs" / "media.md"
MARKS = "<!-- made by bench/relay.py -->", "<!-- end -->"
TICK = os.sysconf("SC_CLK_TCK")

Pair = tuple[socket.socket, socket.socket]
Way = tuple[socket.socket, tuple[str, int]]


@dataclass(frozen=True)
class Row:
    """One relay's figures."""

    name: str
    sent: int
    arrived: int
    cpu: float
    delays: tuple[float, ...]
    late: float | None
    """Seconds that the event loop beside it was late, of 99 in 100 times."""

    @property
    def microseconds(self) -> float:
        """Of one core, for one packet."""
        return self.cpu / self.arrived * 1e6

    def cells(self) -> list[str]:
        """For the table."""
        delays = sorted(self.delays)
        return [
            self.name,
            f"{self.microseconds:.1f} µs",
            f"{1e6 / (self.microseconds * 2 / INTERVAL):,.0f}",
            f"{(1 - self.arrived / self.sent) * 100:.2f} %",
            f"{delays[len(delays) // 2] * 1e6:.0f} µs",
            f"{delays[len(delays) * 99 // 100] * 1e6:.0f} µs",
            "" if self.late is None else f"{self.late * 1e3:.1f} ms",
        ]


# -- the relay, in a process of its own -----------------------------------------------------------------


async def relay_process(kind: str, ports: list[tuple[int, int]]) -> None:
    """Open a session for each pair of phones, tell our ports, and note how late the loop is until told to stop."""
    leg = relay.Leg if kind == "compiled" else legs.Leg
    # Below the ports that the kernel gives to the phones.
    plane = relay.Relay(HOST, range(12_000, 12_000 + 8 * len(ports) + 64), make_leg=leg)
    told = []
    for one, other in ports:
        session = plane.open()
        session.a.expect((HOST, one))
        session.b.expect((HOST, other))
        told.append((session.a.port, session.b.port))
    print(json.dumps(told), flush=True)
    loop = asyncio.get_running_loop()
    stopped = loop.run_in_executor(None, sys.stdin.readline)
    late = []
    while not stopped.done():
        due = loop.time() + 0.005
        await asyncio.sleep(0.005)
        late.append(loop.time() - due)
    print(json.dumps(sorted(late)[len(late) * 99 // 100]), flush=True)
    plane.close()


@contextlib.contextmanager
def ours(kind: str, pairs: list[Pair]) -> Iterator[tuple[int, list[Way], list[float]]]:
    """Our relay: its pid, where each phone sends, and a list that has the lateness in the end."""
    ports = [(one.getsockname()[1], other.getsockname()[1]) for one, other in pairs]
    command = [sys.executable, __file__, "--relay", kind, json.dumps(ports)]
    late: list[float] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        try:
            yield child.pid, [
                way for pair, (a, b) in zip(pairs, told, strict=True)
                for way in ((pair[0], (HOST, a)), (pair[1], (HOST, b)))
            ], late  # fmt: skip
        finally:
            child.stdin.write("\n")
            child.stdin.flush()
            late.append(json.loads(child.stdout.readline() or "0"))


@contextlib.contextmanager
def rtpengine(pairs: list[Pair]) -> Iterator[tuple[int, list[Way], list[float]]]:
    """rtpengine without its kernel module."""
    with tempfile.TemporaryDirectory() as directory:
        command = [
            "rtpengine", "--config-file=none", "--table=-1", f"--interface={HOST}", f"--listen-ng={HOST}:{NG_PORT}",
            "--foreground", "--log-stderr", "--log-level=3", "--port-min=16000", "--port-max=19999",
            f"--pidfile={directory}/pid",
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as child:
            try:
                yield child.pid, uvloop.run(_connect(pairs)), []
            finally:
                child.terminate()


async def _connect(pairs: list[Pair]) -> list[Way]:
    engine = Rtpengine([Endpoint(HOST, NG_PORT)])
    for _ in range(50):
        with contextlib.suppress(Exception):
            await engine.instances[0].ask("ping")
            break
        await asyncio.sleep(0.1)
    plane = RtpengineMedia(engine, lambda: "bench")
    ways: list[Way] = []
    for number, (one, other) in enumerate(pairs):
        key = f"bench{number}"
        offer = await plane.offer(key, Party.CALLER, _message(one), seen=HERE, toward=HERE)
        answer = await plane.answer(key, Party.CALLEE, _message(other, 200), seen=HERE, toward=HERE)
        ways += [(one, _address(answer)), (other, _address(offer))]
    plane.close()
    return ways


def _message(phone: socket.socket, status: int = 0) -> Request | Response:
    head = f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
    body = f"{head}m=audio {phone.getsockname()[1]} RTP/AVP 0\r\n"
    headers = Headers([("CSeq", "1 INVITE"), ("Content-Type", "application/sdp")])
    if status:
        return Response(status, None, headers, body.encode())
    return Request("INVITE", "sip:x@example.org", headers, body.encode())


def _address(rewritten: Rewritten) -> tuple[str, int]:
    session = sdp.parse(rewritten.body)
    address = session.address_of(session.media[0])
    assert address is not None
    return address


# -- the load ------------------------------------------------------------------------------------------


def phones(streams: int) -> list[Pair]:
    """Two sockets for each stream."""
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2 * streams)]
    for each in made:
        each.bind((HOST, 0))
        each.setblocking(False)
    return list(zip(made[::2], made[1::2], strict=True))


def load(ways: list[Way], seconds: float) -> tuple[int, int, tuple[float, ...]]:
    """Send as phones do, evenly spread over each interval. Gives packets sent and arrived, and their delays."""
    poll = select.epoll()
    sockets = {phone.fileno(): phone for phone, _ in ways}
    for number in sockets:
        poll.register(number, select.EPOLLIN)
    sent = arrived = 0
    delays: list[float] = []
    began = time.perf_counter()
    total = int(seconds / INTERVAL) * len(ways)
    step = INTERVAL / len(ways)
    while arrived < sent or sent < total:
        now = time.perf_counter()
        while sent < total and began + sent * step <= now:
            phone, place = ways[sent % len(ways)]
            phone.sendto(PACKET[:12] + int(time.perf_counter() * 1e9).to_bytes(8, "big") + PACKET[20:], place)
            sent += 1
        for number, _ in poll.poll(0.001 if sent < total else 0.3, 64) or (() if sent < total else ((0, 0),)):
            if not number:
                poll.close()
                return sent, arrived, tuple(delays)  # the rest is lost
            data = sockets[number].recv(2000)
            delays.append(time.perf_counter() - int.from_bytes(data[12:20], "big") / 1e9)
            arrived += 1
    poll.close()
    return sent, arrived, tuple(delays)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def measure(name: str, kind: str, streams: int, seconds: float) -> Row:
    """Load one relay."""
    pairs = phones(streams)
    with rtpengine(pairs) if kind == "rtpengine" else ours(kind, pairs) as (pid, ways, late):
        load(ways, 0.5)  # so that sources are learned, and caches warm
        before = cpu_seconds(pid)
        sent, arrived, delays = load(ways, seconds)
        spent = cpu_seconds(pid) - before
    for pair in pairs:
        for phone in pair:
            phone.close()
    return Row(name, sent, arrived, spent, delays, late[0] if late else None)


def table(rows: list[Row], streams: int, seconds: float) -> str:
    """In Markdown."""
    head = [
        "relay",
        "CPU a packet",
        "streams a core",
        "lost",
        "delay, median",
        "delay, 99 %",
        "loop late, 99 %",
    ]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *(row.cells() for row in rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{streams} streams of G.711 for {seconds:g} s each, {os.cpu_count()} cores.\n\n{text}"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--write", action="store_true", help=f"the table into docs/{DOCUMENT.name}")
    parser.add_argument("--relay", nargs=2, metavar=("KIND", "PORTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.relay:
        uvloop.run(relay_process(options.relay[0], json.loads(options.relay[1])))
        return
    kinds = [("embedded", "compiled"), ("embedded, pure Python", "pure")]
    if relay.Leg is legs.Leg:
        kinds.pop(0)
    if shutil.which("rtpengine"):
        kinds.append(("rtpengine, user space", "rtpengine"))
    rows = [measure(name, kind, options.streams, options.seconds) for name, kind in kinds]
    text = table(rows, options.streams, options.seconds)
    print(text)
    if options.write:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(MARKS[0])
        _, _, after = rest.partition(MARKS[1])
        DOCUMENT.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
