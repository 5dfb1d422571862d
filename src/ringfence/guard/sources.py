"""Where messages come from, and how many each source may still send.

A source is an IPv4 address, or the /64 that an IPv6 site can move about in at will. Anybody can write any address into
a datagram. So what an address has done counts only when it has been shown to be there, by an answer to something that
only it was told: a nonce of ours, or the branch of a request of ours. A source that has done so is *proven* for an
hour: it may send more, it is kept when the table of strangers is full, and it does not share the allowance of all
strangers.

Finding a source is one look into a dictionary, and whether it may send is one comparison; a ban is an allowance below
nothing, so that it costs the same look. Time is an argument, of a clock that never jumps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from ringfence.guard.rates import Rate
from ringfence.guard.scores import Score
from ringfence.transport.limits import source_of

PROOF_SECONDS = 3600.0
"""How long a source stays proven: most phones register again within an hour."""

MAX_STRANGERS = 65_536
"""Sources without proof that are known at a time, some 20 MB. A flood of forged addresses turns them over; each new one
then has a fresh allowance, and all of them together have that of strangers."""

MAX_KEPT = 65_536
"""Sources that are proven or have points. When there are more, the one that was put in first is forgotten."""

Network = IPv4Network | IPv6Network

MAX_TRIED = 64
"""Users without a success that are counted for one source. More would be a scan in any case."""

MAX_DROPPED = 1_000
"""Messages over its rate, without one that was wanted, after which a proven source is no better than another."""

NEVER: Final = float("-inf")
ALWAYS: Final = float("inf")

_source_of = lru_cache(8192)(source_of)


class Source:
    """One source. ``full_at``, ``interval`` and ``slack`` are its bucket (see ``rates``)."""

    __slots__ = (
        "dropped",
        "flooded_at",
        "full_at",
        "interval",
        "key",
        "proven_until",
        "score",
        "slack",
        "spared",
        "tried",
    )

    def __init__(self, key: str, rate: Rate) -> None:
        self.key = key
        self.full_at = 0.0
        self.interval = rate.interval
        self.slack = rate.slack
        self.proven_until = NEVER
        self.spared = False
        """It keeps the allowance that it has, and is not banned."""
        self.score: Score | None = None
        self.flooded_at = NEVER
        """When it was last found to be flooding."""
        self.dropped = 0
        """Messages that were not let in since the last that was."""
        self.tried: dict[int, float] | None = None
        """Users that it was challenged for and has not proved to be, by hash, and since when."""

    @property
    def address(self) -> str:
        """One of its addresses."""
        if "::/64" not in self.key:
            return self.key
        number = int(self.key.partition(":")[0], 16)
        return ":".join(f"{number >> shift & 0xFFFF:x}" for shift in (48, 32, 16, 0)) + "::"

    def spare(self, rate: Rate) -> None:
        """Give it this allowance, whatever it shows or does."""
        self.spared = True
        self.interval, self.slack = rate.interval, rate.slack

    def shut(self) -> None:
        """Let nothing of it in."""
        self.slack = self.proven_until = NEVER

    def of_connection(self, rate: Rate) -> Source:
        """What one connection from here is counted by, once an account is bound to it."""
        own = Source("", rate)
        own.proven_until = ALWAYS
        own.spared = self.spared
        if self.spared:
            own.interval, own.slack = self.interval, self.slack
        return own

    def give_back(self, messages: float, now: float) -> None:
        """It has shown that what it sends is wanted: so many messages cost nothing."""
        full_at = self.full_at - messages * self.interval
        self.full_at = full_at if full_at > now else now

    def debt(self, now: float) -> float:
        """Seconds until it may send again."""
        return self.full_at - now - self.slack


def whole_sources(networks: Iterable[Network]) -> tuple[Network, ...]:
    """The networks, none of them smaller than what counts as one source."""
    return tuple(
        each.supernet(new_prefix=64) if isinstance(each, IPv6Network) and each.prefixlen > 64 else each
        for each in networks
    )


def exempt(key: str) -> Source:
    """A source that nothing is counted of."""
    source = Source(key, Rate(1.0, 1.0))
    source.interval = 0.0
    source.slack = source.proven_until = ALWAYS
    return source


class Sources:
    """The sources of one kind of transport. What is said of datagrams must not hold for connections."""

    __slots__ = ("_half", "_judge", "_kept", "_old", "_proven", "_stranger", "_young", "kept_limit")

    def __init__(
        self,
        stranger: Rate,
        proven: Rate,
        judge: Callable[[Source, float], Source],
        *,
        strangers: int = MAX_STRANGERS,
        kept: int = MAX_KEPT,
    ) -> None:
        """``judge`` is shown each source when it is first seen: it may be banned, or exempt."""
        self._stranger = stranger
        self._proven = proven
        self._judge = judge
        self._half = max(1, strangers // 2)
        self.kept_limit = kept
        self._young: dict[str, Source] = {}
        self._old: dict[str, Source] = {}
        self._kept: dict[str, Source] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old) + len(self._kept)

    @property
    def kept(self) -> int:
        """How many sources are proven, or have points."""
        return len(self._kept)

    def find(self, host: str, now: float) -> Source:
        """The source that an address belongs to."""
        source = self._young.get(host)
        return source if source is not None else self._look(host, now)

    def _look(self, host: str, now: float) -> Source:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        key = _source_of(host) if ":" in host else host
        source = self._kept.get(key) or self._young.get(key) or self._old.get(key)
        if source is None:
            source = self._judge(Source(key, self._stranger), now)
        # An IPv6 site has an entry for each of its addresses beside its own; all of them can be forgotten.
        self._young[key] = self._young[host] = source
        return source

    def known(self, now: float) -> list[str]:
        """An address of each source that is proven and does not flood."""
        return [
            each.address
            for each in self._kept.values()
            if each.proven_until > now and each.dropped < MAX_DROPPED
        ]

    def prove(self, source: Source, now: float) -> None:
        """The source has answered something that only it was told."""
        if source.slack in (ALWAYS, NEVER) or source.proven_until - now > PROOF_SECONDS * 0.9:
            return
        source.proven_until = now + PROOF_SECONDS
        if not source.spared:
            source.interval, source.slack = self._proven.interval, self._proven.slack
        self.keep(source)

    def lapse(self, source: Source, now: float) -> None:
        """The proof is an hour old: it is a stranger again."""
        source.proven_until = NEVER
        if not source.spared:
            source.interval, source.slack = self._stranger.interval, self._stranger.slack
        source.full_at = min(source.full_at, now + source.slack)
        if source.score is None or not source.score.points(now):
            self._kept.pop(source.key, None)

    def keep(self, source: Source) -> None:
        """Do not forget it when strangers come in masses."""
        self._kept.pop(source.key, None)
        if len(self._kept) >= self.kept_limit:
            del self._kept[next(iter(self._kept))]
        self._kept[source.key] = source

    def judge_anew(self, now: float) -> None:
        """What is banned or exempt has changed: strangers are judged when they are next seen, the kept ones here."""
        self._young, self._old = {}, {}
        for key, source in list(self._kept.items()):
            if source.slack in (ALWAYS, NEVER) or self._judge(source, now) is not source:
                del self._kept[key]
