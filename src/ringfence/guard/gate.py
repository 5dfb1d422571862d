"""Who may send, and how much: what stands before the parser, and what is counted behind it.

Three things are kept apart. A *datagram's* source may be forged, so what it does is only limited, until the address
has shown to be there (``sources``). A *connection's* source is there; who sends too much over one is read more slowly,
which loses nothing, and who attacks is banned. A connection that an account is bound to is judged by itself, whatever
else comes from its address: an office behind a NAT is not one person.

Peers that are known by their address and networks of the allow list are exempt from all of it; so are connections of
peers that have proved their name, and those that we have made ourselves. Networks that are *spared*, the loopback
addresses of this machine unless the owner says otherwise, have an allowance of their own and are never banned by us:
whoever tests the node sits there, and so does a proxy or NAT on the same machine, with everybody behind it.

``now`` is the time of the event loop, which never jumps; ``wall`` that of bans, which outlive the process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from typing import Final

import structlog

from ringfence.guard.bans import Bans, within_any
from ringfence.guard.policy import GuardPolicy
from ringfence.guard.rates import Limiter, Rate
from ringfence.guard.scanners import make_matcher
from ringfence.guard.scores import BAN_AT, Offence, Score
from ringfence.guard.sources import ALWAYS, MAX_TRIED, NEVER, Source, Sources, exempt, whole_sources
from ringfence.store.records import Ban
from ringfence.transport.flow import Flow

log = structlog.get_logger("ringfence.guard")

REFUND = 10.0
"""Messages that an authenticated request gives back: those of the call or registration that it begins."""

REFUND_ANSWER = 4.0
"""Messages that a final response to a request of ours gives back: the response itself and the provisional ones."""

CONNECTION_COST = 4.0
"""Messages that a new connection counts as; a TLS handshake takes as long as ten challenges, one of TCP as one."""

TRIED_SECONDS = 5.0
"""A user that was challenged this long ago and has not answered counts as tried. Honest phones take a round trip."""

MAX_DEBT = 4.0
"""Seconds that a connection may be ahead of its allowance; who gets there is flooding."""

FLOOD_SECONDS = 10.0
"""A source that floods counts once in this time."""

LOG_RATE = Rate(2.0, 20.0)
"""Lines about sources that are limited: a flood must not fill the disk."""

GUESSES = Rate(1.0 / 60.0, 20.0)
"""Wrong passwords for one account, from wherever: more is somebody with many addresses, and the owner is told."""

EXEMPT: Final = exempt("")
_ALL: Final = "all"


class Guard:
    """One for a worker."""

    def __init__(
        self,
        policy: GuardPolicy,
        bans: Bans,
        exempted: tuple[IPv4Network | IPv6Network, ...] = (),
        on_ban: Callable[[Ban], None] | None = None,
        spared: tuple[IPv4Network | IPv6Network, ...] = (),
    ) -> None:
        self.policy = policy
        self.bans = bans
        self.counts: Counter[str] = Counter()
        self.dropped = 0
        """Datagrams over the rate of their source: a plain number, since a flood is dropped by adding to it."""
        self.strangers_dropped = 0
        """Datagrams that were over the rate of all strangers."""
        self.share = 1.0
        """What part of the strangers' rate is given out: less when the node is overloaded."""
        self._exempted = whole_sources(exempted)
        self._spared = whole_sources(spared)
        self._on_ban = on_ban
        self._offset = 0.0  # wall - now
        self.datagrams = Sources(policy.datagrams, policy.proven, self._judge)
        self._connected = Sources(policy.connections, policy.proven, self._judge)
        self._flows: dict[str, Source] = {}
        self._strangers = Limiter[str](policy.strangers, 2)
        self._accounts = Limiter[str](policy.account)
        self._destinations = Limiter[str](policy.destination)
        self._prefixes = [(prefix, Limiter[str](rate)) for prefix, rate in policy.prefixes]
        self._logged = Limiter[str](LOG_RATE, 2)
        self._guesses = Limiter[str](GUESSES)
        self._scanner = make_matcher(policy.scanners)

    # -- before a message is read ----------------------------------------------------------------------

    def admit(self, flow: Flow, data: bytes, now: float) -> bool:
        """Whether a message is read at all. Called for each, so the common case is one look and one comparison."""
        if flow.reliable:
            source = self._flows.get(flow.key) or self._connected.find(flow.remote.host, now)
        else:
            source = self.datagrams.find(flow.remote.host, now)
        if source.proven_until <= now:
            return self._stranger(source, flow, data, now)
        full_at = source.full_at
        if full_at - now > source.slack:
            return self._too_much(source, flow, now)
        source.full_at = (full_at if full_at > now else now) + source.interval
        return True

    def _stranger(self, source: Source, flow: Flow, data: bytes, now: float) -> bool:
        if source.slack == NEVER:
            self._cut(flow)
            return False
        if flow.reliable and not getattr(flow, "accepted", True):
            self._flows[flow.key] = EXEMPT  # we made it: what comes are answers
            return True
        if source.proven_until != NEVER:
            self._table(flow).lapse(source, now)
        if source.full_at - now > source.slack:
            return self._too_much(source, flow, now)
        pooled = not flow.reliable and not source.spared
        if pooled and self._strangers.wait(_ALL, now):
            self.strangers_dropped += (
                1  # before anything is looked for in it: this is what most of a flood comes to
            )
            return False
        if self._scanner(data):
            self.counts["dropped scanner"] += 1
            self.offend(flow, Offence.SCANNER, now, proven=flow.reliable)
            return False
        if pooled and not self._strangers_may(now):
            self.strangers_dropped += 1
            return False
        source.full_at = max(source.full_at, now) + source.interval
        return True

    def _strangers_may(self, now: float) -> bool:
        """One of the allowance of all strangers; under overload each takes more of it."""
        if not self._strangers.take(_ALL, now):
            return False
        extra = int(1.0 / self.share) - 1 if self.share < 1.0 else 0
        return all(self._strangers.take(_ALL, now) for _ in range(min(extra, 50)))

    def _too_much(self, source: Source, flow: Flow, now: float) -> bool:
        if source.slack == NEVER:
            self._cut(flow)
            return False
        source.dropped += 1
        if source.dropped == 1 and self._logged.take(_ALL, now):
            log.warning("a source sends more than it may", source=source.key or flow.remote.host)
        if not flow.reliable:
            self.dropped += 1
            return False
        self.counts["held"] += 1
        source.full_at = max(source.full_at, now) + source.interval
        debt = source.debt(now)
        if debt > MAX_DEBT:
            # What one read brought can't be held back any more: only who keeps it up is flooding.
            source.full_at = now + source.slack + MAX_DEBT
            if now - source.flooded_at > FLOOD_SECONDS:
                source.flooded_at = now
                self.offend(flow, Offence.FLOOD, now, proven=True)
        flow.hold(min(debt, MAX_DEBT))
        return True

    def welcome(self, host: str, now: float) -> float:
        """How long a new connection from an address has to wait before it is read; below zero: it is refused."""
        source = self._connected.find(host, now)
        if source.slack == NEVER:
            self.counts["refused banned"] += 1
            return -1.0
        debt = source.debt(now)
        if debt > MAX_DEBT:
            self.counts["refused connections"] += 1
            return -1.0
        source.full_at = max(source.full_at, now) + CONNECTION_COST * source.interval
        return max(0.0, debt)

    def _cut(self, flow: Flow) -> None:
        self.counts["dropped banned"] += 1
        if flow.reliable:
            if self.policy.tarpit:
                flow.hold(self.policy.tarpit)
            else:
                flow.close("banned")

    # -- what has become of it -------------------------------------------------------------------------

    def succeeded(self, flow: Flow, account: str, now: float) -> None:
        """A request was authenticated: its source is there, and what it sends is wanted."""
        source = self._of(flow, now)
        if source.slack == ALWAYS:
            return
        if not flow.reliable:
            self.datagrams.prove(source, now)
        elif flow.user is not None and flow.key not in self._flows:
            self._connected.prove(source, now)
            self._forgive(source, account, now)
            source = self._flows[flow.key] = source.of_connection(self.policy.proven)
        elif flow.user is None:
            self._connected.prove(source, now)
        source.give_back(REFUND, now)
        source.dropped = 0
        self._forgive(source, account, now)

    def _forgive(self, source: Source, account: str, now: float) -> None:
        if source.score is not None:
            source.score.forgive(now)
        if source.tried is not None:
            source.tried.pop(hash(account), None)

    def trust(self, flow: Flow) -> None:
        """The other end of a connection has proved to be a peer: nothing is counted of it."""
        self._flows[flow.key] = EXEMPT

    def answered(self, host: str, now: float) -> None:
        """A datagram source has answered a request of ours, whose branch only it was told."""
        source = self.datagrams.find(host, now)
        if source.slack not in (ALWAYS, NEVER):
            self.datagrams.prove(source, now)
            source.give_back(REFUND_ANSWER, now)

    def challenged(self, flow: Flow, user: str, now: float) -> None:
        """A request without credentials was challenged. Whoever never answers for many users is looking for users."""
        source = self._of(flow, now)
        if source.proven_until > now:
            return
        tried = source.tried
        if tried is None:
            tried = source.tried = {}
        if len(tried) < MAX_TRIED:
            tried.setdefault(hash(user), now)
        elif now - next(iter(tried.values())) > TRIED_SECONDS:
            tried.clear()
            self.offend(flow, Offence.MANY_USERS, now, proven=flow.reliable)

    def offend(self, flow: Flow, offence: Offence, now: float, *, proven: bool) -> None:
        """A source has done what it should not. ``proven``: it is certain that it was this source.

        Without that it counts nothing: else anybody could have others banned by writing their address.
        """
        self.counts[f"offence {offence}"] += 1
        source = self._of(flow, now)
        if not proven or source.slack in (ALWAYS, NEVER):
            return
        if source.score is None:
            source.score = Score(now)
            if source.key:
                self._table(flow).keep(source)
        if source.score.add(offence, now) < BAN_AT:
            return
        if source.spared:
            self.counts["spared"] += 1
            log.warning("not banned, but spared", remote=flow.remote, reason=source.score.worst)
            source.score = None
            return
        if source.key:
            self.ban(flow.remote.host, source.score.worst, now)
        else:  # an account's own connection: its address may have others
            log.warning("a connection was closed", reason=source.score.worst, remote=flow.remote)
        source.score = None
        flow.close("banned")

    def guessed(self, account: str, now: float) -> None:
        """A wrong password for an account. Many addresses may each try a few: that is told, and stops nobody.

        To lock the account would be what the attacker can have for nothing.
        """
        if not self._guesses.take(account, now):
            self.counts["guesses at an account"] += 1
            if self._logged.take(_ALL, now):
                log.warning("somebody guesses the password of an account", account=account)

    def ban(self, host: str, reason: str, now: float) -> Ban | None:
        """Shut an address out for some time, longer each time."""
        if not self.policy.banning:
            return None
        ban = self.bans.next_for(host, reason, now + self._offset)
        if ban is None:
            return None
        self.bans.add(ban)
        self.counts["bans"] += 1
        log.warning(
            "banned", network=ban.network, reason=reason, seconds=ban.until - ban.since, times=ban.times
        )
        for table in (self.datagrams, self._connected):
            table.find(host, now).shut()
        if self._on_ban is not None:
            self._on_ban(ban)
        return ban

    # -- limits behind the parser ----------------------------------------------------------------------

    def account_may(self, account: str, now: float) -> bool:
        """Whether an account may send one more request."""
        return self._accounts.take(account, now)

    def destination_may(self, address: str, now: float) -> bool:
        """Whether a stranger may send one more request to one of our addresses."""
        return self._destinations.take(address, now)

    def spares(self, flow: Flow, now: float) -> bool:
        """Whether the rates of accounts and destinations are not for what comes from there."""
        return self._of(flow, now).spared

    @property
    def has_prefixes(self) -> bool:
        """Whether calls to any prefix are limited."""
        return bool(self._prefixes)

    def is_proven(self, flow: Flow, now: float) -> bool:
        """Whether the source of a flow has shown to be there, and welcome."""
        return self._of(flow, now).proven_until > now

    def prefix_may(self, account: str, destination: str, now: float) -> str:
        """The prefix that an account has called too often; empty when it may call the destination."""
        for prefix, limiter in self._prefixes:
            if destination.startswith(prefix) and not limiter.take(account, now):
                return prefix
        return ""

    def limiters(self) -> dict[str, Limiter[str]]:
        """What nodes that serve the same accounts count together."""
        prefixes = {f"prefix {prefix}": limiter for prefix, limiter in self._prefixes}
        return {"account": self._accounts, "destination": self._destinations, **prefixes}

    # -- time ------------------------------------------------------------------------------------------

    def tick(self, now: float, wall: float) -> None:
        """Say what time it is; to be called before anything else, and every second."""
        self._offset = wall - now

    def bans_changed(self, now: float) -> None:
        """Bans were given or taken back elsewhere, or have ended."""
        self.datagrams.judge_anew(now)
        self._connected.judge_anew(now)

    def closed(self, flow: Flow) -> None:
        """A connection has ended."""
        self._flows.pop(flow.key, None)

    def sizes(self) -> dict[str, int]:
        """How much is remembered, for metrics."""
        return {
            "datagram sources": len(self.datagrams),
            "connected sources": len(self._connected),
            "flows": len(self._flows),
            "accounts": len(self._accounts),
            "destinations": len(self._destinations),
            "bans": len(self.bans),
            "datagrams dropped": self.dropped,
            "strangers dropped": self.strangers_dropped,
        }

    def _judge(self, source: Source, now: float) -> Source:
        host = source.address
        if within_any(host, self._exempted):
            return exempt(source.key)
        if within_any(host, self._spared):
            source.spare(self.policy.spared)
        if self.bans.find(host, now + self._offset) is not None:
            source.shut()
        return source

    def _table(self, flow: Flow) -> Sources:
        return self._connected if flow.reliable else self.datagrams

    def _of(self, flow: Flow, now: float) -> Source:
        if flow.reliable:
            return self._flows.get(flow.key) or self._connected.find(flow.remote.host, now)
        return self.datagrams.find(flow.remote.host, now)
