"""What the engine costs without sockets: a timer, a whole proxied call, a challenge.

The call is what a proxy sees of INVITE 100 180 200 ACK BYE 200, already parsed: four transactions and 17 calls into the
engine. Figures are CPU microseconds, best of several rounds. Compare lines of one run, on an idle machine; each is
also given as a multiple of a yardstick, which moves less between machines.
"""

from __future__ import annotations

import gc
import heapq
import time
import tracemalloc
from collections.abc import Callable
from typing import NamedTuple

from ringfence.engine.effects import Deliver, Effect
from ringfence.engine.machine import ServerTransaction
from ringfence.engine.timers import Deadlines, Timer
from ringfence.engine.transactions import Transactions
from ringfence.message import Request, Response, parse, response_to

CALLS = 20_000
INTERVAL = 0.005
"""Seconds between calls: 200 a second, so that 6,400 calls linger when the first begin to end."""

BATCH = 50
"""Calls whose messages are parsed, outside of the measure, shortly before they are used, as on a node."""

RUNNING = 200_000
"""Deadlines that run at the same time."""

ROUNDS = 3


class Outlet:
    """A flow that goes nowhere."""

    def __init__(self, key: str, *, reliable: bool) -> None:
        self.key = key
        self.reliable = reliable


class Call(NamedTuple):
    """The messages of one call, as a proxy sees them on its two sides."""

    invite: Request
    invite_onward: Request
    trying: Response
    ringing: Response
    accepted: Response
    ack: Request
    bye: Request
    bye_onward: Request
    gone: Response


def main() -> None:
    """Print one line for each measure."""
    yardstick = best(dict_walk, RUNNING)
    print(f"{'yardstick: fill and empty a dict':44} {yardstick:7.2f} us {1.0:7.1f}")
    for name, measure, count in (
        ("arm and fire one of 200,000 deadlines", deadlines, RUNNING),
        ("the same with one heap of all of them", one_heap, RUNNING),
        ("arm and stop one of 200,000 deadlines", stopped, RUNNING),
        ("one proxied call over UDP", proxied_calls(reliable=False), CALLS),
        ("one proxied call over TLS", proxied_calls(reliable=True), CALLS),
        ("one challenged request, nothing kept", challenged, CALLS),
    ):
        cost = best(measure, count)
        print(f"{name:44} {cost:7.2f} us {cost / yardstick:7.1f}")
    for name, linger in (("INVITE", invite_lingers), ("BYE", bye_lingers)):
        print(f"{f'memory of one that lingers, {name}, both sides':44} {kept(linger):7.0f} bytes")


def best(measure: Callable[[int], float], count: int) -> float:
    """The lowest of several rounds, in microseconds for one."""
    gc.collect()
    gc.disable()
    try:
        return min(measure(count) for _ in range(ROUNDS)) / count * 1e6
    finally:
        gc.enable()


def dict_walk(count: int) -> float:
    """How fast this machine is."""
    start = time.process_time()
    table = {(number, "INVITE"): [number] for number in range(count)}
    while table:
        table.popitem()
    return time.process_time() - start


def deadlines(count: int) -> float:
    """Timer B of many transactions, each of which comes to its end."""
    running, owner = Deadlines(), object()
    start = time.process_time()
    for number in range(count):
        running.arm(owner, Timer.B, 32.0, number * 1e-4)
    for deadline in running.due(1e9):
        running.fire(deadline)
    return time.process_time() - start


def one_heap(count: int) -> float:
    """What ``Deadlines`` is measured against."""
    heap: list[tuple[float, int, object, Timer]] = []
    owner = object()
    start = time.process_time()
    for number in range(count):
        heapq.heappush(heap, (number * 1e-4 + 32.0, number, owner, Timer.B))
    while heap:
        heapq.heappop(heap)
    return time.process_time() - start


def stopped(count: int) -> float:
    """Timer B of many transactions, each of which is answered."""
    running, owner = Deadlines(), object()
    start = time.process_time()
    made = [running.arm(owner, Timer.B, 32.0, number * 1e-4) for number in range(count)]
    for deadline in made:
        running.stop(deadline)
    return time.process_time() - start


def proxied_calls(*, reliable: bool) -> Callable[[int], float]:
    """Calls through a proxy, and the timers of all their transactions until they are gone."""

    def run(count: int) -> float:
        engine = Transactions()
        near, far = Outlet("near", reliable=reliable), Outlet("far", reliable=reliable)
        spent = now = 0.0
        for first in range(0, count, BATCH):
            calls = [call(number) for number in range(first, first + BATCH)]
            start = time.process_time()
            for one in calls:
                now += INTERVAL
                proxy(engine, one, near, far, now)
            spent += time.process_time() - start
        start = time.process_time()
        engine.expire(now + 100)
        assert not len(engine)
        return spent + time.process_time() - start

    return run


