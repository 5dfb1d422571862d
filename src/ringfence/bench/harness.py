"""Start a server, load it, and tell what a call cost it.

The method is the same for every server: one directory of users, keys and logs; the server alone on one core, the
load on another; a thousand users registered; then calls at a fixed rate, while the CPU time of the server's process
tree is read from /proc before the first call and some seconds after the last, so that its timers count too. SIPp, where
it is installed, makes the load over UDP and TCP; ``load.py`` makes it over TLS, which Debian's SIPp lacks, and
everywhere else.

Everything is on 127.0.0.1 and bounded in calls and time; only processes that were started here are ended, by pid.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ringfence.bench.certificates import THEIR_DOMAIN
from ringfence.bench.rows import Row
from ringfence.bench.world import (
    DOMAIN,
    HOST,
    TICKS,
    USERS,
    World,
    busy_seconds,
    cpu_seconds,
    is_free,
    sockets_at,
    tail_of,
    tree,
)

HERE = Path(__file__).parent
NODE = (sys.executable, "-m", "ringfence.bench.node")
LOAD = (sys.executable, "-m", "ringfence.bench.load")

BUFFER = "2097152"
"""SIPp's socket buffers: its own 64 KiB drop bursts long before a core is busy."""

GRACE = 8.0
"""Seconds that the last calls of a run may take."""

START_SECONDS = 30.0
"""For a server to answer an OPTIONS."""


@dataclass(frozen=True)
class Server:
    """A server to measure, on ports from ``base``: +0 UDP and TCP, +1 TLS, +10 the phone, +20 the caller."""

    name: str
    base: int

    @classmethod
    def named(cls, name: str, first: int) -> Server:
        """A server on the first block of ports that nobody has."""
        for base in range(first, first + 1000, 30):
            if all(is_free(base + port) for port in (0, 1, 10, 20)):
                return cls(name, base)
        raise SystemExit(f"no free ports from {first}")

    def command(self, row: Row, world: World) -> list[str]:
        """How to start it for a row."""
        tls = row.transport == "tls"
        plain, secure = f"{HOST}:{self.base}", f"{HOST}:{self.base + 1}"
        if self.name == "ringfence":
            words = [
                *NODE,
                "--mode",
                row.mode,
                "--udp",
                plain,
                "--users",
                str(world.users),
                "--realm",
                DOMAIN,
            ]
            words += ["--dir", str(world.fresh("ringfence")), "--workers", str(row.workers), *row.node]
            if row.mode == "stateless":
                words += ["--callee", f"callee={HOST}:{self.base + 10}"]
            if tls:
                words += ["--tls", secure, "--cert", str(world.cert), "--key", str(world.key)]
            return words + identity_options(row, world)
        words = [
            "kamailio", "-DD", "-E", "-f", str(HERE / "kamailio.cfg"), "-Y", str(world.fresh("kamailio")),
            "-m", "1024", "-M", "16", "-b", BUFFER, "-l", f"udp:{plain}", "-l", f"tcp:{plain}",
        ]  # fmt: skip
        if row.mode == "stateless":
            words += ["-A", "STATELESS", "-A", f'CALLEE="sip:{HOST}:{self.base + 10}"']
        if row.digest:
            words += ["-A", "DIGEST", "-A", f'DB="sqlite://{world.database}"']
        if row.mode == "authdb":
            words += ["-A", "DIGEST_BY_QUERY"]
        if tls:
            words += ["-A", "TLS", "-A", f'CERT="{world.cert}"', "-A", f'KEY="{world.key}"']
            words += ["-l", f"tls:{secure}"]
        return words


def identity_options(row: Row, world: World) -> list[str]:
    """What the node needs to sign or to verify."""
    if not row.identity:
        return []
    words = ["--identity", str(world.identities)]
    return [
        *words,
        *(["--sign", f"https://{DOMAIN}/identity.pem"] if row.identity == "sign" else ["--verify"]),
    ]


@dataclass(frozen=True)
class Result:
    """One run."""

    calls: int
    failed: int
    us_per_call: float
    p50_ms: float
    p99_ms: float
    others: float
    """Cores that other work on the machine took meanwhile: over 0.1 a figure is not to be trusted."""
    busiest: float = 1.0
    """Of the CPU of the server, the part of the process that took most."""
    load: float = 0.0
    """Cores that callers and callees took: near 1 the times are theirs."""


def by_sipp(row: Row) -> bool:
    """Whether SIPp makes the load of a row."""
    return row.transport != "tls" and not row.by_load and shutil.which("sipp") is not None


# -- a server under load -------------------------------------------------------------------------------


