"""The guard, overload control and the malware scanner of a node: built here, kept going here. Part of `wiring`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import structlog

from ringfence.guard.bans import REMEMBERED_SECONDS, BanPolicy, Bans, parse_network
from ringfence.guard.gate import Guard
from ringfence.guard.neighbours import Neighbours
from ringfence.guard.overload import TICK_SECONDS, Load, Overload
from ringfence.guard.policy import GuardPolicy
from ringfence.guard.rates import Rate
from ringfence.guard.scores import Offence
from ringfence.message import LocalError
from ringfence.roles.malware import Malware
from ringfence.service.control import Arguments, CommandError, Json
from ringfence.service.nftables import Offload
from ringfence.service.sieve import Sieve
from ringfence.store.errors import StoreError
from ringfence.store.records import Ban
from ringfence.transport.clamd import Clamd
from ringfence.transport.driver import MAX_WAITING, Admit
from ringfence.transport.flow import Flow
from ringfence.transport.pool import Pool
from ringfence.transport.udp import UdpListener

if TYPE_CHECKING:
    from ringfence.service.config import Config
    from ringfence.service.wiring import Parts

log = structlog.get_logger("ringfence.guard")

BURST_SECONDS = 10.0
"""How much may come at once, in seconds of a rate: a call, a reboot of an office, a test run."""

STRANGERS_BURST_SECONDS = 1.0
"""The same for all strangers together."""

BANS_SECONDS = 1.0
"""How often it is looked whether bans have come or gone."""

PURGE_SECONDS = 3_600.0
"""How often bans are removed that ended long ago."""

Repeat = Callable[[float, Callable[[], Awaitable[None]]], None]


class Protection:
    """What keeps a node alive under attack and load; one for a worker."""

    def __init__(self, parts: Parts) -> None:
        config, services = parts.config, parts.services
        self._parts = parts
        self._store = parts.store.bans
        self._version = -1
        self._next_end = 0.0
        self._writes: set[asyncio.Task[None]] = set()
        self._measuring: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self.on_change: Callable[[], None] | None = None
        """To be called when this process has changed a ban."""
        self.sieve: Sieve | None = None
        self.clamd = make_clamd(config)
        self.offload = make_offload(config)
        self.bans = Bans(
            BanPolicy(config.guard.ban_seconds, longest=config.guard.ban_longest_seconds),
            tuple(map(ip_network, config.guard.allow)),
        )
        self.guard = make_guard(config, self.bans, self._banned)
        self.overload = Overload(config.overload.algorithms if config.overload.enabled else ())
        if self.guard is not None:
            self.guard.tick(parts.driver.time(), time.time())
            services.guard = self.guard
            self.sieve = make_sieve(config, self.guard, parts.pool)
        parts.driver.on_malformed = self._malformed if self.guard is not None else None
        parts.pool.ask(self._welcome)
        services.overload = self.overload
        services.neighbours = Neighbours()
        if self.clamd is not None:
            section = config.malware
            services.malware = Malware(
                self.clamd.scan, fail_open=section.fail_open, pass_encrypted=section.encrypted == "pass"
            )
        self._take_bans()

    # -- for the driver and the sockets ----------------------------------------------------------------

    @property
    def admit(self) -> Admit:
        """What the driver asks about each message."""
        return self._not_banned if self.guard is None else self.guard.admit

    def closed(self, flow: Flow) -> None:
        """A flow has ended."""
        if self.guard is not None and flow.reliable:
            self.guard.closed(flow)

    def _not_banned(self, flow: Flow, _data: bytes, _now: float) -> bool:
        """Without a guard a node still shuts out whom its owner has banned."""
        if self.bans.any and self.bans.find(flow.remote.host, time.time()) is not None:
            flow.close("banned")
            return False
        return True

    def _welcome(self, host: str) -> float:
        if self.guard is not None:
            return self.guard.welcome(host, self._parts.driver.time())
        return -1.0 if len(self.bans) and self.bans.find(host, time.time()) is not None else 0.0

    def _malformed(self, flow: Flow) -> None:
        if self.guard is not None:
            now = self._parts.driver.time()
            self.guard.offend(flow, Offence.MALFORMED, now, proven=flow.reliable)

    # -- bans ------------------------------------------------------------------------------------------

    def _banned(self, ban: Ban) -> None:
        """The guard has banned somebody: remember it, and end what that one has open without being anybody."""
        task = asyncio.get_running_loop().create_task(self._remember(ban))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        for flow in self._parts.pool.connections():
            if flow.user is None and self.bans.find(flow.remote.host, time.time()) is ban:
                flow.close("banned")

    async def _remember(self, ban: Ban) -> None:
        try:
            await self._store.put(ban)
        except StoreError as error:
            log.error("a ban is not kept over a restart", network=ban.network, reason=str(error))
        self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def look_soon(self) -> None:
        """Bans have changed: do not wait for the next second."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self.look())

    def _take_bans(self) -> bool:
        now = time.time()
        if self._store.version == self._version and (not self._next_end or now < self._next_end):
            return False
        self._version = self._store.version
        bans = self._store.all()
        self.bans.hold(bans)
        self._next_end = min((ban.until for ban in bans if ban.until and ban.holds(now)), default=0.0)
        if self.guard is not None:
            self.guard.bans_changed(self._parts.driver.time())
        return True

    async def look(self) -> None:
        """See what bans have come, gone or ended; here, in another worker, or by a command on the database."""
        if self.guard is not None:
            self.guard.tick(self._parts.driver.time(), time.time())
        if self._take_bans() and self.offload is not None:
            await self.offload.write(self._store.all(), time.time())

    async def _purge(self) -> None:
        await self._store.purge(time.time() - REMEMBERED_SECONDS)

    # -- load ------------------------------------------------------------------------------------------

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        driver, pool = self._parts.driver, self._parts.pool
        transactions = driver.transactions
        before = loop.time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = loop.time()
            full = max(len(transactions) / transactions.limit, driver.waiting / MAX_WAITING)
            load = Load(max(0.0, now - before - TICK_SECONDS), pool.lateness(now - before), full)
            was = self.overload.share
            self.overload.measure(load, now, time.time())
            if self.guard is not None:
                self.guard.share = self.overload.share
            if self.sieve is not None:
                self.sieve.look(now - before, now)
            if was == 1.0 and self.overload.share < 1.0:
                log.warning(
                    "overloaded", lag=round(load.lag, 3), queue=round(load.queue, 3), full=round(full, 3)
                )
            elif was < 1.0 and self.overload.share == 1.0:
                log.info("not overloaded any more", shed=self.overload.shed)
            before = now

    # -- its life --------------------------------------------------------------------------------------

    async def open(self, repeat: Repeat) -> None:
        """Begin what is done now and then."""
        if self._parts.config.overload.enabled:
            self._measuring = asyncio.get_running_loop().create_task(self._measure())
        if self.offload is not None:
            await self.offload.write(self._store.all(), time.time())
        repeat(BANS_SECONDS, self.look)
        repeat(PURGE_SECONDS, self._purge)

    async def close(self) -> None:
        """Write what waits, and take the table out of the kernel."""
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.gather(self._measuring, return_exceptions=True)
        await asyncio.gather(*self._writes, return_exceptions=True)
        if self._looking is not None:
            await asyncio.gather(self._looking, return_exceptions=True)
        if self.offload is not None:
            await self.offload.remove()

    # -- control commands ------------------------------------------------------------------------------

    def commands(self) -> dict[str, Callable[[Arguments], Awaitable[Json]]]:
        """What the control socket offers."""
        return {"ban-list": self.list_command, "ban-add": self.add_command, "ban-remove": self.remove_command}

    async def list_command(self, _arguments: Arguments) -> Json:
        """``ringfence ban list``."""
        now = time.time()
        return [ban_facts(ban) for ban in self._store.all() if ban.holds(now)]

    async def add_command(self, arguments: Arguments) -> Json:
        """``ringfence ban add``."""
        ban = new_ban(arguments, time.time())
        await self._store.put(ban)
        self._changed()
        await self.look()
        for flow in self._parts.pool.connections():
            if self.bans.find(flow.remote.host, time.time()) is not None:
                flow.close("banned")
        return ban_facts(ban)

    async def remove_command(self, arguments: Arguments) -> Json:
        """``ringfence ban remove``."""
        network = _network(arguments)
        if not await self._store.remove(network):
            raise CommandError(f"{network} is not banned", "see ringfence ban list")
        self._changed()
        await self.look()
        return {"network": network, "removed": True}


