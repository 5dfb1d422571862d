"""One running node: open everything in order, serve until a signal, close everything in reverse.

SIGTERM and SIGINT stop it when what goes on is done, a second one at once. SIGHUP reads certificates again without
dropping a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog
import uvloop

from ringfence.message import LocalError
from ringfence.roles.awake import Awake
from ringfence.roles.bridge.ending import end_all, sweep
from ringfence.roles.media import Figures
from ringfence.roles.peers import PeerRole
from ringfence.roles.spending import Spending
from ringfence.service.acme import AcmeKeeper
from ringfence.service.charging import settle_what_a_crash_left
from ringfence.service.collector import Collector
from ringfence.service.config import Config
from ringfence.service.control import Arguments, CommandError, Json
from ringfence.service.doors import open_control, open_http, open_publisher
from ringfence.service.drain import Ending, answer_all, drain
from ringfence.service.expiry import show_ends
from ringfence.service.exports import Exports
from ringfence.service.identity import identify
from ringfence.service.ipsec import FirstHops
from ringfence.service.ledger import open_ledger
from ringfence.service.logs import configure, log_file
from ringfence.service.notify import Notifier
from ringfence.service.peers import make_peers
from ringfence.service.privacy import is_private
from ringfence.service.problems import ConfigError
from ringfence.service.readings import read_parts
from ringfence.service.retention import RETAIN_SECONDS, Retention
from ringfence.service.secrets import read_secret
from ringfence.service.supervisor import STOP_SECONDS, prepare, supervise, worker_of_environment
from ringfence.service.tls import tls_settings
from ringfence.service.trace import Trace
from ringfence.service.web import WebServer
from ringfence.service.webhooks import make_webhooks
from ringfence.service.wiring import Parts, derive, wire
from ringfence.store.database import Database
from ringfence.store.errors import StoreError
from ringfence.store.migrate import upgrade
from ringfence.store.ports import REFRESH_SECONDS, Counts, Store
from ringfence.transport.quiet import quiet_unless_configured

log = structlog.get_logger("ringfence.node")

SWEEP_SECONDS = 1.0
"""How often calls are looked for that have lasted long enough."""

SETTLE_SECONDS = 5.0
"""What a node that stops waits for credit to be settled."""

PURGE_SECONDS = 30.0
"""How often bindings that have expired are removed; lookups skip them at once."""

NETWORK_PING_SECONDS = 3.0
"""How often connections to nodes of our own network are tried (RFC 5626 section 4.4.1)."""

OPINIONS_SECONDS = 3600.0
"""The same for what users have said of callers, which holds for months."""


class Node:
    """A node that is open. Made by ``running``."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.started = time.time()
        self.trace = Trace(parts.driver.watch, private=partial(is_private, parts.services))
        self.metrics = parts.metrics
        read_parts(self.metrics, parts)
        show_ends(self.metrics, parts.config)
        self._exports = Exports(parts, self.trace, self.metrics)
        self.ending = Ending()
        self.web: list[WebServer] = []
        self._background: list[asyncio.Task[None]] = []
        self._first_hops = FirstHops(parts)
        self.acme = AcmeKeeper(parts.config, self.reload)
        self.acme.show(self.metrics)

    async def open(self) -> None:
        """Open the SIP ports, and begin what is done now and then. Raises LocalError or OSError with the reason."""
        config = self.parts.config
        if self.parts.diameter is not None:
            await self.parts.diameter.open()
        if self.parts.mesh is not None:
            self.parts.mesh.open()
        for each in config.listeners:
            for host in each.hosts:
                await self.parts.pool.listen(each.transport.upper(), host, each.port)
        await self._first_hops.open()
        self.repeat(REFRESH_SECONDS, self.parts.store.refresh)
        self.repeat(PURGE_SECONDS, self._purge)
        self.repeat(OPINIONS_SECONDS, self._purge_opinions)
        if self.parts.services.policy.peers:
            self.repeat(NETWORK_PING_SECONDS, self._ping_network)
        self.repeat(SWEEP_SECONDS, self._sweep)
        await self.parts.protection.open(self.repeat)
        if config.nat.keepalive_seconds and not config.worker:  # of several workers the first: they share UDP
            self.repeat(1.0, Awake(self.parts.services, config.nat.keepalive_seconds).tick)
        if self.parts.radius is not None:
            self._background.append(asyncio.create_task(self.parts.radius.run()))
        self._background += [asyncio.create_task(each.run()) for each in make_webhooks(config)]
        self._background += [asyncio.create_task(each) for each in self.acme.work()]
        keep = config.ledger.keep_days
        if self.parts.ledger is not None and keep is not None:
            self.repeat(RETAIN_SECONDS, Retention(config, self.parts.ledger, keep).tick)
        await self._open_spending()
        if self.parts.shared is not None:
            self.parts.shared.open(self.repeat)
        self._exports.open(self.repeat)

    def repeat(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do something every so many seconds until the node closes."""
        self._background.append(asyncio.create_task(_every(seconds, work)))

    async def _purge(self) -> None:
        await self.parts.store.bindings.purge(time.time())

    async def _ping_network(self) -> None:
        """Ask the nodes of our own network for a sign of life, so that one that is gone is found before a call."""
        for flow in self.parts.pool.connections():
            peer = self.parts.services.policy.peers.recognise(flow)
            if peer is not None and peer.role is not PeerRole.DOMAIN and not flow.accepted:
                flow.ping()

    async def _purge_opinions(self) -> None:
        await self.parts.store.opinions.purge(time.time())

    async def _sweep(self) -> None:
        services = self.parts.services
        if services.charging is not None:
            services.charging.sweep(services)
        sweep(services)
        if services.hops is not None:
            services.hops.sweep()

    async def _open_spending(self) -> None:
        charging = self.parts.services.charging
        if charging is None or charging.spending is None:
            return
        store = self.parts.store
        left = await settle_what_a_crash_left(self.parts.config, charging.spending, store.balances)
        if left:
            log.warning("prepaid calls settled that a crash left open", calls=left)
        self._background.append(asyncio.create_task(charging.spending.run()))

    async def _close_spending(self, spending: Spending | None) -> None:
        """Settle what has just ended; what can't be in time is settled at the next start."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                if spending is not None:
                    await spending.settle()

    def reload(self) -> None:
        """Read the certificates again; connections that are open keep theirs. Raises LocalError."""
        parts = self.parts
        peers = make_peers(parts.config)
        parts.pool.reload(tls_settings(parts.config))
        parts.services.policy.peers = peers
        parts.pool.vouch(peers.roots)
        secret = derive(read_secret(parts.config.secret_file), "identity")
        identify(parts.config, parts.services, parts.fetcher, secret)
        for server in self.web:
            server.renew(*parts.config.shown_pair)
        log.info("certificates read again")

    def facts(self) -> Mapping[str, Any]:
        """What /healthz and ``status`` tell."""
        return {
            "version": version("ringfence"),
            "domain": self.parts.config.domain.name,
            "uptime_seconds": round(time.time() - self.started),
        }

    async def close(self) -> None:
        """Answer what is in progress and close every port; connections get a moment to send what waits.

        Calls that are set up go on without us, but for private ones.
        """
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        end_all(self.parts.services)
        answer_all(self.parts)
        await self.parts.protection.close()
        await self.parts.pool.close()
        if self.parts.mesh is not None:
            self.parts.mesh.close()
        if self.parts.shared is not None:
            await self.parts.shared.close()
        await self._first_hops.close()
        if self.parts.services.media is not None:
            self.parts.services.media.close()
        await self.parts.resolver.close()
        await self.parts.driver.close()
        await self.parts.fetcher.close()
        if self.parts.services.remote is not None:
            await self.parts.services.remote.authority.close()
        if self.parts.services.charging is not None:
            self.parts.services.charging.close(time.time())
            await self._close_spending(self.parts.services.charging.spending)
        if self.parts.diameter is not None:
            await self.parts.diameter.close()
        await self._exports.close()

    # -- control commands ------------------------------------------------------------------------------

    async def status(self, _arguments: Arguments) -> Json:
        """What the node is doing."""
        parts = self.parts
        found = parts.store.bindings.counts()
        counts = found if isinstance(found, Counts) else await found
        media = parts.services.media.figures() if parts.services.media is not None else Figures()
        return {
            **self.facts(),
            "transactions": len(parts.driver.transactions),
            "requests": parts.driver.transactions.counts.received,
            "registrations": counts.bindings,
            "media_sessions": media.sessions,
            "media_packets": media.packets,
            "bans": len(parts.protection.bans),
            "share": parts.services.overload.share if parts.services.overload is not None else 1.0,
            "counts": dict(parts.driver.counts),
            **({"shared": parts.shared.exchange.up} if parts.shared is not None else {}),
        }

    async def reload_command(self, _arguments: Arguments) -> Json:
        """``ringfence reload``."""
        try:
            self.reload()
        except LocalError as error:
            raise CommandError(str(error), "the old certificates are still in use; mend the file") from None
        return {"reloaded": True}

    async def stop_command(self, arguments: Arguments) -> Json:
        """``ringfence stop``."""
        if arguments.get("drain"):
            self.ending.ask()
            return {"stopping": True, "drain_seconds": self.parts.config.limits.drain_seconds}
        self.ending.now()
        return {"stopping": True}

    @property
    def stopping(self) -> asyncio.Event:
        """Set when the node is to stop."""
        return self.ending.begun

    async def drain(self) -> None:
        """Finish what goes on, as long as the configuration lets it."""
        await drain(self.parts, self.parts.config.limits.drain_seconds, self.ending)


async def _every(seconds: float, work: Any) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except StoreError as error:
            log.error("storage", reason=str(error))
        except Exception:  # one failure must not end it for good
            log.exception("work in the background failed")


@contextlib.asynccontextmanager
async def running(config: Config, store: Store | None = None) -> AsyncIterator[Node]:
    """A node that serves while the block runs. Without ``store`` the configured database is opened.

    Raises:
        ConfigError, StoreError, LocalError, OSError: what prevents it, before anything is open.
    """
    quiet_unless_configured()
    async with contextlib.AsyncExitStack() as stack:
        opened = store
        if opened is None:
            opened = await Database.open(config.database_url, **config.registrations.options)
            stack.push_async_callback(opened.close)
        secret = read_secret(config.secret_file)
        ledger = await open_ledger(config)
        if ledger is not None:
            stack.push_async_callback(ledger.close)
            if ledger.recovered:
                log.warning("calls closed that a crash left open", calls=ledger.recovered)
        node = Node(wire(config, opened, secret, asyncio.get_running_loop(), ledger))
        stack.push_async_callback(node.close)
        await node.open()
        yield node


@contextlib.asynccontextmanager
async def serving(config: Config) -> AsyncIterator[Node]:
    """``running`` with the control socket and the HTTP port; SIGTERM and SIGINT set ``stopping``."""
    async with running(config) as node, contextlib.AsyncExitStack() as stack:
        await open_control(node, stack)
        await open_http(node, stack)
        await open_publisher(node, stack)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, node.ending.ask)
        yield node


