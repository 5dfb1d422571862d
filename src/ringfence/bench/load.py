"""A SIP load client over UDP, TCP and TLS: as many calls a second as it is told, and what became of them, in JSON.

    load.py answer   --listen 127.0.0.1:15070 --transport tls --cert C --key K        the phone; ends on SIGTERM
    load.py call     --server 127.0.0.1:15061 --transport tls --users U --rate 800 --calls 8000 [--per-call]
    load.py register --server 127.0.0.1:15060 --transport udp --users U --rate 800 --calls 8000 --contact 15070

A call is INVITE, 100, 180, 200, ACK, a pause, BYE, 200. A 407 or 401 is answered with digest credentials when it
comes, once. The users' file has a line ``user;password`` for each; calls take them in turn. ``--per-call`` opens a
connection for each call and closes it after the call; ``--links N`` has N connections, or UDP ports, for all. Calls
begin when they are due, whatever became of those before. Nothing is sent twice, so a lost datagram is a failed call.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import ssl
import time
from collections import Counter, deque
from pathlib import Path

import uvloop

from ringfence.bench.links import Link, connect
from ringfence.bench.phone import Phone, identity_of
from ringfence.bench.signer import Signer
from ringfence.bench.templates import EMPTY, FIELD, REQUEST, WITH_SDP, credentials, header

TICK = 0.001
"""Seconds between looks at which calls are due."""


class Call:
    """One call, or one registration, from its first request to its last response."""

    __slots__ = (
        "begun",
        "call_id",
        "cseq",
        "link",
        "method",
        "route",
        "run",
        "state",
        "tag",
        "target",
        "to",
        "user",
    )

    def __init__(self, run: Run, number: int, link: Link) -> None:
        self.run, self.link = run, link
        self.user = run.users[number % len(run.users)]
        self.call_id = b"%d-%b" % (number, run.name)
        self.tag = b"c%d" % number
        self.method, self.target, self.to = run.request_of(self.user)
        self.cseq = 0
        self.route = b""
        self.state = "first"
        self.begun = time.perf_counter()
        self.first()

    @property
    def sent_by(self) -> bytes:
        """Where responses go."""
        return self.link.sent_by or self.run.sent_by

    def request(self, method: bytes, extra: bytes, body: bytes) -> None:
        """Send a request with the next CSeq, or an ACK with the same and a branch of its own."""
        ack = method == b"ACK"
        self.cseq += not ack
        run, branch, sender = self.run, self.cseq * 2 + ack, self.run.address_of(self.user[0])
        self.link.send(
            REQUEST
            % (method, self.target, run.transport, self.sent_by, self.call_id, branch, self.route,
               sender, self.tag, self.to, self.call_id, self.cseq, method, extra, body)
        )  # fmt: skip

    def first(self, credentials: bytes = b"") -> None:
        """INVITE or REGISTER."""
        if self.method == b"INVITE":
            extra = self.run.contact % self.user[0] + credentials + self.run.invite_fields
            self.request(b"INVITE", extra + self.run.identity(self.user[0]), WITH_SDP)
        else:
            self.request(b"REGISTER", self.run.contact % self.user[0] + credentials, EMPTY)

    def received(self, message: bytes) -> None:
        """A response of this call."""
        status = message[8:11]
        if status[:1] == b"1":
            return
        if self.state == "first":
            if status == b"200":
                self.established(message)
                return
            if self.method == b"INVITE":
                self.refused(message)
            if status in (b"401", b"407"):
                self.state = "challenged"
                self.run.challenges += 1
                self.first(credentials(message, *self.user, self.method, self.target, self.tag))
                return
        elif self.state == "challenged" and status == b"200":
            self.established(message)
            return
        elif self.state == "ending" and status == b"200":
            self.run.over(self, None)
            return
        self.run.over(self, f"{self.state}: {status.decode()}")

    def refused(self, message: bytes) -> None:
        """ACK a final response that is not 2xx: with the branch of the INVITE (RFC 3261 section 17.1.1.3)."""
        run, to = self.run, header(message, "To")
        self.link.send(
            REQUEST
            % (b"ACK", self.target, run.transport, self.sent_by, self.call_id, self.cseq * 2, b"",
               run.address_of(self.user[0]), self.tag, to, self.call_id, self.cseq, b"ACK", b"", EMPTY)
        )  # fmt: skip

    def established(self, message: bytes) -> None:
        """The call is up: ACK, and hang up later."""
        self.run.setups.append(time.perf_counter() - self.begun)
        if self.method == b"REGISTER":
            self.run.over(self, None)
            return
        routes = FIELD["Record-Route"].findall(message)
        self.route = b"".join(b"Route: %b\r\n" % route for route in reversed(routes))
        contact = header(message, "Contact")
        self.target = contact[contact.find(b"<") + 1 : contact.find(b">")]
        self.to = header(message, "To")
        self.state = "up"
        self.request(b"ACK", b"", EMPTY)
        self.run.hang_up_later(self)

    def bye(self) -> None:
        """Hang up."""
        self.state = "ending"
        self.request(b"BYE", b"", EMPTY)


class Run:
    """All calls of one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        host, _, port = options.server.rpartition(":")
        self.server = host, int(port)
        self.domain = options.domain.encode()
        self.from_domain = (options.from_domain or options.domain).encode()
        self.invite_fields = b"".join(b"%b\r\n" % each.encode() for each in options.header)
        self._signer = Signer(options) if options.sign_key else None
        lines = Path(options.users).read_bytes().splitlines()
        self.users = [(user, password) for user, _, password in (line.partition(b";") for line in lines)]
        self.transport = options.transport.upper().encode()
        self.name = b"%x" % time.time_ns()
        self.sent_by = b"127.0.0.1:9"
        own = b"<sip:%%b@127.0.0.1:%d;transport=%b>" % (options.contact or 9, options.transport.encode())
        self.contact = (
            b"Contact: " + own + (b"\r\nExpires: 3600\r\n" if options.what == "register" else b"\r\n")
        )
        self.calls: dict[bytes, Call] = {}
        self.setups: list[float] = []
        self.failures: Counter[str] = Counter()
        self.ok = self.challenges = self.begun = 0
        self._ending: deque[tuple[float, Call]] = deque()
        self._trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._trust.check_hostname = False
        self._trust.verify_mode = (
            ssl.CERT_NONE
        )  # the servers' cost is the matter: they have a certificate made here
        self._connecting: set[asyncio.Task[None]] = set()

    def address_of(self, user: bytes) -> bytes:
        """The user's address-of-record."""
        return b"sip:%b@%b" % (user, self.from_domain)

    def request_of(self, user: tuple[bytes, bytes]) -> tuple[bytes, bytes, bytes]:
        """Method, Request-URI and To of the first request of a user."""
        if self.options.what == "register":
            return b"REGISTER", b"sip:" + self.domain, b"<%b>" % self.address_of(user[0])
        callee = b"sip:%b@%b" % (self.options.callee.encode(), self.domain)
        return b"INVITE", self.options.target.encode() or callee, b"<%b>" % callee

    def identity(self, user: bytes) -> bytes:
        """The Identity of a caller: a new signature for each call, since one seen before is a replay."""
        return b"" if self._signer is None else self._signer.field(user, int(time.time()))

    def received(self, message: bytes, link: Link) -> None:
        """A message from the server."""
        call = self.calls.get(header(message, "Call-ID"))
        if call is not None and message.startswith(b"SIP/2.0"):
            call.received(message)

    def begin(self, number: int, link: Link) -> None:
        """Start a call on a link."""
        call = Call(self, number, link)
        self.calls[call.call_id] = call

    async def begin_alone(self, number: int) -> None:
        """Start a call on a connection of its own; connecting is part of its set-up time."""
        begun = time.perf_counter()
        try:
            link = await connect(self.options.transport, self.server, self.received, self._trust)
        except OSError as error:
            self.failures[f"connect: {error}"] += 1
            return
        self.begin(number, link)
        self.calls[b"%d-%b" % (number, self.name)].begun = begun

    def hang_up_later(self, call: Call) -> None:
        """Have it end after the pause."""
        self._ending.append((time.perf_counter() + self.options.pause, call))

    def over(self, call: Call, failure: str | None) -> None:
        """A call is over, well or badly."""
        del self.calls[call.call_id]
        if failure is None:
            self.ok += 1
        else:
            self.failures[failure] += 1
        if self.options.per_call:
            call.link.close()

    async def run(self) -> dict[str, object]:
        """Do all calls; gives what became of them."""
        options = self.options
        shared: list[Link] = []
        for _ in range(0 if options.per_call else options.links):
            link = await connect(options.transport, self.server, self.received, self._trust)
            link.sent_by = b"%b:%d" % (self.server[0].encode(), own_port(link))
            shared.append(link)
        begin = time.perf_counter()
        end = begin + options.calls / options.rate + options.pause + options.grace
        while (now := time.perf_counter()) < end:
            due = min(options.calls, int((now - begin) * options.rate) + 1)
            while self.begun < due:
                self._start(self.begun, shared)
                self.begun += 1
            while self._ending and self._ending[0][0] <= now:
                self._ending.popleft()[1].bye()
            if self.ok + sum(self.failures.values()) == options.calls:
                break
            await asyncio.sleep(TICK)
        if self.calls:
            self.failures["no answer"] += len(self.calls)
        return self.outcome(time.perf_counter() - begin)

    def _start(self, number: int, shared: list[Link]) -> None:
        if shared:
            self.begin(number, shared[number % len(shared)])
            return
        task = asyncio.create_task(self.begin_alone(number))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def outcome(self, seconds: float) -> dict[str, object]:
        """The figures."""
        setups = sorted(self.setups)

        def percentile(part: float) -> float | None:
            return round(setups[min(len(setups) - 1, int(part * len(setups)))] * 1e3, 2) if setups else None

        return {
            "ok": self.ok,
            "failed": self.options.calls - self.ok,
            "failures": dict(self.failures),
            "challenges": self.challenges,
            "p50_ms": percentile(0.50),
            "p99_ms": percentile(0.99),
            "seconds": round(seconds, 3),
            "calls_per_second": round(self.ok / seconds, 1),
            "cpu_seconds": round(time.process_time(), 3),
        }