def new_ban(arguments: Arguments, now: float) -> Ban:
    """The ban that the owner wants. Raises CommandError."""
    seconds = arguments.get("seconds") or 0.0
    if not isinstance(seconds, int | float) or seconds < 0:
        raise CommandError("a ban lasts some seconds, or has no end")
    until = now + seconds if seconds else 0.0
    reason = str(arguments.get("reason") or "by the owner")[:200]
    return Ban(_network(arguments), reason, now, until, "owner")


def _network(arguments: Arguments) -> str:
    try:
        return parse_network(str(arguments.get("network", "")))
    except LocalError as error:
        raise CommandError(
            str(error), "write an address such as 192.0.2.7, or a network such as 192.0.2.0/24"
        ) from None


def ban_facts(ban: Ban) -> dict[str, Any]:
    """A ban for people and programs."""
    return {
        "network": ban.network,
        "reason": ban.reason,
        "since": ban.since,
        "until": ban.until or None,
        "by": ban.by,
        "times": ban.times,
    }


def make_guard(config: Config, bans: Bans, banned: Callable[[Ban], None]) -> Guard | None:
    """Who counts; None where nobody does: also where nobody is challenged, since then nobody can be told apart."""
    section = config.guard
    if not section.enabled or config.security.challenge == "none":
        return None
    policy = GuardPolicy(
        datagrams=_rate(section.datagrams_per_second),
        connections=_rate(section.connections_per_second),
        proven=_rate(section.proven_per_second),
        spared=_rate(section.spared_per_second),
        strangers=_rate(section.strangers_per_second, STRANGERS_BURST_SECONDS),
        account=_rate(section.account_per_second),
        destination=_rate(section.destination_per_second),
        prefixes=tuple(
            (each.prefix, Rate(each.calls_per_minute / 60.0, max(1.0, each.calls_per_minute)))
            for each in config.prefix
        ),
        scanners=section.scanners,
        tarpit=section.tarpit_seconds,
        banning=section.ban,
    )
    networks = [*section.allow, *(network for peer in config.peer for network in peer.addresses)]
    spared = tuple(map(ip_network, section.spare))
    return Guard(policy, bans, tuple(map(ip_network, networks)), banned, spared)


