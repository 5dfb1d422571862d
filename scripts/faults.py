#!/usr/bin/env python3
"""Break things while calls go on, and tell what was lost: the table of docs/reliability.md.

    python scripts/faults.py                    every fault, some three minutes
    python scripts/faults.py --faults kill,disk some
    python scripts/faults.py --write            also into docs/reliability.md

Each fault has a node of its own, set up and served by the commands that its owner would type. Alice calls Bob again and
again, by UDP on loopback; then something breaks, and is mended. What was promised must be there afterwards: a
registration that was answered 200, and a record of every call that was connected, once, in a ledger that verifies.
Exit code 1 when anything was lost. Needs root for the full disk, and gcc for the clock.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from ringfence.message import Request, Response
from ringfence.message.fields import RECORD_ROUTE
from tests.interop.node import RINGFENCE, Node, environment
from tests.interop.processes import Program, eventually
from tests.interop.raw import RawPhone, call_id_of

DOCUMENT = ROOT / "docs" / "reliability.md"
MARKS = "<!-- made by scripts/faults.py -->", "<!-- end of faults -->"

ANSWER_SECONDS = 4.0
"""A call that has no final response by then has failed."""

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static long offset(void) {
    FILE *file = fopen(getenv("CLOCK_OFFSET"), "r");
    long seconds = 0;
    if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
    return seconds;
}
int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(which, now);
    if (which == CLOCK_REALTIME) now->tv_sec += offset();
    return result;
}
time_t time(time_t *out) {
    struct timespec now; clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""
"""A clock that can be set for one process: the machine's own is left alone."""


@dataclass
class Call:
    """One call of Alice."""

    call_id: str
    status: int
    answered_in: float


@dataclass
class Traffic:
    """Alice calls Bob until told to stop. Bob's phone answers at once."""

    node: Node
    alice: RawPhone
    bob: RawPhone
    calls: list[Call] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        for work in (self._answer, self._call):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(3 * ANSWER_SECONDS)

    def statuses(self, since: int = 0) -> dict[int, int]:
        """How often each outcome came; 0 is no answer."""
        found: dict[int, int] = {}
        for call in self.calls[since:]:
            found[call.status] = found.get(call.status, 0) + 1
        return dict(sorted(found.items()))

    def wait_for(self, status: int, count: int, seconds: float = 20.0) -> None:
        """Let calls go on until so many more have ended like this."""
        begin = len(self.calls)

        def enough() -> bool:
            return sum(call.status == status for call in self.calls[begin:]) >= count

        eventually(enough, f"{count} calls end with {status}: {self.statuses(begin)}", seconds)

    def _answer(self) -> None:
        while not self._stop.is_set():
            message = self.bob.receive(0.1)
            if isinstance(message, Request) and message.method != "ACK":
                self.bob.reply(message, 200)

    def _call(self) -> None:
        while not self._stop.is_set():
            self.calls.append(self._one())
            time.sleep(0.03)

    def _one(self) -> Call:
        data = self.alice.text("INVITE", f"sip:bob@{self.node.domain}")
        call_id = call_id_of(data)
        begun = time.monotonic()
        try:
            response = self.alice.ask(data, ANSWER_SECONDS)
        except (AssertionError, OSError):
            return Call(call_id, 0, ANSWER_SECONDS)
        took = time.monotonic() - begun
        if response.status == 200:
            with contextlib.suppress(AssertionError, OSError):
                self._hang_up(response)
        return Call(call_id, response.status, took)

    def _hang_up(self, response: Response) -> None:
        target = (response.headers.get("Contact") or "").strip("<>")
        for method, cseq in (("ACK", 2), ("BYE", 3)):
            lines = [
                f"{method} {target} SIP/2.0",
                f"Via: SIP/2.0/UDP {self.alice.host}:{self.alice.port};branch=z9hG4bK{time.monotonic_ns()};rport",
                "Max-Forwards: 70",
                *(f"Route: {each}" for each in reversed(response.headers.every(RECORD_ROUTE))),
                f"From: {response.headers.get('From')}",
                f"To: {response.headers.get('To')}",
                f"Call-ID: {response.call_id}",
                f"CSeq: {cseq} {method}",
                "Content-Length: 0",
            ]
            self.alice.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        self.alice.final(ANSWER_SECONDS, response.call_id)


@dataclass
class Row:
    """What is told of one fault."""

    fault: str
    meanwhile: str
    afterwards: str
    lost: str = "nothing"