def own_port(link: Link) -> int:
    """The port that a link has on this side."""
    port: int = link.transport.get_extra_info("sockname")[1]  # type: ignore[attr-defined]
    return port


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    whats = parser.add_subparsers(dest="what", required=True)
    for what in ("call", "register"):
        kind = whats.add_parser(what)
        kind.add_argument("--server", required=True, metavar="HOST:PORT")
        kind.add_argument("--users", required=True)
        kind.add_argument("--rate", type=float, required=True, help="calls a second")
        kind.add_argument("--calls", type=int, required=True)
        kind.add_argument("--per-call", action="store_true", help="a connection for each call")
        kind.add_argument("--links", type=int, default=1, help="connections, where all calls share them")
        kind.add_argument("--pause", type=float, default=0.1, help="seconds between ACK and BYE")
        kind.add_argument("--grace", type=float, default=8.0, help="seconds for the last answers")
        kind.add_argument("--contact", type=int, help="the port in Contact")
        kind.add_argument("--callee", default="callee")
        kind.add_argument("--domain", default="bench.test")
        kind.add_argument("--from-domain", help="of the callers, where it is another one")
        kind.add_argument(
            "--target", default="", help="the Request-URI, where it is not the callee's address"
        )
        kind.add_argument("--header", action="append", default=[], help="a header field for each INVITE")
        kind.add_argument("--sign-key", type=Path, help="a key that callers are signed with (RFC 8224)")
        kind.add_argument("--sign-url", default="", help="where its certificate is")
    phone = whats.add_parser("answer")
    phone.add_argument("--listen", required=True, metavar="HOST:PORT")
    phone.add_argument("--cert")
    phone.add_argument("--key")
    for kind in whats.choices.values():
        kind.add_argument("--transport", choices=["udp", "tcp", "tls"], default="tls")
    return parser.parse_args()


def main() -> None:
    """Run, and print what became of it."""
    options = arguments()
    gc.disable()  # a run is short, and what it makes has no cycles
    work = Phone(options).run(identity_of(options)) if options.what == "answer" else Run(options).run()
    print(json.dumps(uvloop.run(work)), flush=True)


if __name__ == "__main__":
    main()