def _rate(per_second: float, seconds: float = BURST_SECONDS) -> Rate:
    return Rate(per_second, max(1.0, per_second * seconds))


def make_sieve(config: Config, guard: Guard, pool: Pool) -> Sieve | None:
    """What sorts out datagrams in the kernel; None where the owner does not want it."""
    if not config.guard.sieve:
        return None
    networks = [*config.guard.allow, *(network for peer in config.peer for network in peer.addresses)]

    def sockets() -> list[UdpListener]:
        return [each for each in pool.listeners if isinstance(each, UdpListener) and not each.closed]

    return Sieve(guard, sockets, tuple(map(ip_network, networks)))


def make_clamd(config: Config) -> Clamd | None:
    """The scanner, where there is one."""
    section = config.malware
    if not section.clamd:
        return None
    return Clamd(
        section.address,
        connect_seconds=section.connect_seconds,
        seconds=section.scan_seconds,
        max_bytes=section.max_bytes,
        at_a_time=section.at_a_time,
    )


def make_offload(config: Config) -> Offload | None:
    """The table in the kernel, of the first worker."""
    if not config.guard.nftables or config.worker:
        return None
    udp = [each.port for each in config.listeners if each.transport == "udp"]
    tcp = [each.port for each in config.listeners if each.transport != "udp"]
    return Offload(config.guard.nftables_table, udp, tcp)
