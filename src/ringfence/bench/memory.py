"""How much memory a node holds many registrations, and many idle TLS connections, in.

Registrations are put into its database before it starts, since it reads all of them into memory then; it makes no
difference how they came there. Each connection has been asked one question and is then left alone.
"""

from __future__ import annotations

import resource
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ringfence.bench.harness import NODE, Server
from ringfence.bench.world import HOST, World, tail_of, tree

REGISTRATIONS = 100_000
CONNECTIONS = 10_000
WAIT_SECONDS = 300.0
"""For a node to start: writing 100,000 accounts and registrations takes one to two minutes."""

SPARE_FILES = 200
"""File descriptors besides those of the connections."""

OPTIONS = (
    "OPTIONS sip:bench.test SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;rport;branch=z9hG4bK{transport}{number}\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:p@bench.test>;tag=1\r\nTo: <sip:bench.test>\r\nCall-ID: m{number}\r\n"
    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


@dataclass(frozen=True)
class Held:
    """What a node took for so many of something."""

    what: str
    number: int
    rss_mb: float
    pss_mb: float
    start_mb: float
    """PSS without any of them, just started."""

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)


def measure(say: Callable[[str], None], divide: int = 1) -> list[Held]:
    """Both, on nodes of their own. ``divide`` makes less of everything, for a look."""
    found = []
    for what, number, hold in (
        ("registrations", REGISTRATIONS // divide, _registrations),
        ("idle TLS connections", CONNECTIONS // divide, _connections),
    ):
        world = World()
        try:
            held = hold(world, what, number)
        finally:
            world.close()
        say(f"  {number} {what}: {held.rss_mb:.0f} MB RSS, {held.pss_mb:.0f} MB PSS")
        found.append(held)
    return found


def table(held: Sequence[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| held | RSS MB | PSS MB | without them MB | KB each |", "|---|---|---|---|---|"]
    for each in held:
        one = (each["pss_mb"] - each["start_mb"]) * 1024 / each["number"]
        lines.append(
            f"| {each['number']:,} {each['what']} | {each['rss_mb']:.0f} | {each['pss_mb']:.0f} | "
            f"{each['start_mb']:.0f} | {one:.1f} |"
        )
    return "\n".join(lines)


def megabytes(pid: int) -> tuple[float, float]:
    """RSS and PSS of a process and its descendants."""
    rss = pss = 0
    for each in tree(pid):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "Rss":
                rss += int(value.split()[0])
            elif name == "Pss":
                pss += int(value.split()[0])
    return rss / 1024, pss / 1024


def _registrations(world: World, what: str, number: int) -> Held:
    _, start = _run(world, (), lambda _server, _process: None)
    rss, pss = _run(world, ("--bindings", str(number)), lambda _server, _process: None)
    return Held(what, number, rss, pss, start)


def _connections(world: World, what: str, number: int) -> Held:
    _allow_files(number + SPARE_FILES)
    _, start = _run(world, (), lambda _server, _process: None)
    sockets: list[ssl.SSLSocket] = []

    def connect(server: Server, _process: subprocess.Popen[bytes]) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for each in range(number):
            try:
                sock = context.wrap_socket(socket.create_connection((HOST, server.base + 1), 10))
                sock.sendall(OPTIONS.format(transport="TLS", number=each).encode())
                said = sock.recv(65_536)
            except OSError as error:
                raise SystemExit(f"after {each} connections: {error}") from None
            if not said.startswith(b"SIP/2.0"):
                raise SystemExit(f"the node hung up after {each} connections")
            sockets.append(sock)

    rss, pss = _run(world, ("--no-guard", "--connections", str(number + 10)), connect)
    for sock in sockets:
        sock.close()
    return Held(what, number, rss, pss, start)


def _run(
    world: World, words: tuple[str, ...], load: Callable[[Server, subprocess.Popen[bytes]], None]
) -> tuple[float, float]:
    """Start a node, load it, and see how large it is when it has come to rest."""
    server = Server.named("ringfence", 17_060)
    log = world.directory / "memory.log"
    command = [
        *NODE,
        "--mode",
        "noauth",
        "--udp",
        f"{HOST}:{server.base}",
        "--tls",
        f"{HOST}:{server.base + 1}",
    ]
    command += ["--cert", str(world.cert), "--key", str(world.key), "--users", str(world.one_caller)]
    process = world.spawn([*command, "--dir", str(world.fresh("node")), *words], world.server_core, log)
    try:
        wait(server, process, log)
        load(server, process)
        time.sleep(2.0)
        return megabytes(process.pid)
    finally:
        world.end(process)


def wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers."""
    end = time.monotonic() + WAIT_SECONDS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        sock.settimeout(0.3)
        number = 0
        while process.poll() is None and time.monotonic() < end:
            number += 1
            try:
                sock.sendto(OPTIONS.format(transport="UDP", number=number).encode(), (HOST, server.base))
                sock.recv(65_535)
                return
            except OSError:
                time.sleep(0.1)
    raise SystemExit(f"the node did not start:\n{tail_of(log)}")


def _allow_files(number: int) -> None:
    """Raise the limit of open files, which children inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard) if hard > 0 else number, hard))
