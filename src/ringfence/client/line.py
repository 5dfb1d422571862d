"""The sockets of one user agent, its address on them, and the first hop of what it sends.

An account with credentials or a proxy has a *home*: the server that everything leaves by, over one flow
that also brings what comes in (RFC 5626). Only what comes by that flow can be from home, and only there are
credentials shown. An account without (two agents on a desk) sends straight to whom it calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from ringfence.client.account import Account
from ringfence.client.errors import RequestFailed
from ringfence.engine.locate import Destination
from ringfence.engine.timers import Timers
from ringfence.engine.transactions import Transactions
from ringfence.message import LocalError, SipUri
from ringfence.transport.contexts import Contexts
from ringfence.transport.driver import Driver, OnRequest
from ringfence.transport.fetch import Fetcher, resolver_lookup, web_context
from ringfence.transport.flow import Endpoint, Flow
from ringfence.transport.pool import Pool
from ringfence.transport.resolver import Resolver
from ringfence.transport.sockets import is_address
from ringfence.transport.tcp import StreamFlow

if TYPE_CHECKING:
    from ringfence.client.agreement import Agreement

SECURE = frozenset({"TLS", "WSS"})

ANY_HOST = {4: "0.0.0.0", 6: "::"}  # noqa: S104  a phone does not know by which interface it will be called
DISCARD_PORT = 9

MAX_TRANSACTIONS = 2_000
"""Far more than one user makes: strangers who send requests to a phone get 503 beyond."""


class Hop(NamedTuple):
    """Where a request goes next. ``home`` says that it goes by our own server, whatever the URI."""

    uri: SipUri
    home: bool


class Line:
    """Opens, finds and closes the flows of one account."""

    def __init__(
        self,
        account: Account,
        *,
        host: str | None = None,
        port: int = 0,
        timers: Timers | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self.account = account
        self.driver = Driver(Transactions(timers, MAX_TRANSACTIONS), asyncio.get_running_loop())
        self.timers = self.driver.transactions.timers
        self.home = account.home()
        self.agreement: Agreement | None = None
        """What secures the hop to home where TLS is not a matter of course; None: nothing was asked for."""
        self.on_closed: Callable[[Flow, str], None] | None = None
        self.received = self.driver.received
        self._pool = Pool(self, contexts=Contexts(account.tls()))
        self._resolver = resolver or Resolver()
        self._fetcher: Fetcher | None = None
        self._host, self._port = host, port
        self.protected: dict[Endpoint, Endpoint] = {}
        """Ports of ours that the kernel shuts to everything but IPsec, and the port that each is known by."""
        self.home_local: Endpoint | None = None
        """The one that everything to home leaves by."""
        self._home_hosts: set[str] = set()
        self._home_flows: set[str] = set()
        self._open: set[str] = set()
        self._opening: dict[str, asyncio.Future[None]] = {}

    # -- life ------------------------------------------------------------------------------------------

    async def open(self, on_request: OnRequest) -> None:
        """Open the ports that are needed.

        Raises:
            OSError: when one can't be bound.
            RequestFailed: 503 when home has no address.
        """
        self.driver.bind(self._pool, on_request)
        transports = {"UDP", "TCP"} if self.account.transport is None else {self.account.transport}
        if self.home is not None:
            places = await self.places(Hop(self.home, home=True))
            transports = {place.transport for place in places}
            if self._host is None:
                self._host = local_host(places[0].endpoint.host)
        if self.account.secure:
            transports &= SECURE
        host = self._host or ANY_HOST[4]
        for transport in ("UDP", "TCP"):  # the same number for both, if it is free
            if transport in transports:
                await self._listen(transport, host)
        if "TLS" in transports and self.home is None and self.account.certificate is not None:
            await self._listen("TLS", host)

    async def _listen(self, transport: str, host: str) -> None:
        try:
            listener = await self._pool.listen(transport, host, self._port)
        except OSError:
            if not self._pool.listeners:
                raise
            listener = await self._pool.listen(transport, host, 0)
        self._port = self._port or listener.local.port

    async def listen_protected(self, own: Endpoint) -> None:
        """Open a port for IPsec, beside the others. Raises OSError when it is taken."""
        await self._pool.listen("UDP", own.host, own.port)

    async def connect_from(self, own: Endpoint, client: Endpoint, server: Endpoint) -> None:
        """Make connections to the server from ``client``, and take its connections at ``own`` (IPsec over TCP).

        Raises:
            OSError: when that port is taken.
        """
        if all((each.transport, each.local) != ("TCP", own) for each in self._pool.listeners):
            await self._pool.listen("TCP", own.host, own.port)
        self._pool.connect_from(client, server)

    def fetcher(self, allowed: Iterable[str]) -> Fetcher:
        """What fetches over the web, by names that this line looks up; ``allowed`` are networks besides public ones."""
        if self._fetcher is None:
            self._fetcher = Fetcher(web_context(), resolver_lookup(self._resolver), allowed=allowed)
        return self._fetcher

    async def close(self) -> None:
        """Close everything; what was sent goes out first."""
        if self._fetcher is not None:
            await self._fetcher.close()
        await self._pool.close()
        await self._resolver.close()
        await self.driver.close()

    # -- from the pool ---------------------------------------------------------------------------------

    def opened(self, flow: Flow) -> None:
        """A connection is ready."""
        self._open.add(flow.key)
        self.driver.opened(flow)
        if (waiting := self._opening.pop(flow.key, None)) is not None and not waiting.done():
            waiting.set_result(None)

    def closed(self, flow: Flow, reason: str) -> None:
        """A connection has ended or was never made, or a datagram was refused."""
        self._open.discard(flow.key)
        self._home_flows.discard(flow.key)
        if (waiting := self._opening.pop(flow.key, None)) is not None and not waiting.done():
            waiting.set_exception(RequestFailed(503, reason))
        self.driver.closed(flow, reason)
        if self.on_closed is not None:
            self.on_closed(flow, reason)

    # -- where to --------------------------------------------------------------------------------------

    async def places(self, hop: Hop) -> list[Destination]:
        """Where a hop can be reached, best first (RFC 3263).

        Raises:
            RequestFailed: 503 when nowhere, 480 when only without the TLS that is needed (RFC 5630 section 4.3).
        """
        uri = self.home if hop.home and self.home is not None else hop.uri
        wanted = self.account.transport
        if wanted is not None and uri.transport is None and not uri.secure:
            uri = uri.replace(params=uri.params.with_("transport", wanted.lower()))
        places = await self._resolver.locate(uri)
        if hop.uri.secure or self.account.secure:
            secure = [place for place in places if place.transport in SECURE]
            if places and not secure:
                raise RequestFailed(480, f"{uri.host} can't be reached by TLS")
            places = secure
        if not places:
            raise RequestFailed(503, f"{uri.host} has no address")
        if hop.home:
            self._home_hosts.update(place.endpoint.host for place in places)
            if is_address(uri.address):
                # The proxy was configured by its address: what its certificate proves is our domain.
                places = [place._replace(server_name=self.account.domain) for place in places]
        return places

    async def flow(self, place: Destination, *, home: bool = False) -> Flow:
        """The flow to a place, open.

        Raises:
            RequestFailed: 503 with the reason when it can't be opened.
        """
        endpoint = place.endpoint
        if place.transport == "UDP":
            family = ":" in endpoint.host
            if all((":" in listener.local.host) != family for listener in self._pool.listeners):
                with contextlib.suppress(OSError, LocalError):
                    await self._pool.listen("UDP", ANY_HOST[6 if family else 4], 0)
        local = self.home_local if home else None
        flow = self._pool.flow_to(place.transport, endpoint, place.server_name, local)
        if home and flow.reliable:
            self._home_flows.add(flow.key)
        if isinstance(flow, StreamFlow) and flow.key not in self._open and not flow.closed:
            waiting = self._opening.setdefault(flow.key, asyncio.get_running_loop().create_future())
            await asyncio.shield(waiting)
        if flow.closed:
            raise RequestFailed(503, f"{endpoint} can't be reached by {place.transport}")
        return flow

    def from_home(self, flow: Flow) -> bool:
        """Whether what came by this flow came from our own server. Without TLS that is only as true as its address: a
        server that does no Outbound (RFC 5626) makes a connection of its own to the Contact that we listen at.
        """
        if self.agreement is not None and self.agreement.by_tls and not flow.secure:
            return False
        if self.home_local is not None and flow.local not in self.protected:
            return False
        if flow.secure or flow.key in self._home_flows:
            return flow.key in self._home_flows
        return flow.remote.host in self._home_hosts

    # -- what we are called ----------------------------------------------------------------------------

    def address(self, flow: Flow) -> Endpoint:
        """Where the peer of a flow can reach us: a listener of its transport, else the flow itself."""
        if flow.local in self.protected:
            return self.protected[flow.local]
        host = local_host(flow.remote.host) if flow.local.host in ANY_HOST.values() else flow.local.host
        for listener in self._pool.listeners:
            same_family = (":" in listener.local.host) == (":" in host)
            if listener.transport == flow.transport and same_family:
                return Endpoint(host, listener.local.port)
        return Endpoint(host, flow.local.port)

    def addresses(self) -> list[str]:
        """Where we listen, as URIs for agents that call without a server."""
        found = []
        for listener in self._pool.listeners:
            host = "127.0.0.1" if listener.local.host == ANY_HOST[4] else listener.local.host
            uri = f"{self.account.aor.user}@{Endpoint(host, listener.local.port)}"
            suffix = (
                ";transport=tcp" if listener.transport == "TCP" else ""
            )  # RFC 3263 section 4.1: UDP without
            found.append(f"sips:{uri}" if listener.transport == "TLS" else f"sip:{uri}{suffix}")
        return found

    def via(self, flow: Flow) -> str:
        """A Via for a new request, with a new branch and rport (RFC 3581)."""
        branch = self.driver.token()
        return f"SIP/2.0/{flow.transport} {self.address(flow)};branch=z9hG4bK{branch};rport"

    def contact_uri(self, flow: Flow, *, secure: bool) -> SipUri:
        """The URI under which the peer of a flow reaches us; ``sips:`` when ``secure`` (RFC 5630 section 5.1)."""
        host, port = self.address(flow)
        uri = SipUri(
            "sips" if secure else "sip", self.account.aor.user, f"[{host}]" if ":" in host else host, port
        )
        if flow.transport != "UDP" and not (secure and flow.transport == "TLS"):
            name = {"WSS": "ws"}.get(flow.transport, flow.transport.lower())  # RFC 7118 section 5.3
            uri = uri.replace(params=uri.params.with_("transport", name))
        return uri


def local_host(remote: str) -> str:
    """Our address on the way to this one, as the kernel would choose it; nothing is sent.

    Raises:
        RequestFailed: 503 when there is no way.
    """
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((remote, DISCARD_PORT))
        except OSError as error:
            raise RequestFailed(503, f"no way to {remote}: {error.strerror}") from None
        return str(probe.getsockname()[0])