def proxy(engine: Transactions, one: Call, near: Outlet, far: Outlet, now: float) -> None:
    """What a proxy and its driver ask of the engine for one call."""
    server = taken(engine.receive(one.invite, near, now))
    engine.trying(server, now)
    engine.request(one.invite_onward, far, "context", now)
    engine.receive(one.trying, far, now)
    engine.receive(one.ringing, far, now)
    engine.respond(server, one.ringing, now)
    engine.receive(one.accepted, far, now)
    engine.respond(server, one.accepted, now)
    engine.receive(one.ack, near, now)
    server = taken(engine.receive(one.bye, near, now))
    engine.trying(server, now)
    engine.request(one.bye_onward, far, "context", now)
    engine.receive(one.gone, far, now)
    engine.respond(server, one.gone, now)
    for _ in range(3):
        engine.expire(now)
        engine.next_deadline()


def taken(effects: list[Effect]) -> ServerTransaction:
    """The server transaction of a request that was just received."""
    (deliver,) = effects
    assert isinstance(deliver, Deliver)
    assert isinstance(deliver.transaction, ServerTransaction)
    return deliver.transaction


def call(number: int) -> Call:
    """The messages of one call."""
    onward, bye_onward = message("INVITE", number, "far"), message("BYE", number, "far")
    return Call(
        message("INVITE", number, "near"),
        onward,
        answer(onward, 100),
        answer(onward, 180),
        answer(onward, 200),
        message("ACK", number, "near"),
        message("BYE", number, "near"),
        bye_onward,
        answer(bye_onward, 200),
    )


def message(method: str, number: int, side: str) -> Request:
    """A parsed request."""
    branch = f"z9hG4bK{side}{number}{method}"
    text = (
        f"{method} sip:bob@192.0.2.4:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {side}.example.org:5060;branch={branch}\r\n"
        f"From: <sip:alice@example.org>;tag=a{number}\r\nTo: <sip:bob@example.org>\r\n"
        f"Call-ID: {number}@example.org\r\nCSeq: 1 {method}\r\nContact: <sip:alice@192.0.2.1>\r\n"
        f"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    request = parse(text.encode())
    assert isinstance(request, Request)
    return request


def answer(request: Request, status: int) -> Response:
    """A response as the parser leaves it: Via and CSeq read."""
    response = parse(response_to(request, status, to_tag="b").to_bytes())
    assert isinstance(response, Response)
    return response


def challenged(count: int) -> float:
    """Requests that are answered with a single-shot 401."""
    engine, near = Transactions(), Outlet("near", reliable=False)
    spent = 0.0
    for first in range(0, count, BATCH):
        requests = [message("REGISTER", number, "near") for number in range(first, first + BATCH)]
        start = time.process_time()
        for request in requests:
            engine.discard(taken(engine.receive(request, near, 0.0)))
        spent += time.process_time() - start
    return spent


def invite_lingers(engine: Transactions, flow: Outlet, number: int) -> None:
    """An INVITE taken, sent on and accepted."""
    invite, onward = message("INVITE", number, "near"), message("INVITE", number, "far")
    server = taken(engine.receive(invite, flow, 0.0))
    engine.request(onward, flow, None, 0.0)
    engine.receive(answer(onward, 200), flow, 0.0)
    engine.respond(server, response_to(invite, 200), 0.0)


def bye_lingers(engine: Transactions, flow: Outlet, number: int) -> None:
    """A BYE taken, sent on and answered: the server side keeps the response for retransmissions."""
    bye, onward = message("BYE", number, "near"), message("BYE", number, "far")
    server = taken(engine.receive(bye, flow, 0.0))
    engine.request(onward, flow, None, 0.0)
    engine.receive(answer(onward, 200), flow, 0.0)
    engine.respond(server, response_to(bye, 200), 0.0)


def kept(linger: Callable[[Transactions, Outlet, int], None], count: int = 5_000) -> float:
    """Bytes for both transactions of one request."""
    engine, flow = Transactions(), Outlet("udp", reliable=False)
    tracemalloc.start()
    for number in range(count):
        linger(engine, flow, number)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(engine) == 2 * count
    return size / count


if __name__ == "__main__":
    main()
