"""Do honest users keep their calls while somebody floods the node? On loopback, bounded, some three minutes.

    python bench/flood.py                     every flood
    python bench/flood.py --floods one,many   some
    python bench/flood.py --write             also into docs/reliability.md

First it measures how many unauthenticated requests a second the node answers with the guard off, its capacity. Then,
with the configuration that a node has anyway, it floods at ten times that, while honest users call: one by UDP from an
address of its own, one over TLS from the very address of the flood. A call is good when it is set up in less than a
second, from the first INVITE, challenge and retransmissions included, and ended by BYE.

The node is alone on one core; the flood and the users share another. Only 127.0.0.0/8 is sent to.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest

from ringfence.bench.harness import NODE, Server
from ringfence.bench.world import HOST, World

DOCUMENT = Path(__file__).parents[1] / "docs" / "reliability.md"
MARKS = "<!-- made by bench/flood.py -->", "<!-- end of floods -->"

FLOODER, USER, CALLEE = "127.0.0.2", "127.0.0.3", "127.0.0.4"
SECONDS = 12.0
"""Of each flood."""

CALLS = 10.0
"""A second, of each of the two honest users."""

SETTLE = 2.0
"""Seconds between floods."""


@dataclass(frozen=True)
class Flood:
    """One way to flood. ``words`` are for flooder.py."""

    name: str
    what: str
    words: tuple[str, ...]


FLOODS = (
    Flood("one", "INVITE, REGISTER, OPTIONS from one address", ("datagrams", "--sources", "1")),
    Flood("many", "the same from 2,000 addresses, as if forged", ("datagrams", "--sources", "2000")),
    Flood("malformed", "malformed messages from one address", ("datagrams", "--sources", "1", "--malformed")),
    Flood(
        "scanner",
        "a scanner that says so, from 200 addresses",
        ("datagrams", "--sources", "200", "--scanner"),
    ),
    Flood("connections", "TCP connections, as many as can be made", ("connections",)),
    Flood("handshakes", "TLS handshakes that are begun and left", ("handshakes",)),
    Flood("slow", "500 TCP connections, a byte each second", ("slow",)),
)


@dataclass
class Result:
    """What became of one flood."""

    flood: Flood
    sent: int
    calls: dict[str, tuple[int, int, float]]
    """For each user: calls, good ones, the slowest set-up of 95 of 100, in milliseconds."""
    before: int
    after: int
    counts: dict[str, int]


class Node:
    """A node under flood."""

    def __init__(self, world: World, *, guard: bool = True) -> None:
        self.world = world
        self.server = Server.named("ringfence", 19_060)
        words = [
            *NODE, "--mode", "auth",
            "--udp", f"0.0.0.0:{self.server.base}", "--tls", f"0.0.0.0:{self.server.base + 1}",
            "--cert", str(world.cert), "--key", str(world.key), "--users", str(world.users),
            "--dir", str(world.fresh("node")), "--ledger",
        ]  # fmt: skip
        if not guard:
            words.append("--no-guard")
        self.log = world.directory / f"node-{guard}.log"
        self.process = world.spawn(words, world.server_core, self.log)
        self.port, self.tls = self.server.base, self.server.base + 1
        self._wait()

    def _wait(self) -> None:
        probe = (
            "OPTIONS sip:bench.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{};rport\r\n"
            "From: <sip:a@b>;tag=1\r\nTo: <sip:bench.test>\r\nCall-ID: {}\r\nCSeq: 1 OPTIONS\r\n\r\n"
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            for number in range(150):
                sock.sendto(probe.format(number, number).encode(), (HOST, self.port))
                with contextlib.suppress(OSError):
                    if sock.recv(65_535):
                        return
        raise SystemExit(f"the node did not start: {self.log.read_text(errors='replace')[-2000:]}")

    def resident(self) -> int:
        """Bytes of memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def flood(self, words: Sequence[str], rate: float, seconds: float) -> subprocess.Popen[bytes]:
        """Start a flood."""
        port = self.tls if words[0] == "handshakes" else self.port
        command = [sys.executable, str(Path(__file__).with_name("flooder.py")), *words]
        command += ["--port", str(port), "--rate", str(rate), "--seconds", str(seconds), "--from", FLOODER]
        return self.world.spawn(command, self.world.load_core, self.world.directory / "flooder.log")

    def stop(self) -> None:
        """End it."""
        self.world.end(self.process)