class World:
    """A node with two users whose phones are registered."""

    def __init__(self, directory: Path, settings: str = "", transports: tuple[str, ...] = ("udp",)) -> None:
        self.node = Node.create(directory / "node", transports=transports, settings=settings)
        for user in ("alice", "bob"):
            self.node.add_user(user, calls=100)
        self.phones: list[RawPhone] = []

    def serve(self) -> Traffic:
        """Start the node, and register the phones."""
        self.node.serve()
        self.phones = [RawPhone(self.node, user) for user in ("alice", "bob")]
        for phone in self.phones:
            assert phone.register().status == 200
        return Traffic(self.node, *self.phones)

    def close(self) -> None:
        """End all."""
        for phone in self.phones:
            phone.close()
        self.node.end()

    def losses(self, calls: list[Call]) -> str:
        """What was promised and is not there. The node is stopped for it, so that all is written."""
        self.node.end()
        text = self.node.command("ledger", "export", "--format", "json")
        recorded = [json.loads(line)["call_id"] for line in text.splitlines() if line.strip()]
        lost = [
            f"call {call.call_id}: {recorded.count(call.call_id)} records"
            for call in calls
            if call.status == 200 and recorded.count(call.call_id) != 1
        ]
        verified = self.node.command("ledger", "verify")  # raises when it does not
        assert "event" in verified, verified
        return "; ".join(lost) or "nothing"


Fault = Callable[[Path], Row]


@contextlib.contextmanager
def world(directory: Path, settings: str = "", transports: tuple[str, ...] = ("udp",)) -> Iterator[World]:
    """A world that is closed in any case."""
    made = World(directory, settings, transports)
    try:
        yield made
    finally:
        made.close()


def said(statuses: dict[int, int]) -> str:
    """Outcomes for people."""
    return ", ".join(f"{count} × {status or 'no answer'}" for status, count in statuses.items()) or "no call"


def kill(directory: Path) -> Row:
    """The process is killed while calls are set up; it is started anew, and nobody registers again."""
    with world(directory) as made, made.serve() as traffic:
        traffic.wait_for(200, 20)
        promised = []
        for _ in range(7):
            phone = RawPhone(made.node, "alice")
            made.phones.append(phone)
            if phone.register().status == 200:
                promised.append(phone.port)
        made.node.kill()
        mark = len(traffic.calls)
        made.node.serve()
        registered = made.node.status()["registrations"]
        traffic.wait_for(200, 20)
        meanwhile = said({status: n for status, n in traffic.statuses(mark).items() if status != 200})
        traffic._stop.set()
        time.sleep(0.5)
        lost = made.losses(traffic.calls)
        wanted = len(promised) + 2
        if registered != wanted:
            lost = f"{wanted} registrations were answered 200, {registered} are there; {lost}"
    return Row(
        "`kill -9`, with calls being set up, after 9 registrations",
        f"calls: {meanwhile}",
        f"{registered} of {wanted} registrations there; the next call reaches Bob",
        lost,
    )


def locked(directory: Path) -> Row:
    """Another process holds both databases locked for five seconds."""
    with world(directory) as made, made.serve() as traffic:
        traffic.wait_for(200, 10)
        data = made.node.directory / "data"
        connections = [
            sqlite3.connect(data / name, isolation_level=None) for name in ("ringfence.db", "ledger.db")
        ]
        mark = len(traffic.calls)
        for connection in connections:
            connection.execute("BEGIN IMMEDIATE")
        time.sleep(5.0)
        meanwhile = said(traffic.statuses(mark))
        for connection in connections:
            connection.execute("ROLLBACK")
            connection.close()
        traffic.wait_for(200, 10)
        traffic._stop.set()
        time.sleep(0.5)
        return Row(
            "the databases are locked by another process for 5 s",
            f"calls: {meanwhile}; none is connected that can't be recorded",
            "calls go on",
            made.losses(traffic.calls),
        )


