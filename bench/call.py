"""What one proxied call costs without sockets: eight messages through the driver, the engine and the edge's steps.

    python bench/call.py                microseconds a call, and of each of its messages
    python bench/call.py --pause 150    the same with a pause of so many microseconds before each message, in which the
                                        processor's caches go cold, as they do in a node that is not full
    python bench/call.py --profile      where they go

Messages are those of SIPp's scenario: INVITE, 100, 180, 200, ACK, BYE, 200, with a record-routing proxy between.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import statistics
import time
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from ringfence.engine.timers import Timers
from ringfence.engine.transactions import Transactions
from ringfence.message import parse
from ringfence.roles.addresses import Addresses, Listener
from ringfence.roles.edge import STEPS
from ringfence.roles.policy import ChallengeMode, Policy, Services
from ringfence.roles.server import Server
from ringfence.security.nonces import NcWindow, Nonces
from ringfence.store.memory import MemoryStore
from ringfence.store.records import Binding
from ringfence.transport.driver import Driver
from ringfence.transport.flow import Endpoint, Flow
from ringfence.transport.resolver import Resolver

PROXY = Endpoint("127.0.0.1", 5060)


class Wire(Flow):
    """A UDP flow that keeps the last datagram."""

    __slots__ = ("closed", "key", "local", "peer", "remote", "sent", "user")
    transport, reliable, secure = "UDP", False, False

    def __init__(self, remote: Endpoint) -> None:
        self.local, self.remote, self.closed, self.peer, self.user = PROXY, remote, False, None, None
        self.key = f"UDP,{self.local},{remote}"
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self, reason: str) -> None:
        """Nothing."""


SDP = (
    b"v=0\r\no=uac 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 20002 RTP/AVP 0\r\n"
)


def request(method: str, uri: str, number: int, branch: str, extra: str = "", body: bytes = b"") -> bytes:
    """One of the client's requests."""
    kind = "Content-Type: application/sdp\r\n" if body else ""
    to_tag = "" if method == "INVITE" else ";tag=b1"
    return (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:7001;branch=z9hG4bK-{number}-{branch}\r\n{extra}"
        f"Max-Forwards: 70\r\nFrom: <sip:user0001@bench.test>;tag=a{number}\r\nTo: <sip:callee@bench.test>{to_tag}\r\n"
        f"Call-ID: {number}-1@127.0.0.1\r\nCSeq: 1 {method}\r\nContact: <sip:user0001@127.0.0.1:7001;transport=UDP>\r\n"
        f"User-Agent: sipp-bench\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def response(data: bytes, status: str, body: bytes = b"") -> bytes:
    """The callee's answer to what the proxy forwarded."""
    message = parse(data)
    lines = [line for line in message.headers.lines if line.split(":")[0] in KEPT]
    lines = [line + ";tag=b1" if line.startswith("To:") and "tag=" not in line else line for line in lines]
    lines += ["Contact: <sip:uas@127.0.0.1:7002;transport=UDP>", f"Content-Length: {len(body)}"]
    return f"SIP/2.0 {status}\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + body


KEPT = {"Via", "Record-Route", "From", "To", "Call-ID", "CSeq"}


def node(loop: asyncio.AbstractEventLoop, caller: Wire, callee: Wire) -> Driver:
    """A node with one registered callee."""
    driver = Driver(Transactions(Timers()), loop)
    store = MemoryStore()
    now = time.time()
    binding = Binding(
        "sip:callee@bench.test", "sip:callee@127.0.0.1:7002;transport=UDP", now + 9e5, "x", 1, now
    )
    store.bindings.hold(binding.aor, (binding,), 0)
    addresses = Addresses([Listener("UDP", PROXY.host, PROXY.port, PROXY.host)])
    policy = Policy("bench.test", frozenset({"bench.test"}), "bench.test", addresses, bytes(32))
    policy.challenge = ChallengeMode.NONE
    services = Services(
        policy,
        store.accounts,
        store.bindings,
        Nonces(bytes(32)),
        NcWindow(),
        bytes(32),
        driver,
        Resolver(),
        time.time,
    )
    pool: Any = SimpleNamespace(flow_to=lambda *_: callee, find=lambda _: None, reached={})
    driver.bind(pool, Server(services, STEPS).receive)
    return driver


SPENT = [0]
"""Nanoseconds inside the node; what the bench itself does between messages does not count."""

EACH: defaultdict[str, list[int]] = defaultdict(list)
"""The same by kind of message: a method or a status code."""

PAUSE = [0]
"""Microseconds before each message."""


def call(driver: Driver, caller: Wire, callee: Wire, number: int, invite: bytes | None = None) -> None:
    """Eight messages; the first may be given."""

    def receive(data: bytes, wire: Wire) -> None:
        if PAUSE[0]:
            time.sleep(PAUSE[0] / 1e6)
        started = time.perf_counter_ns()
        driver.received(data, wire)
        spent = time.perf_counter_ns() - started
        SPENT[0] += spent
        EACH[data.split(b" ", 2)[1 if data.startswith(b"SIP/") else 0].decode()].append(spent)

    receive(invite or request("INVITE", "sip:callee@bench.test", number, "1", body=SDP), caller)
    assert callee.sent, caller.sent[-1]
    forwarded = callee.sent[-1]
    receive(response(forwarded, "100 Trying"), callee)
    receive(response(forwarded, "180 Ringing"), callee)
    receive(response(forwarded, "200 OK", SDP), callee)
    route = next(line for line in parse(caller.sent[-1]).headers.all("Record-Route"))
    target = "sip:uas@127.0.0.1:7002;transport=UDP"
    receive(request("ACK", target, number, "2", f"Route: {route}\r\n"), caller)
    receive(request("BYE", target, number, "3", f"Route: {route}\r\n"), caller)
    receive(response(callee.sent[-1], "200 OK"), callee)
    assert caller.sent[-1].startswith(b"SIP/2.0 200"), caller.sent[-1]
    caller.sent.clear()
    callee.sent.clear()


def main() -> None:
    """Measure, or profile."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--pause", type=int, default=0, metavar="US")
    arguments = parser.parse_args()
    PAUSE[0] = arguments.pause
    loop = asyncio.new_event_loop()
    caller, callee = Wire(Endpoint("127.0.0.1", 7001)), Wire(Endpoint("127.0.0.1", 7002))
    driver = node(loop, caller, callee)
    profile = cProfile.Profile()
    for number in range(200):
        call(driver, caller, callee, number)
    if arguments.profile:
        profile.enable()
    rounds = []
    for start in range(1000, 1000 + arguments.calls, 500):
        SPENT[0] = 0
        for number in range(start, start + 500):
            call(driver, caller, callee, number)
        rounds.append(SPENT[0] / 500 / 1000)
    profile.disable()
    for kind, spent in EACH.items():
        print(f"  {kind:7} {statistics.median(spent) / 1000:6.1f} us")
    print(f"{min(rounds):.0f} us a call at best, {sorted(rounds)[len(rounds) // 2]:.0f} in the middle")
    if arguments.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    loop.close()


if __name__ == "__main__":
    main()