def capacity(world: World) -> float:
    """Unauthenticated requests that the node answers in a second, the guard off, when it does nothing else."""
    node = Node(world, guard=False)
    try:
        answered, number = 0, 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((FLOODER, 0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
            sock.settimeout(0.5)
            port = sock.getsockname()[1]
            from flooder import request

            end = time.monotonic() + 4.0
            for number in range(200):
                sock.sendto(
                    request(("INVITE", "REGISTER", "OPTIONS")[number % 3], number, FLOODER, port),
                    (HOST, node.port),
                )
            while time.monotonic() < end:
                with contextlib.suppress(TimeoutError):
                    sock.recv(65_535)
                    answered += 1
                number += 1
                sock.sendto(
                    request(("INVITE", "REGISTER", "OPTIONS")[number % 3], number, FLOODER, port),
                    (HOST, node.port),
                )
        return answered / 4.0
    finally:
        node.stop()


async def calls_during(node: Node, flood: Flood, rate: float) -> Result:
    """Flood, while honest users call."""
    passwords = dict(line.split(";") for line in node.world.users.read_text(encoding="utf-8").split())
    callee = await Honest.by_udp("callee", passwords["callee"], CALLEE, (HOST, node.port))
    users = {
        "UDP": await Honest.by_udp("user0001", passwords["user0001"], USER, (HOST, node.port)),
        "TLS": await Honest.by_tls(
            "user0002", passwords["user0002"], FLOODER, (HOST, node.tls), node.world.cert
        ),
    }
    for each in (callee, *users.values()):
        await each.register()
    before = node.resident()
    process = node.flood(flood.words, rate, SECONDS)
    await asyncio.sleep(1.0)
    await asyncio.gather(*(user.call_for(SECONDS - 2.0, CALLS) for user in users.values()))
    while process.poll() is None:
        await asyncio.sleep(0.1)
    after = node.resident()
    said = (node.world.directory / "flooder.log").read_text(encoding="utf-8").strip().splitlines()
    sent = json.loads(said[-1])["sent"]
    for name, user in users.items():
        if user.failures:
            print(f"{flood.name}, {name}: failed {dict(user.failures)}", file=sys.stderr)
    calls = {name: user.outcome() for name, user in users.items()}
    for each in (callee, *users.values()):
        each.close()
    return Result(flood, sent, calls, before, after, {})


def row(result: Result) -> str:
    """A line of the table."""
    cells = [result.flood.what, f"{result.sent / SECONDS:,.0f}"]
    for calls, good, p95 in result.calls.values():
        cells.append(f"{good} of {calls} ({100 * good / max(1, calls):.1f} %), {p95:.0f} ms")
    cells.append(f"{result.before / 1e6:.0f} → {result.after / 1e6:.0f}")
    return f"| {' | '.join(cells)} |"


def table(capacity_: float, results: Sequence[Result]) -> str:
    """All of it."""
    head = [
        "flood",
        "a second",
        "honest user by UDP: good calls, 95 % set up within",
        "over TLS from the flood's address",
        "memory, MB",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *map(row, results), ""]
    lines.append(
        f"With the guard off the node answers {capacity_:,.0f} unauthenticated requests a second on one core of this "
        f"machine; the floods of datagrams are ten times that, or as much as the other core can send. Each lasts "
        f"{SECONDS:g} s, with {CALLS:g} calls a second of each user."
    )
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the table between its marks in the document."""
    document = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = document.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    DOCUMENT.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


def floods(names: str) -> Iterator[Flood]:
    """Those that were asked for."""
    wanted = names.split(",")
    yield from (flood for flood in FLOODS if flood.name in wanted)


def main() -> None:
    """Flood and tell; exit 1 when an honest user lost more than one call of twenty."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--floods", default=",".join(flood.name for flood in FLOODS))
    parser.add_argument("--times", type=float, default=10.0, help="the node's capacity")
    parser.add_argument("--server-core", default="0")
    parser.add_argument("--load-core", default="1")
    parser.add_argument("--write", action="store_true", help=f"the table into docs/{DOCUMENT.name}")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    world = World(options.server_core, options.load_core)
    try:
        most = capacity(world)
        print(f"capacity: {most:.0f} a second", file=sys.stderr, flush=True)
        results = []
        for flood in floods(options.floods):
            node = Node(world)
            results.append(asyncio.run(calls_during(node, flood, most * options.times)))
            node.stop()
            print(row(results[-1]), file=sys.stderr, flush=True)
            time.sleep(SETTLE)
    finally:
        world.close()
    text = table(most, results)
    print(text)
    if options.write:
        write(text)
    lost = [each for each in results if any(good < 0.95 * calls for calls, good, _ in each.calls.values())]
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
