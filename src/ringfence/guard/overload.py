"""How much new work is taken, and what those are told who send it (RFC 7339, RFC 7415).

The node measures how late it is: the event loop, the datagrams that the kernel keeps for it, its tables. When it is
late several times in a row it takes a smaller share of the new requests, and a larger one again when it is not.
Requests inside a dialog, emergencies and what ends something are taken in any case: to refuse a BYE frees nothing.

A neighbour that offers overload control is told the share in the Via of each response, and reduces by itself. Who does
not is answered 503 for what is too much. Nothing here is random: of a share of 0.7, seven of ten pass.

``now`` is the time of the event loop, ``wall`` the sequence that neighbours see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ringfence.message import Response
from ringfence.message.fields.via import Via

LAG = 0.2
"""Seconds that the event loop, or a datagram in the kernel's queue, may be late: well below T1, after which clients
begin to send everything twice."""

PATIENCE = 3
"""Measurements in a row that have to be late before less is taken: one busy connection is no overload."""

FULL = 0.9
"""Part of a table, such as that of transactions, that may be full."""

STEP_DOWN = 1.5
"""By how much the share falls at most in one step."""

STEP_UP = 1.1
"""By how much it grows in one step: from a tenth to all in 2.5 s."""

LEAST = 0.02
"""The share never falls below this: what is not taken at all can't show that the load is gone."""

TICK_SECONDS = 0.1
"""How often is measured."""

VALIDITY = 1_000
"""Milliseconds that a neighbour is to reduce for (``oc-validity``): ten measurements, each of which renews it."""

STABLE_SECONDS = 3_600.0
"""For so long a neighbour keeps its algorithm (RFC 7339 section 5.8)."""

MAX_UPSTREAMS = 4_096
"""Neighbours that offer overload control and are remembered. Anybody may offer; the longest silent one is forgotten."""

ALGORITHMS = ("loss", "rate")
"""What we can be asked for, and ask others for: RFC 7339 section 7 and RFC 7415."""


class Load(NamedTuple):
    """One measurement: by how many seconds the loop is late, and datagrams are; how full the fullest table is, to 1."""

    lag: float
    queue: float
    full: float

    @property
    def pressure(self) -> float:
        """Above 1: too much."""
        return max(self.lag / LAG, self.queue / LAG, self.full / FULL)


class Upstream:
    """A neighbour that sends to us and has offered overload control."""

    __slots__ = ("algorithm", "chosen", "heard", "rate", "requests")

    def __init__(self, algorithm: str, now: float) -> None:
        self.algorithm = algorithm
        self.chosen = now
        self.heard = now
        self.requests = 0
        """Since the last measurement."""
        self.rate = 0.0
        """Requests a second, a mean; it stands still while the neighbour is reducing."""


class Overload:
    """One for a worker."""

    def __init__(self, algorithms: Sequence[str] = ALGORITHMS) -> None:
        self.share = 1.0
        self.active = False
        """Whether anything may have to be refused: too much is there, or the node drains."""
        self.draining = False
        self.shed = 0
        self.load = Load(0.0, 0.0, 0.0)
        self._algorithms = tuple(algorithms)
        self._late = 0
        self._credit = {False: 0.0, True: 0.0}
        self._upstreams: dict[str, Upstream] = {}
        self._sequence = "0.0"

    def measure(self, load: Load, now: float, wall: float) -> None:
        """Take note of a measurement, and change the share accordingly."""
        self.load = load
        pressure = load.pressure
        self._late = self._late + 1 if pressure > 1.0 else 0
        if self._late >= PATIENCE:
            self.share = max(LEAST, self.share / min(pressure, STEP_DOWN))
        elif not self._late:
            self.share = min(1.0, self.share * STEP_UP)
        self.active = self.share < 1.0 or self.draining
        self._sequence = f"{wall:.3f}"
        for upstream in self._upstreams.values():
            if self.share == 1.0 and not self._late:
                upstream.rate += 0.1 * (upstream.requests / TICK_SECONDS - upstream.rate)
            upstream.requests = 0

    def drain(self) -> None:
        """Take nothing new any more."""
        self.draining = self.active = True

    def takes(self, known: bool) -> bool:
        """Whether one more new request is taken. Of those that nobody knows, fewer are."""
        share = self.share if known else self.share * self.share
        credit = self._credit[known] + share
        self._credit[known] = credit - 1.0 if credit >= 1.0 else credit
        if credit < 1.0:
            self.shed += 1
        return credit >= 1.0

    # -- what neighbours are told ----------------------------------------------------------------------

    @property
    def upstreams(self) -> int:
        """How many neighbours have offered overload control."""
        return len(self._upstreams)

    def offered(self, host: str, via: Via, now: float) -> None:
        """A request came whose Via offers overload control (RFC 7339 section 5.1)."""
        if not self._algorithms:
            return
        upstream = self._upstreams.get(host)
        if upstream is None or now - upstream.chosen > STABLE_SECONDS:
            algorithm = self._choose(via.params.get("oc-algo") or "")
            if upstream is None and len(self._upstreams) >= MAX_UPSTREAMS:
                del self._upstreams[min(self._upstreams, key=lambda each: self._upstreams[each].heard)]
            upstream = self._upstreams[host] = Upstream(algorithm, now)
        upstream.heard = now
        upstream.requests += 1

    def reduces(self, host: str) -> bool:
        """Whether a neighbour reduces by itself."""
        return host in self._upstreams

    def tell(self, response: Response, host: str) -> None:
        """Write into a response what its receiver is to reduce by (RFC 7339 section 5.2)."""
        upstream = self._upstreams.get(host)
        if upstream is None:
            return
        active = self.share < 1.0
        value = 0
        if active:
            value = round((1.0 - self.share) * 100)
            if upstream.algorithm == "rate":
                value = max(1, int(upstream.rate * self.share))
        params = response.via.params.without("oc", "oc-algo", "oc-validity", "oc-seq")
        for name, text in (
            ("oc", str(value)),
            ("oc-algo", f'"{upstream.algorithm}"'),
            ("oc-validity", str(VALIDITY if active else 0)),
            ("oc-seq", self._sequence),
        ):
            params = params.with_(name, text)
        via = response.via
        response.headers.set_top("Via", Via(via.transport, via.host, via.port, params))

    def _choose(self, offered: str) -> str:
        """The first of ours that the neighbour has; "loss" is what each has to have (section 4.2)."""
        theirs = {each.strip().lower() for each in offered.split(",")}
        return next((each for each in self._algorithms if each in theirs), "loss")