def disk(directory: Path) -> Row:
    """The disk with the data fills up. It is a small one of the node's own, in a mount namespace."""
    with world(directory) as made:
        data = made.node.directory / "data"
        script = (
            f"cp -a {data} {data}.kept && mount -t tmpfs -o size=6m,mode=700 none {data} && "
            f"cp -a {data}.kept/. {data} && exec {RINGFENCE} serve --config {made.node.config}"
        )
        made.node.serving = Program(
            ["unshare", "--mount", "sh", "-c", script], made.node.directory, environment()
        )
        inside = Path(f"/proc/{made.node.serving.pid}/root{data}")
        eventually(
            lambda: (inside / "control.sock").exists() and inside.stat().st_dev != data.stat().st_dev,
            "served",
            30,
        )
        time.sleep(0.5)
        made.phones = [RawPhone(made.node, user) for user in ("alice", "bob")]
        for phone in made.phones:
            assert phone.register().status == 200
        with Traffic(made.node, *made.phones) as traffic:
            traffic.wait_for(200, 10)
            with contextlib.suppress(OSError), (inside / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(b"x" * 4096)
            mark = len(traffic.calls)
            traffic.wait_for(503, 5)
            meanwhile = said(traffic.statuses(mark))
            answers = made.phones[0].node is made.node and made.node.serving.running
            (inside / "filler").unlink()
            traffic.wait_for(200, 10)
            traffic._stop.set()
            time.sleep(1.0)
            # What the node wrote is in its own mount: copied out before it ends.
            subprocess.run(["cp", "-a", f"{inside}/.", data], check=True)
            lost = made.losses(traffic.calls) if answers else "the node ended"
    return Row(
        "the disk is full",
        f"calls: {meanwhile}; the node goes on",
        "with space again calls go on",
        lost,
    )


def names(directory: Path) -> Row:
    """The DNS answers nothing any more."""
    with (
        world(directory, '[dns]\nservers = ["127.0.0.1:9"]\ntimeout_seconds = 1.0\n') as made,
        made.serve() as traffic,
    ):
        traffic.wait_for(200, 5)
        mark = len(traffic.calls)
        outside = RawPhone(made.node, "alice")
        made.phones.append(outside)
        begun = time.monotonic()
        status = outside.ask(outside.text("INVITE", "sip:carol@elsewhere.example"), 15.0).status
        took = time.monotonic() - begun
        traffic.wait_for(200, 10)
        inside = said(traffic.statuses(mark))
        traffic._stop.set()
        time.sleep(0.5)
        return Row(
            "the DNS is gone",
            f"a call to another domain: {status} after {took:.0f} s; calls inside: {inside}",
            "calls go on",
            made.losses(traffic.calls),
        )


def downstream(directory: Path) -> Row:
    """The next hop of another domain is gone: nobody is at its address."""
    settings = '[dns]\nservers = ["127.0.0.1:9"]\n[dns.hosts]\n"elsewhere.example" = ["127.0.0.77"]\n'
    with world(directory, settings) as made, made.serve() as traffic:
        traffic.wait_for(200, 5)
        mark = len(traffic.calls)
        outside = RawPhone(made.node, "alice")
        made.phones.append(outside)
        begun = time.monotonic()
        uri = "sip:carol@elsewhere.example:9;transport=tcp"
        status = outside.ask(outside.text("INVITE", uri), 15.0).status
        took = time.monotonic() - begun
        traffic.wait_for(200, 10)
        inside = said(traffic.statuses(mark))
        traffic._stop.set()
        time.sleep(0.5)
        return Row(
            "a next hop is gone",
            f"a call by it: {status} after {took:.1f} s; other calls: {inside}",
            "calls go on",
            made.losses(traffic.calls),
        )


def scanner(directory: Path) -> Row:
    """The malware scanner is gone."""
    with world(directory, f'[malware]\nclamd = "{directory}/gone.sock"\n') as made, made.serve() as traffic:
        traffic.wait_for(200, 5)
        mark = len(traffic.calls)
        writer = RawPhone(made.node, "alice")
        made.phones.append(writer)
        text = writer.text("OPTIONS", f"sip:bob@{made.node.domain}", body=b"hello", kind="text/plain")
        status = writer.ask(text, 10.0).status
        traffic.wait_for(200, 10)
        inside = said(traffic.statuses(mark))
        traffic._stop.set()
        time.sleep(0.5)
        return Row(
            "clamd is gone",
            f"a request with a text: {status} (`fail_open = false`); calls: {inside}",
            "calls go on",
            made.losses(traffic.calls),
        )


def radius(directory: Path) -> Row:
    """The RADIUS server that is told of calls is gone."""
    secret = directory / "radius.secret"
    secret.write_text("secret\n", encoding="ascii")
    secret.chmod(0o600)
    settings = f'[[radius]]\nserver = "127.0.0.1:9"\nsecret = "{secret}"\n'
    with world(directory, settings) as made, made.serve() as traffic:
        traffic.wait_for(200, 20)
        inside = said(traffic.statuses())
        traffic._stop.set()
        time.sleep(0.5)
        return Row(
            "the RADIUS server is gone",
            f"calls: {inside}",
            "what it was not told stays in the ledger, and is told when it is back",
            made.losses(traffic.calls),
        )


def clock(directory: Path) -> Row:
    """The wall clock jumps back by an hour, and then forward by ten minutes."""
    source, library, offset = (directory / name for name in ("clock.c", "clock.so", "offset"))
    source.write_text(CLOCK, encoding="ascii")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    offset.write_text("0", encoding="ascii")
    os.environ |= {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}
    try:
        with world(directory) as made, made.serve() as traffic:
            traffic.wait_for(200, 10)
            mark = len(traffic.calls)
            for jump in ("-3600", "600"):
                offset.write_text(jump, encoding="ascii")
                traffic.wait_for(200, 15)
            meanwhile = said(traffic.statuses(mark))
            traffic._stop.set()
            time.sleep(0.5)
            lost = made.losses(traffic.calls)
    finally:
        del os.environ["LD_PRELOAD"], os.environ["CLOCK_OFFSET"]
    return Row(
        "the clock jumps back an hour, then ten minutes ahead", f"calls: {meanwhile}", "calls go on", lost
    )


def certificate(directory: Path) -> Row:
    """The node's certificate has expired; it is renewed, and the node told to read it, while calls go on."""
    with world(directory, transports=("udp", "tls")) as made:
        expire(made.node)
        with made.serve() as traffic:
            traffic.wait_for(200, 5)
            mark = len(traffic.calls)
            try:
                made.node.connect("tls").close()
                refused = "is taken"
            except OSError as error:
                refused = f"is refused by the client ({getattr(error, 'verify_message', error)})"
            made.node.command("cert", "renew")
            made.node.command("reload")
            made.node.connect("tls").close()
            traffic.wait_for(200, 10)
            inside = said(traffic.statuses(mark))
            traffic._stop.set()
            time.sleep(0.5)
            lost = made.losses(traffic.calls)
    return Row(
        "the certificate has expired",
        f"a TLS connection {refused}; calls by UDP: {inside}",
        "`ringfence cert renew`, `ringfence reload`: TLS is good again, no connection was dropped",
        lost,
    )


def expire(node: Node) -> None:
    """Put an expired certificate of the same CA in place of the node's."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    tls = node.directory / "tls"
    authority = serialization.load_pem_private_key((tls / "ca.key").read_bytes(), None)
    old = x509.load_pem_x509_certificate(node.certificate.read_bytes())
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30)
    builder = x509.CertificateBuilder(
        issuer_name=old.issuer,
        subject_name=old.subject,
        public_key=old.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=then,
        not_valid_after=then + datetime.timedelta(days=1),
        extensions=list(old.extensions),
    )
    made = builder.sign(authority, hashes.SHA256())  # type: ignore[arg-type]
    node.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def stopped(directory: Path) -> Row:
    """SIGTERM while a phone rings: the caller is told, and so is the phone."""
    with world(directory, "[limits]\ndrain_seconds = 1.0\n") as made:
        traffic = made.serve()
        alice, bob = made.phones
        alice.ask_only(alice.text("INVITE", f"sip:bob@{made.node.domain}"))
        ringing = bob.next_request("INVITE")
        bob.reply(ringing, 180)
        time.sleep(0.2)
        assert made.node.serving is not None
        made.node.serving.process.send_signal(signal.SIGTERM)
        final = alice.final(5.0).status
        cancelled = bob.next_request("CANCEL").method
        lost = "nothing" if (final, cancelled) == (503, "CANCEL") else f"caller {final}, phone {cancelled}"
        made.node.serving.wait(10)
        lost = lost if lost != "nothing" else made.losses(traffic.calls)
    return Row(
        "SIGTERM while a phone rings",
        f"the caller is answered {final}, the phone gets {cancelled}",
        "-",
        lost,
    )


FAULTS: dict[str, Fault] = {
    "kill": kill,
    "locked": locked,
    "disk": disk,
    "dns": names,
    "downstream": downstream,
    "clamd": scanner,
    "radius": radius,
    "clock": clock,
    "certificate": certificate,
    "sigterm": stopped,
}


def main() -> None:
    """Inject, and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--write", action="store_true", help=f"the table into docs/{DOCUMENT.name}")
    options = parser.parse_args()
    rows = []
    for name in options.faults.split(","):
        with tempfile.TemporaryDirectory(prefix=f"rf-{name}-") as directory:
            rows.append(FAULTS[name](Path(directory)))
        print(f"{name}: {rows[-1].meanwhile} -> lost: {rows[-1].lost}", file=sys.stderr, flush=True)
    head = ["fault", "meanwhile", "afterwards", "lost"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {row.fault} | {row.meanwhile} | {row.afterwards} | {row.lost} |" for row in rows]
    text = "\n".join(lines)
    print(text)
    if options.write:
        document = DOCUMENT.read_text(encoding="utf-8")
        before, _, rest = document.partition(MARKS[0])
        _, _, after = rest.partition(MARKS[1])
        DOCUMENT.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")
    sys.exit(any(row.lost != "nothing" for row in rows))


if __name__ == "__main__":
    main()