class Loaded:
    """A server that is up with its users registered and, for calls, a phone that answers."""

    def __init__(self, world: World, server: Server, row: Row) -> None:
        self.world, self.server, self.row = world, server, row
        self.log = world.directory / f"{server.name}-{row.id}.log"
        self.process = world.spawn(server.command(row, world), world.server_core, self.log)
        self.phone: subprocess.Popen[bytes] | None = None
        self._wait()
        if row.kind == "call":
            self.phone = self._start_phone()
        if row.kind == "call" and row.mode != "stateless":
            users = 1 if row.one_caller else USERS + 1  # the callee is the first
            outcome = self._load("register", users, 800, world.users, "--contact", str(server.base + 10))
            if outcome["failed"]:
                raise SystemExit(f"{server.name}: registration: {outcome}")

    def _wait(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((HOST, 0))
            sock.settimeout(0.3)
            port = sock.getsockname()[1]
            end = time.monotonic() + START_SECONDS
            number = 0
            while self.process.poll() is None and time.monotonic() < end:
                number += 1
                text = (
                    f"OPTIONS sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST}:{port};branch=z9hG4bK{number}\r\n"
                    f"Max-Forwards: 70\r\nFrom: <sip:p@{DOMAIN}>;tag=1\r\nTo: <sip:{DOMAIN}>\r\n"
                    f"Call-ID: {number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
                )
                try:
                    sock.sendto(text.encode(), (HOST, self.server.base))
                    if sock.recv(65_535).startswith(b"SIP/2.0") and self._workers_are_up():
                        return
                except OSError:
                    time.sleep(0.1)
        raise SystemExit(f"{self.server.name} did not start:\n{tail_of(self.log)}")

    def _workers_are_up(self) -> bool:
        """Each has a socket of its own at the port."""
        return self.row.workers == 1 or sockets_at(self.server.base) == self.row.workers

    def _start_phone(self) -> subprocess.Popen[bytes]:
        world, port = self.world, self.server.base + 10
        if not by_sipp(self.row):
            words = [*LOAD, "answer", "--listen", f"{HOST}:{port}", "--transport", self.row.transport]
            words += ["--cert", str(world.cert), "--key", str(world.key)]
        else:
            words = [
                "sipp", "-sf", str(HERE / "sipp" / "answer.xml"), "-i", HOST, "-p", str(port), "-nostdin",
                "-t", f"{self.row.transport[0]}1", "-timeout", "1800s", "-deadcall_wait", "1000",
                "-buff_size", BUFFER,
            ]  # fmt: skip
        log = world.directory / f"{self.server.name}-phone.log"
        phone = world.spawn(words, world.load_core, log)
        time.sleep(1.0)
        if phone.poll() is not None:
            raise SystemExit(f"the phone did not start: {' '.join(words)}\n{tail_of(log)}")
        return phone

    def run(self, rate: float, seconds: float, settle: float) -> Result:
        """Load it at this rate for so long; its timers run on for ``settle`` seconds."""
        calls = int(rate * seconds)
        others, before, begin = busy_seconds(), tree(self.process.pid), time.monotonic()
        load_cpu = self._phone_cpu()
        if not by_sipp(self.row):
            outcome = self._load(self.row.kind, calls, rate, *self._callers())
        else:
            outcome = self._sipp(calls, rate)
        load_seconds = time.monotonic() - begin
        time.sleep(settle)
        each = [ticks - before.get(pid, 0) for pid, ticks in tree(self.process.pid).items()]
        used = sum(each) / TICKS
        load_cpu = self._phone_cpu() - load_cpu + outcome["cpu_seconds"]
        others = busy_seconds() - others - used - load_cpu
        if self.process.poll() is not None:
            raise SystemExit(f"{self.server.name} ended under load: see {self.log}")
        return Result(
            calls,
            int(outcome["failed"]),
            1e6 * used / max(1, outcome["ok"]),
            outcome["p50_ms"],
            outcome["p99_ms"],
            max(0.0, others / (time.monotonic() - begin)),
            max(each) / max(1, sum(each)),
            load_cpu / load_seconds,
        )

    def runs_beside(
        self, calls: float, registrations: float, seconds: float, also: Callable[[], int]
    ) -> float:
        """CPU seconds for calls and registrations at these rates, while ``also`` does something that takes as long."""
        before = cpu_seconds(self.process)
        jobs: list[Callable[[], object]] = [also]
        if calls:
            jobs.append(lambda: self._load("call", int(calls * seconds), calls, *self._callers()))
        if registrations:
            caller = self._callers()[0]
            jobs.append(lambda: self._load("register", int(registrations * seconds), registrations, caller))
        with ThreadPoolExecutor() as pool:
            for job in [pool.submit(each) for each in jobs]:
                job.result()
        return cpu_seconds(self.process) - before

    def stop(self) -> None:
        """End the server and its phone."""
        self.world.end(self.process)
        if self.phone is not None:
            self.world.end(self.phone)

    def _phone_cpu(self) -> float:
        return cpu_seconds(self.phone) if self.phone is not None else 0.0

    def _callers(self) -> tuple[Path | str, ...]:
        """Who calls, whom, and with what: options of ``load.py`` after the users."""
        row, world = self.row, self.world
        words: list[Path | str] = [world.one_caller if row.one_caller else world.callers, *row.load]
        if row.links:
            words += ["--links", str(row.links)]
        if row.per_call and row.kind == "call":
            words.append("--per-call")
        if row.outside:
            words += ["--target", f"sip:callee@{HOST}:{self.server.base + 10};transport={row.transport}"]
        if row.id in ("p9", "p9v"):
            words += ["--from-domain", THEIR_DOMAIN]
        if row.identity == "verify":
            words += ["--sign-key", str(world.identities / "theirs.key"), "--sign-url", world.certificate_url]
        return tuple(words)

    def _load(
        self, kind: str, calls: int, rate: float, users: Path | str, *more: Path | str
    ) -> dict[str, float]:
        """Run ``load.py`` to its end."""
        row, log = self.row, self.world.fresh("load") / "out"
        port = self.server.base + (row.transport == "tls")
        words = [
            *LOAD, kind, "--server", f"{HOST}:{port}",
            "--transport", row.transport, "--users", str(users), "--rate", str(rate), "--calls", str(calls),
            "--domain", DOMAIN, "--grace", str(GRACE), *map(str, more),
        ]  # fmt: skip
        if kind == "register" and "--contact" not in more:
            words += ["--contact", str(self.server.base + 20)]
        self._finish(words, log, calls / rate)
        line = log.read_text(encoding="utf-8").strip().splitlines()[-1]
        figures = json.loads(line)
        return {name: figures[name] or 0.0 for name in ("ok", "failed", "p50_ms", "p99_ms", "cpu_seconds")}

    def _sipp(self, calls: int, rate: float) -> dict[str, float]:
        """Run SIPp to its end."""
        row, directory = self.row, self.world.fresh("sipp")
        scenario = f"{row.kind}_digest.xml" if row.digest else f"{row.kind}.xml"
        words = [
            "sipp", f"{HOST}:{self.server.base}", "-sf", str(HERE / "sipp" / scenario), "-i", HOST,
            "-inf", str(self.world.sipp_callers), "-p", str(self.server.base + 20), "-t", f"{row.transport[0]}1",
            "-r", str(int(rate)), "-m", str(calls), "-l", str(max(1000, int(rate * 1.5))), "-d", "100",
            "-auth_uri", DOMAIN if row.kind == "register" else f"callee@{DOMAIN}",
            "-key", "contact", str(self.server.base + 20), "-nostdin", "-timer_resol", "1", "-buff_size", BUFFER,
            "-trace_stat", "-stf", "statistics.csv", "-fd", "1", "-trace_rtt", "-rtt_freq", "500",
            "-timeout", f"{int(calls / rate + GRACE)}s", "-default_behaviors", "all,-bye",
        ]  # fmt: skip
        cpu = self._finish(words, directory / "log", calls / rate)
        with (directory / "statistics.csv").open(newline="", encoding="utf-8") as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        ok = int(last["SuccessfulCall(C)"])
        times = sorted(_round_trips(directory))
        p50, p99 = (times[int(len(times) * part)] if times else 0.0 for part in (0.50, 0.99))
        return {"ok": ok, "failed": calls - ok, "p50_ms": p50, "p99_ms": p99, "cpu_seconds": cpu}

    def _finish(self, words: list[str], log: Path, seconds: float) -> float:
        """Run a client in the directory of its log, and end it when it takes too long; gives its CPU seconds."""
        before = os.times()
        process = self.world.spawn(words, self.world.load_core, log, log.parent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds + GRACE + 10)
        self.world.end(process)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system


def _round_trips(directory: Path) -> Iterator[float]:
    """Milliseconds of each call's set-up, from SIPp's files."""
    for file in directory.glob("*_rtt.csv"):
        for line in file.read_text(encoding="ascii").splitlines():
            values = line.split(";")
            if len(values) > 1 and values[1][:1].isdigit():
                yield float(values[1])
