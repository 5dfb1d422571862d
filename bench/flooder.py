"""The floods of flood.py: many datagrams, connections, handshakes, slow peers. To loopback only, for a bounded time.

    flooder.py datagrams --port 5060 --rate 40000 --seconds 10 --from 127.0.0.2 --sources 1 [--malformed] [--scanner]
    flooder.py connections|handshakes|slow --port 5060 --rate 1000 --seconds 10 --from 127.0.0.2

Datagrams leave by sendmmsg, so that the flood costs less than the node that it is meant for. Prints what was sent.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import socket
import struct
import time

TARGET = "127.0.0.1"
BATCH = 64
"""Datagrams in one system call."""

MESSAGES = 2048
"""Different ones, sent again and again."""

MAX_OPEN = 900
"""Sockets that are held open: below the usual limit of file descriptors."""

CLIENT_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(200)
"""The beginning of a TLS handshake that never goes on."""


def request(method: str, number: int, host: str, port: int, agent: str = "phone") -> bytes:
    """An unauthenticated request."""
    return (
        f"{method} sip:{'callee@' if method == 'INVITE' else ''}bench.test SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bKf{number};rport\r\nMax-Forwards: 70\r\n"
        f"From: <sip:user{number % 1000:04d}@bench.test>;tag=f{number}\r\n"
        f"To: <sip:user{number % 1000:04d}@bench.test>\r\n"
        f"Call-ID: flood-{number}\r\nCSeq: 1 {method}\r\nContact: <sip:x@{host}:{port}>\r\nUser-Agent: {agent}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def malformed(number: int, host: str, port: int) -> bytes:
    """What looks like a request, and is none."""
    whole = request("INVITE", number, host, port)
    kinds = (
        whole.replace(b"CSeq: 1 INVITE", b"CSeq: x"),
        whole.replace(b"\r\nMax", b"\nMax"),
        whole[: len(whole) // 2],
        whole.replace(b"Via: ", b"Via "),
        b"INVITE " + bytes(range(33, 127)) * 4 + b"\r\n\r\n",
    )
    return kinds[number % len(kinds)]


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(_Iovec)),
        ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int), ("sent", ctypes.c_uint),
    )  # fmt: skip


class Batches:
    """Datagrams made ready for sendmmsg."""

    def __init__(self, messages: list[bytes], port: int) -> None:
        self._kept = [ctypes.create_string_buffer(each, len(each)) for each in messages]
        address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(TARGET))
        self._address = ctypes.create_string_buffer(address, 16)
        self._vectors = (_Iovec * len(messages))()
        self.headers = (_Message * len(messages))()
        for place, buffer in enumerate(self._kept):
            self._vectors[place] = _Iovec(ctypes.addressof(buffer), len(buffer))
            header = self.headers[place]
            header.name, header.namelen = ctypes.addressof(self._address), 16
            header.iov, header.iovlen = ctypes.pointer(self._vectors[place]), 1
        self._send = ctypes.CDLL(None, use_errno=True).sendmmsg

    def send(self, sock: socket.socket, start: int, count: int) -> int:
        """Send some of them; gives how many went out."""
        done = self._send(sock.fileno(), ctypes.byref(self.headers[start]), count, 0)
        return max(0, int(done))


def datagrams(options: argparse.Namespace) -> int:
    """Send at a rate from one address, or many."""
    sockets = []
    for number in range(options.sources):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what is answered is not read
        sock.bind(
            (options.source if options.sources == 1 else f"127.{1 + number // 250}.{number % 250}.9", 0)
        )
        sockets.append(sock)
    host, port = sockets[0].getsockname()
    methods = ("INVITE", "REGISTER", "OPTIONS")
    agent = "friendly-scanner" if options.scanner else "phone"
    messages = [
        malformed(n, host, port) if options.malformed else request(methods[n % 3], n, host, port, agent)
        for n in range(MESSAGES)
    ]
    batches = Batches(messages, options.port)
    begin, sent, place, turn = time.monotonic(), 0, 0, 0
    while (now := time.monotonic()) - begin < options.seconds:
        due = int((now - begin) * options.rate) - sent
        if due < BATCH // 4:
            time.sleep(0.0005)
            continue
        count = min(BATCH if options.sources == 1 else 4, due, MESSAGES - place)
        sent += batches.send(sockets[turn % len(sockets)], place, count)
        place, turn = (place + count) % MESSAGES, turn + 1
    return sent


def connect(options: argparse.Namespace) -> socket.socket | None:
    """A connection from the flooder's address."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(1.0)
    try:
        sock.bind((options.source, 0))
        sock.connect((TARGET, options.port))
    except OSError:
        sock.close()
        return None
    return sock


def connections(options: argparse.Namespace) -> int:
    """Connect, ask, hang up; or for ``handshakes`` begin TLS and leave it."""
    kept: list[socket.socket] = []
    end, made = time.monotonic() + options.seconds, 0
    while time.monotonic() < end:
        sock = connect(options)
        if sock is None:
            continue
        made += 1
        kept.append(sock)
        with contextlib.suppress(OSError):
            sock.sendall(
                CLIENT_HELLO
                if options.kind == "handshakes"
                else request("OPTIONS", made, options.source, 9)[:100]
            )
        if len(kept) > (MAX_OPEN if options.kind == "handshakes" else 100):
            kept.pop(0).close()
    return made


def slow(options: argparse.Namespace) -> int:
    """Many connections that bring a message byte by byte."""
    open_ = [sock for sock in (connect(options) for _ in range(500)) if sock is not None]
    message = request("INVITE", 1, options.source, 9)
    end, place, sent = time.monotonic() + options.seconds, 0, 0
    while time.monotonic() < end:
        for sock in open_:
            with contextlib.suppress(OSError):
                sent += sock.send(message[place % len(message) :][:1])
        place += 1
        time.sleep(1.0)
    return sent


def main() -> None:
    """Flood, and say what was sent."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["datagrams", "connections", "handshakes", "slow"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--from", dest="source", default="127.0.0.2")
    parser.add_argument("--sources", type=int, default=1)
    parser.add_argument("--malformed", action="store_true")
    parser.add_argument("--scanner", action="store_true")
    options = parser.parse_args()
    if not options.source.startswith("127."):
        parser.error("a flood is for loopback")
    kinds = {"datagrams": datagrams, "slow": slow}
    print(json.dumps({"sent": kinds.get(options.kind, connections)(options)}))


if __name__ == "__main__":
    main()
