"""Mutants against a node that runs, as a tester from outside would send them: from 127.0.0.1, one after the other.

    python fuzz/wire.py [--share 0.05] [--seed 1] [--transport udp,tcp,tls,ws,wss] [--config default,private]

Makes a domain by `ringfence init`, serves it, registers a phone, and sends mutants of every kind of request, each
followed by an OPTIONS, whose answer has to come within 0.2 s. Then the requests are right, and the phone answers
wrongly. At the end: no fault in the log, the process alive, memory in bounds, and who had to be answered was. Exit code
1 when anything of that is not so. Nothing but loopback is sent to.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import select
import socket
import ssl
import struct
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.interop.node import Node  # noqa: E402
from tests.interop.processes import HOST  # noqa: E402
from tests.interop.raw import RawPhone  # noqa: E402

from fuzz.answers import Phone  # noqa: E402
from fuzz.mutants import SDP, Maker, Mutant  # noqa: E402

PATIENCE = 10.0
"""Seconds after which a node that says nothing counts as dead."""

QUIET_SECONDS = 5.0
"""Without an answer after which none is waited for any more: a DNS that is not there takes half of that."""

GROWTH = 30_000_000
"""Octets that the node may take more, whatever it is sent."""

HELD = 3.0
"""Times what it was sent in the last 40 s that it may take besides: a transaction holds its message for 32 s, and a
request that was forwarded has two of them."""

CONFIGS = {
    "default": "",
    "private": '[hiding]\ntoward = "everybody"\ncontact = true\ncall_id = true\n[privacy]\nenabled = true\n',
}

_IDENTITY = re.compile(rb"m\d{7}x")
_FAULTS = (
    "Traceback",
    '"level": "error"',
    '"level": "critical"',
    "role failed",
    "Exception",
    "never awaited",
)


class Line:
    """A way to send messages to the node, and to read what comes back, by one transport."""

    def __init__(self, node: Node, transport: str) -> None:
        self.node = node
        self.transport = transport
        self.port = node.listen[transport]
        self.sock: socket.socket | None = None
        self.opened = 0
        if transport == "udp":
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sock.bind((HOST, 0))
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
            self.local_port = self.sock.getsockname()[1]
        else:
            self.local_port = 9

    def open(self) -> socket.socket:
        """The connection there is, or a new one."""
        if self.sock is not None:
            return self.sock
        self.opened += 1
        plain = socket.create_connection((HOST, self.port), timeout=PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock: socket.socket = plain
        if self.transport in {"tls", "wss"}:
            context = ssl.create_default_context(cafile=str(self.node.authority))
            sock = context.wrap_socket(plain, server_hostname=self.node.domain)
        if self.transport in {"ws", "wss"}:
            sock.sendall(upgrade())
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += sock.recv(4096) or b"\r\n\r\n"
            if b" 101 " not in answer:
                raise ConnectionError(answer)
        self.sock = sock
        return sock

    def send(self, data: bytes) -> None:
        """One message."""
        sock = self.open()
        if self.transport == "udp":
            with contextlib.suppress(OSError):
                sock.sendto(data, (HOST, self.port))
        elif self.transport in {"ws", "wss"}:
            sock.sendall(frame(data))
        else:
            sock.sendall(data)

    def read(self, seconds: float) -> bytes:
        """What has come; empty after so long; raises ConnectionError when the node has closed."""
        sock = self.open()
        if (
            not (isinstance(sock, ssl.SSLSocket) and sock.pending())
            and not select.select([sock], [], [], seconds)[0]
        ):
            return b""
        data = sock.recv(262_144)
        if not data and self.transport != "udp":
            raise ConnectionError("closed")
        return data

    def drop(self) -> None:
        """Close a connection."""
        if self.transport != "udp" and self.sock is not None:
            self.sock.close()
            self.sock = None


class Run:
    """One transport of one node, and what was seen."""

    def __init__(self, node: Node, transport: str, options: argparse.Namespace) -> None:
        self.line = Line(node, transport)
        self.node = node
        always = "Privacy: header;session;user\n" if options.private else ""
        words = {"to": "bob", "domain": node.domain, "host": HOST, "port": str(self.line.local_port)}
        self.maker = Maker({**words, "transport": transport.upper(), "nonce": "abc"}, options.seed, always)
        self._slow = options.slow
        self.sent = self.probes = 0
        self.answered: set[bytes] = set()
        self.owed: dict[bytes, str] = {}
        self.slowest: list[tuple[float, str]] = []
        self.closed = 0
        self.sizes: deque[tuple[float, int]] = deque()

    @property
    def lately(self) -> int:
        """Octets sent in the last 40 s."""
        return sum(size for when, size in self.sizes if when > time.monotonic() - 40.0)

    def throw(self, mutants: Iterable[Mutant]) -> None:
        """Send each, and a probe after it."""
        for mutant in mutants:
            identity = _IDENTITY.search(mutant.data)
            if mutant.answerable and identity:
                self.owed[identity[0]] = mutant.name
            self.sent += 1
            try:
                self.line.send(mutant.data)
            except OSError:
                self.closed += 1
                self.line.drop()
            self.sizes.append((time.monotonic(), len(mutant.data)))
            took = self.probe(mutant.name)
            for _ in range(2 if took > self._slow else 0):
                # Again, in a transaction of its own: the machine may have been busy just then.
                self.line.send(_IDENTITY.sub(self.maker.identity().encode(), mutant.data))
                took = min(took, self.probe(mutant.name))
            if took > self._slow:
                self.slowest.append((took, mutant.name))
        self._wait_for_the_rest()

    def probe(self, after: str) -> float:
        """Seconds that an OPTIONS takes, on a new connection when the mutant has ended the one there was."""
        self.probes += 1
        name = f"probe{self.probes}x"
        for attempt in range(3):
            # A stream that waits for more of the mutant takes the probe for it.
            swallowed = not attempt and self.line.transport in {"tcp", "tls"}
            patience = 2 * self._slow if swallowed else PATIENCE
            began = time.monotonic()
            try:
                self.line.send(self._options(name))
                while time.monotonic() < began + patience:
                    data = self.line.read(patience)
                    self._take(data)
                    if name.encode() in data:
                        return time.monotonic() - began
            except OSError:
                self.closed += 1
            self.line.drop()
        raise SystemExit(f"{self.line.transport}: no answer to an OPTIONS after {after}; the node is dead")

    def _take(self, data: bytes) -> None:
        self.answered |= set(_IDENTITY.findall(data))

    def _options(self, name: str) -> bytes:
        line = self.line
        via = f"SIP/2.0/{line.transport.upper()} {HOST}:{line.local_port};branch=z9hG4bK{name}"
        return (
            f"OPTIONS sip:{self.node.domain} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:p@example.net>;tag=1\r\nTo: <sip:{self.node.domain}>\r\nCall-ID: {name}\r\n"
            "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    def _wait_for_the_rest(self) -> None:
        began, seen = time.monotonic(), len(self.answered)
        while self.owed.keys() - self.answered and time.monotonic() < began + QUIET_SECONDS:
            with contextlib.suppress(OSError):
                self._take(self.line.read(0.2))
            if len(self.answered) > seen:
                seen = len(self.answered)
                began = time.monotonic()


def upgrade() -> bytes:
    """The request that begins a WebSocket."""
    return (
        f"GET / HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
    ).encode()


def frame(data: bytes) -> bytes:
    """A binary frame of RFC 6455 section 5.2, masked as a client has to."""
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", 0x82, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", 0x82, 0xFE, size)
    else:
        head = struct.pack("!BBQ", 0x82, 0xFF, size)
    key = os.urandom(4)
    return head + key + bytes(octet ^ key[place & 3] for place, octet in enumerate(data))


def faults(node: Node) -> list[str]:
    """Lines of the log that tell of a fault of ours."""
    assert node.serving is not None
    text = node.serving.log.read_text(encoding="utf-8", errors="replace")
    return [line for line in text.splitlines() if any(sign in line for sign in _FAULTS)]


def domain(directory: Path, settings: str) -> Node:
    """A domain as `ringfence init` makes it, with a user, served."""
    node = Node.create(
        directory, transports=["udp", "tcp", "tls", "ws", "wss"], old_phones=False, settings=settings
    )
    for user in ("alice", "bob"):
        node.add_user(user)
    node.serve()
    return node


def run(node: Node, transport: str, options: argparse.Namespace) -> list[str]:
    """All mutants by one transport; gives what was wrong."""
    begun = Run(node, transport, options)
    share = options.share if transport == "udp" else options.share / 4
    began = time.monotonic()
    before = 0

    def watched() -> Iterator[Mutant]:
        nonlocal before
        yield from begun.maker.structures()
        yield from begun.maker.noise(int(20_000 * share))
        before = node.resident()
        yield from begun.maker.mutants(share)

    begun.throw(watched())
    after = node.resident()
    wrong = [f"{len(begun.slowest)} probes were slow: {sorted(begun.slowest)[-5:]}"] if begun.slowest else []
    silent = begun.owed.keys() - begun.answered
    if transport in {"tcp", "tls"}:
        silent = (
            set()
        )  # a mutant that ends the connection, or that the next message is taken for, may stay unanswered
    if silent:
        kinds = Counter(begun.owed[each] for each in silent)
        wrong.append(f"{len(silent)} of {len(begun.owed)} were not answered: {sorted(kinds)[:40]}")
    if after - before > GROWTH + HELD * begun.lately:
        wrong.append(f"memory went from {before / 1e6:.0f} to {after / 1e6:.0f} MB")
    print(
        f"{transport}: {begun.sent} mutants, {begun.probes} probes, {begun.closed} connections closed, "
        f"{time.monotonic() - began:.0f} s, memory {before / 1e6:.0f} -> {after / 1e6:.0f} MB",
        flush=True,
    )
    return [f"{transport}: {each}" for each in wrong]


def answers(node: Node, phone: Phone, options: argparse.Namespace) -> list[str]:
    """Requests that are right, to a phone whose answers are not; gives what was wrong."""
    asked = Run(node, "udp", options)
    began, before = time.monotonic(), node.resident()
    phone.malformed = True

    def requests() -> Iterator[Mutant]:
        for number in range(int(20_000 * options.share)):
            method = ("INVITE", "INVITE", "MESSAGE", "SUBSCRIBE", "REFER")[number % 5]
            yield Mutant(
                method, asked.maker.good(method, (), SDP if method == "INVITE" else ""), answerable=True
            )

    asked.throw(requests())
    phone.malformed = False
    silent = asked.owed.keys() - asked.answered
    print(
        f"answers: {asked.sent} requests, {phone.sent} responses, {time.monotonic() - began:.0f} s, "
        f"memory {before / 1e6:.0f} -> {node.resident() / 1e6:.0f} MB",
        flush=True,
    )
    wrong = [f"{len(asked.slowest)} probes were slow: {sorted(asked.slowest)[-5:]}"] if asked.slowest else []
    if len(silent) > asked.sent // 100:
        wrong.append(f"{len(silent)} callers got no answer at all")
    return [f"answers: {each}" for each in wrong]


def main() -> int:
    """Run what was asked for; 1 when something was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--share", type=float, default=0.05, help="of the 300,000 mutants, the part to send by UDP"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--transport", default="udp,tcp,tls,ws,wss")
    parser.add_argument("--config", default="default,private")
    parser.add_argument(
        "--slow", type=float, default=0.2, help="seconds that an OPTIONS after a mutant may take"
    )
    parser.add_argument("--keep", type=Path, help="leave the node's directory there")
    options = parser.parse_args()
    wrong: list[str] = []
    with contextlib.ExitStack() as stack:
        place = options.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="ringfence-wire-"))
        )
        for name in options.config.split(","):
            options.private = name == "private"
            node = domain(place / name, CONFIGS[name])
            stack.callback(node.end)
            with Phone(RawPhone(node, "bob"), options.seed) as phone:
                print(f"-- {name}", flush=True)
                phone.malformed = False
                for transport in options.transport.split(","):
                    wrong += run(node, transport, options)
                    wrong += [f"{transport}: log: {line[:2000]}" for line in faults(node)[:5]]
                wrong += answers(node, phone, options)
                wrong += [f"answers: log: {line[:2000]}" for line in faults(node)[:5]]
                print(f"the phone got {phone.got} requests", flush=True)
            node.end()
    for each in wrong:
        print("WRONG", each)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