async def _serve(config: Config) -> None:
    async with serving(config) as node:
        loop, manager = asyncio.get_running_loop(), Notifier()
        loop.add_signal_handler(signal.SIGHUP, _reload_by_signal, node, manager)
        transactions = node.parts.driver.transactions
        collector = Collector(lambda: len(transactions))
        collector.start()
        collector.show(node.metrics)
        node.repeat(1.0, collector.tick)
        log.info(
            "serving",
            domain=config.domain.name,
            ports=[f"{each.transport} {each.port}" for each in config.listeners],
        )
        manager.ready()
        if manager.pause:
            node.repeat(manager.pause, manager.alive)
        await node.stopping.wait()
        log.info("stopping")
        manager.stopping(config.limits.drain_seconds + STOP_SECONDS)
        await node.drain()


def _reload_by_signal(node: Node, manager: Notifier) -> None:
    manager.reloading()
    try:
        node.reload()
    except LocalError as error:
        log.error("certificates not read", reason=str(error))
    manager.ready()


def serve(config: Config) -> int:
    """Run a node in the foreground until it is told to stop; gives the exit code.

    Raises:
        ConfigError: what is missing, before anything is opened.
        StoreError, LocalError, OSError: what prevents serving.
    """
    if problems := config.missing_files():
        raise ConfigError(problems)
    worker = worker_of_environment()
    if worker is not None and worker < config.node.workers:
        config = config.as_worker(worker)
    console = config.log.format == "console" or (config.log.format == "auto" and sys.stderr.isatty())
    configure(level=config.log.level, console=console, stream=log_file(config.log.file))
    if config.worker is None and config.node.workers > 1:
        prepare(config)
        return asyncio.run(supervise(config))
    upgrade(config.database_url)
    uvloop.run(_serve(config))
    return 0
