"""How much the next hops want to be sent (RFC 7339 section 5, RFC 7415): our side of overload control as a client.

A next hop, an address with a port, says in the Via of its responses by how much we are to reduce; for as long as that
holds we do. One that has answered 503 with Retry-After gets nothing new until then (RFC 3261 section 21.5.4), and one
that has not answered at all for some time only now and then a request, to see whether it is back (section 5.9). What is
held back goes elsewhere if there is an elsewhere, else it is refused here.

``now`` is the time of the event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from ringfence.engine.places import Endpoint
from ringfence.message.params import Params, parse_params


class Offer(NamedTuple):
    """What our Via says to a next hop (RFC 7339 section 4.1 and 4.2): as text, and read."""

    text: str
    params: tuple[tuple[str, str | None], ...]


def make_offer(algorithms: Sequence[str]) -> Offer | None:
    """The offer of these algorithms; None when there are none."""
    if not algorithms:
        return None
    text = f';oc;oc-algo="{",".join(algorithms)}"'
    return Offer(text, parse_params(text).items)


DEFAULT_VALIDITY = 500
"""Milliseconds, where a next hop does not say (section 4.3)."""

LONGEST_VALIDITY = 60_000
"""Milliseconds: a mistake, or malice, at a next hop must not shut it off for days."""

LONGEST_RETRY_AFTER = 300.0
"""Seconds of a Retry-After that are kept to, for the same reason."""

SILENCES = 5
"""Requests in a row without any answer, after which a next hop counts as gone."""

PROBE_SECONDS = 1.0, 32.0
"""How long until a next hop that is gone is tried again, at first and at the longest."""

MIX_SECONDS = 5.0
"""How often the mix of the two categories is looked at (section 7.2)."""

MAX_NEIGHBOURS = 8_192
"""Next hops that something is remembered of."""

TOLERANCE = 4.0, 10.0
"""By how many intervals requests, and important ones, may be early (TAU1 and TAU2 of RFC 7415 section 3.5.2)."""

OVERFLOW = 1_000_000.0
"""A sequence that falls by more has started anew (section 4.4)."""


class Neighbour:
    """One next hop."""

    __slots__ = (
        "_credit",
        "_fill",
        "_last",
        "_mix",
        "_mix_since",
        "_share",
        "algorithm",
        "gone_until",
        "pause",
        "sequence",
        "silent",
        "until",
        "value",
    )

    def __init__(self) -> None:
        self.algorithm = ""
        self.value = 0
        self.until = 0.0
        self.sequence = -1.0
        self.gone_until = 0.0
        """Until then nothing new goes there."""
        self.pause = PROBE_SECONDS[0]
        self.silent = 0
        self._credit = [0.0, 0.0]
        self._mix = [0, 0]
        self._mix_since = 0.0
        self._share = 0.8
        self._fill = 0.0
        self._last = 0.0

    def may_send(self, important: bool, now: float) -> bool:
        """Whether one more request may go there."""
        if now < self.gone_until and not important:
            return False
        if self.silent >= SILENCES and not important:
            self.gone_until = now + self.pause  # this one is the probe
            self.pause = min(self.pause * 2, PROBE_SECONDS[1])
        self._count(important, now)
        if now >= self.until:
            return True
        return self._by_rate(important, now) if self.algorithm == "rate" else self._by_loss(important)

    def _count(self, important: bool, now: float) -> None:
        self._mix[important] += 1
        if now - self._mix_since >= MIX_SECONDS:
            self._share = min(max(self._mix[0] / sum(self._mix), 0.01), 0.99)
            self._mix = [0, 0]
            self._mix_since = now

    def _by_loss(self, important: bool) -> bool:
        """RFC 7339 section 7.2, with a sum in the place of a random number: the same part is dropped, evenly."""
        loss = self.value / 100.0
        drop = (loss - self._share) / (1.0 - self._share) if important else loss / self._share
        drop = min(max(drop, 0.0), 1.0)
        credit = self._credit[important] + drop
        dropped = credit >= 1.0
        self._credit[important] = credit - dropped
        return not dropped

    def _by_rate(self, important: bool, now: float) -> bool:
        """The leaky bucket of RFC 7415 section 3.5, which important requests may fill higher."""
        if self.value <= 0:
            return False
        interval = 1.0 / self.value
        fill = self._fill - (now - self._last)
        if fill > TOLERANCE[important] * interval:
            return False
        self._fill = max(0.0, fill) + interval
        self._last = now
        return True


class Neighbours:
    """All next hops that have said something."""

    def __init__(self) -> None:
        self._by_place: dict[Endpoint, Neighbour] = {}
        self.held_back = 0

    def __bool__(self) -> bool:
        return bool(self._by_place)

    def __len__(self) -> int:
        return len(self._by_place)

    def may_send(self, place: Endpoint, important: bool, now: float) -> bool:
        """Whether one more request may go to a next hop."""
        neighbour = self._by_place.get(place)
        if neighbour is None or neighbour.may_send(important, now):
            return True
        self.held_back += 1
        return False

    def takes_part(self, place: Endpoint) -> bool:
        """Whether a next hop has ever said how much it wants."""
        neighbour = self._by_place.get(place)
        return neighbour is not None and neighbour.sequence >= 0.0

    def heard(self, place: Endpoint, via: Params, now: float) -> None:
        """A response came whose topmost Via says how much may be sent. What can't be read is passed over."""
        with suppress(ValueError):
            value = int(via.get("oc") or "")
            validity = int(via.get("oc-validity") or DEFAULT_VALIDITY)
            sequence = float(via.get("oc-seq") or "0")
            algorithm = (via.get("oc-algo") or "loss").lower()
            if algorithm not in ("loss", "rate") or (algorithm == "loss" and value > 100) or value < 0:
                return
            neighbour = self._of(place)
            if neighbour.sequence - OVERFLOW < sequence <= neighbour.sequence:
                return  # late, or known already: the time is not begun anew (section 5.4)
            neighbour.sequence = sequence
            neighbour.algorithm = algorithm
            neighbour.value = value
            neighbour.until = now + min(validity, LONGEST_VALIDITY) / 1000 if validity > 0 else 0.0

    def unavailable(self, place: Endpoint, seconds: float, now: float) -> None:
        """A next hop has answered 503 with Retry-After."""
        self._of(place).gone_until = now + min(seconds, LONGEST_RETRY_AFTER)

    def silent(self, place: Endpoint, now: float) -> None:
        """A request got no answer at all."""
        neighbour = self._of(place)
        neighbour.silent += 1
        if neighbour.silent == SILENCES:
            neighbour.gone_until = now + neighbour.pause

    def answered(self, place: Endpoint) -> None:
        """It has answered something."""
        neighbour = self._by_place.get(place)
        if neighbour is not None and neighbour.silent:
            if neighbour.silent >= SILENCES:
                neighbour.gone_until = 0.0
            neighbour.silent = 0
            neighbour.pause = PROBE_SECONDS[0]

    def _of(self, place: Endpoint) -> Neighbour:
        neighbour = self._by_place.get(place)
        if neighbour is None:
            if len(self._by_place) >= MAX_NEIGHBOURS:
                del self._by_place[next(iter(self._by_place))]
            neighbour = self._by_place[place] = Neighbour()
        return neighbour
