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
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from fault_world import Row, Traffic, said, world
from ringfence.store.migrate import upgrade
from tests.interop.node import RINGFENCE, Node, environment
from tests.interop.processes import Program, eventually
from tests.interop.raw import RawPhone
from tests.store.test_postgresql import BIN, start

DOCUMENT = ROOT / "docs" / "reliability.md"
MARKS = "<!-- made by scripts/faults.py -->", "<!-- end of faults -->"

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


Fault = Callable[[Path], Row]


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


def database(directory: Path) -> Row:
    """PostgreSQL, which has accounts, registrations and ledger, is gone for a while."""
    home = directory / "postgresql"
    home.mkdir()
    for each in (directory, home):
        shutil.chown(each, "postgres")
    server, url = start(home, "postgres")
    upgrade(url)
    settings = f'[database]\nurl = "{url}"\n[ledger]\ndatabase = "{url}"\n'
    try:
        with world(directory, settings) as made, made.serve() as traffic:
            traffic.wait_for(200, 10)
            mark = len(traffic.calls)
            server.send_signal(signal.SIGQUIT)  # "immediate": as a crash, without a last word to anybody
            server.wait(20)
            traffic.wait_for(503, 3)
            meanwhile = said(traffic.statuses(mark))
            server = resume(home, "postgres")
            traffic.wait_for(200, 10, 40.0)
            traffic._stop.set()
            time.sleep(1.0)
            lost = made.losses(traffic.calls)
    finally:
        server.terminate()
        server.wait(20)
    return Row(
        "the database, PostgreSQL, crashes and is away for some seconds",
        f"calls: {meanwhile}; none is connected that can't be recorded",
        "calls go on",
        lost,
    )


def resume(home: Path, owner: str) -> subprocess.Popen[bytes]:
    """Start the server again on what it has."""
    words = [BIN / "postgres", "-D", home / "data", "-k", home, "-c", "listen_addresses="]
    server = subprocess.Popen(words, stderr=subprocess.DEVNULL, user=owner)
    time.sleep(2.0)
    return server


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
    "database": database,
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
