"""All listeners and connections of one node: opened here, found here again, closed here.

``flow_to`` gives a flow at once. A connection that is open and may be used is used (RFC 3261 section 18); else
one is being made and takes what is sent meanwhile. TLS is used again only for a domain that the certificate
proves (RFC 5923 section 8): otherwise whoever shares an address with a domain could take its calls.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from itertools import count

from ringfence.message import LocalError
from ringfence.transport.contexts import Contexts, Inquire, TlsSettings
from ringfence.transport.dead import DeadFlow
from ringfence.transport.flow import Endpoint, Flow, Upward
from ringfence.transport.limits import Limits
from ringfence.transport.listener import Listener, StreamListener
from ringfence.transport.mesh import key_of
from ringfence.transport.pace import Pace
from ringfence.transport.sockets import bound_socket, connected_socket, is_address
from ringfence.transport.stream import STOPS, ByteStream, Streams
from ringfence.transport.tcp import StreamFlow
from ringfence.transport.tls import TlsStream, proves
from ringfence.transport.udp import MAX_FLOWS, UdpListener, open_udp
from ringfence.transport.websocket import WebSocketFlow, WebSocketPolicy

TRANSPORTS = frozenset({"UDP", "TCP", "TLS", "WS", "WSS"})

BACKLOG = 1_024
"""Connections that the kernel keeps for us to accept: a second of the fastest rate that TLS reaches."""

MAX_ALIASES = 8
"""Ports that one peer may have its connection used for (RFC 5923)."""


class Pool:
    """The transport layer of RFC 3261 section 18, seen from above."""

    def __init__(
        self,
        upward: Upward,
        limits: Limits | None = None,
        *,
        contexts: Contexts | None = None,
        websocket: WebSocketPolicy | None = None,
        worker: int | None = None,
    ) -> None:
        """``worker`` is the number of this process among several that share the ports."""
        self.limits = limits or Limits()
        self.received = upward.received
        self.listeners: list[Listener] = []
        self._upward = upward
        self._contexts = contexts
        self._websocket = websocket or WebSocketPolicy()
        self._pace = Pace()
        self._streams = Streams(self.limits, self._pace)
        self._udp: list[UdpListener] = []
        self._kept: dict[Endpoint, UdpListener] = {}
        self._sources: dict[Endpoint, Endpoint] = {}
        self.reached: dict[Endpoint, Flow] = {}
        """By what flow a peer of UDP was reached last, so that nothing has to be chosen again."""
        self._by_key: dict[str, StreamFlow] = {}
        self._by_remote: dict[tuple[str, Endpoint], list[StreamFlow]] = {}
        self._places: dict[StreamFlow, list[tuple[str, Endpoint]]] = {}
        self._connecting: dict[asyncio.Task[None], ByteStream] = {}
        # A key of an earlier run must not name a connection of this one: flow tokens outlive both.
        self._run = secrets.token_hex(4)
        self._serial = count(1)
        self._worker = worker
        self.elsewhere: Callable[[str], Flow | None] | None = None
        """Finds the connections of other workers."""

    # -- listeners -------------------------------------------------------------------------------------

    async def listen(
        self,
        transport: str,
        host: str,
        port: int,
        *,
        contexts: Contexts | None = None,
        reuse_port: bool = False,
    ) -> Listener:
        """Open a port: ``host`` is an address, port 0 takes a free one (see ``Listener.local``).

        ``contexts`` replaces the pool's for this port; ``reuse_port`` shares it with other processes.

        Raises:
            OSError: when the address cannot be bound.
            LocalError: for a transport that there is not, or TLS without a certificate.
        """
        if transport not in TRANSPORTS:
            raise LocalError(f"no such transport: {transport}")
        listener: Listener
        if transport == "UDP":
            shared = reuse_port or self._worker is not None
            udp = open_udp(host, port, self._upward, self._pace, reuse_port=shared)
            self._udp.append(udp)
            self.reached.clear()
            listener = udp
        else:
            listener = await self._listen(transport, host, port, contexts or self._contexts, reuse_port)
        self.listeners.append(listener)
        return listener

    async def _listen(
        self, transport: str, host: str, port: int, contexts: Contexts | None, reuse_port: bool
    ) -> StreamListener:
        if transport in {"TLS", "WSS"} and (contexts is None or contexts.server is None):
            raise LocalError(f"{transport} on {Endpoint(host, port)} needs a certificate")

        def accept() -> ByteStream:
            return self._make(transport, None, contexts, accepted=True)[1]

        shared = reuse_port or self._worker is not None
        sock = bound_socket(socket.SOCK_STREAM, host, port, reuse_port=shared)
        server = await asyncio.get_running_loop().create_server(accept, sock=sock, backlog=BACKLOG)
        return StreamListener(transport, Endpoint(*sock.getsockname()[:2]), server)

    def reload(self, settings: TlsSettings) -> None:
        """Use these certificates for connections made from now on; open ones keep theirs.

        Raises:
            LocalError: with the file that can't be used; nothing has changed then.
        """
        if self._contexts is None:
            raise LocalError("TLS is not in use")
        self._contexts.load(settings)

    def keep(self, remote: Endpoint, own: Endpoint, by: Endpoint, at: Endpoint) -> None:
        """Whatever is for this peer over UDP belongs to our port ``own``: it is sent from ``by`` to ``at`` (IPsec).

        Where these are two ports, connections to ``at`` are made from ``by``, too.
        """
        ports = {listener.local: listener for listener in self._udp if not listener.closed}
        if own not in ports or by not in ports:
            return
        self._kept[remote] = ports[own]
        self.reached.pop(remote, None)
        if by != own or at != remote:
            ports[own].answer_by(remote, ports[by], at)
        if by != own:
            self.connect_from(by, at)

    def connect_from(self, own: Endpoint, remote: Endpoint) -> None:
        """Make connections to this peer from this port of ours: under IPsec it is agreed on. ``release`` ends it."""
        self._sources[remote] = own

    def release(self, remote: Endpoint) -> None:
        """The end of ``keep`` and of ``connect_from``."""
        self._sources.pop(remote, None)
        self.reached.pop(remote, None)
        if (listener := self._kept.pop(remote, None)) is not None:
            listener.forget(remote)

    # -- flows -----------------------------------------------------------------------------------------

    def flow_to(
        self,
        transport: str,
        remote: Endpoint,
        server_name: str | None = None,
        local: Endpoint | None = None,
    ) -> Flow:
        """A flow to an address, open or being opened. Never fails: what goes wrong is told to ``Upward``.

        ``server_name`` is the domain that a TLS peer must prove: the host of the URI that was resolved, not
        a name that DNS gave for it (RFC 5922 section 7.3). ``local`` chooses the listener or source address.
        """
        if transport == "UDP":
            known = self.reached.get(remote) if local is None else None
            if known is not None and not known.closed:
                return known
            listener = self._kept.get(remote) or self._udp_listener(remote, local)
            if listener is not None:
                found = listener.flow_to(remote)
                if local is None and len(self.reached) < MAX_FLOWS:
                    self.reached[remote] = found
                return found
            return self._dead(transport, remote, f"no UDP socket can reach {remote}")
        for flow in self._by_remote.get((transport, remote), ()):
            if _reusable(flow, remote, server_name) and self._vouched_for(flow, server_name):
                return flow
        return self._connect(transport, remote, server_name, local)

    def _vouched_for(self, flow: StreamFlow, name: str | None) -> bool:
        return flow.peer is None or self._contexts is None or self._contexts.vouched_for(flow.peer, name)

    def _udp_listener(self, remote: Endpoint, local: Endpoint | None) -> UdpListener | None:
        best: UdpListener | None = None
        for listener in self._udp:
            if listener.closed or (":" in listener.local.host) != (":" in remote.host):
                continue
            if local == listener.local:
                return listener
            # A socket bound to loopback reaches nothing else, and one bound to the network not loopback.
            if best is None or _loopback(listener.local) == _loopback(remote) != _loopback(best.local):
                best = listener
        return best if best is not None and is_address(remote.host) else None

    def _connect(
        self, transport: str, remote: Endpoint, server_name: str | None, local: Endpoint | None
    ) -> Flow:
        contexts = self._contexts
        if transport not in TRANSPORTS:
            return self._dead(transport, remote, f"the transport {transport} is not supported")
        if not is_address(remote.host) or not 0 < remote.port < 65536:
            return self._dead(transport, remote, f"{remote} is no address")
        if transport in {"TLS", "WSS"} and contexts is None:
            return self._dead(transport, remote, "TLS is not configured")
        if self._streams.census.total + len(self._connecting) >= self.limits.connections:
            return self._dead(transport, remote, f"more than {self.limits.connections} connections")
        flow, stream = self._make(transport, server_name, contexts, accepted=False)
        flow.remote = remote
        self._place(flow, remote)
        task = asyncio.get_running_loop().create_task(self._open(stream, remote, local))
        self._connecting[task] = stream
        task.add_done_callback(self._connecting.pop)
        return flow

    async def _open(self, stream: ByteStream, remote: Endpoint, local: Endpoint | None) -> None:
        try:
            async with asyncio.timeout(self.limits.connect_time):
                source = self._sources.get(remote) or (Endpoint(local.host, 0) if local else None)
                sock = await connected_socket(remote, source)
                try:
                    await asyncio.get_running_loop().create_connection(lambda: stream, sock=sock)
                except BaseException:
                    sock.close()
                    raise
        except TimeoutError:
            stream.failed(f"{remote} did not answer in {self.limits.connect_time:g} s")
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            stream.failed(f"{remote} cannot be reached: {why}")

    def _make(
        self, transport: str, server_name: str | None, contexts: Contexts | None, *, accepted: bool
    ) -> tuple[StreamFlow, ByteStream]:
        key = f"{self._run}.{next(self._serial):x}"
        flow: StreamFlow
        if transport in {"WS", "WSS"}:
            flow = WebSocketFlow(self, transport, key, server_name, accepted=accepted, policy=self._websocket)
        else:
            flow = StreamFlow(self, transport, key, server_name)
        stream: ByteStream
        if flow.secure:
            assert contexts is not None  # both callers have looked
            stream = TlsStream(
                self._streams,
                flow,
                contexts,
                accepted=accepted,
                server_name=server_name,
                websocket=transport == "WSS",
            )
        else:
            stream = ByteStream(self._streams, flow, accepted=accepted)
        flow.ride(stream)
        return flow, stream

    def _dead(self, transport: str, remote: Endpoint, reason: str) -> Flow:
        flow = DeadFlow(transport, remote)
        asyncio.get_running_loop().call_soon(self._upward.closed, flow, reason)
        return flow

    def find(self, key: str) -> Flow | None:
        """The flow with this key (see ``Flow.key``), or None when it is gone."""
        if not key.startswith("UDP,"):
            own = self._by_key.get(key)
            return own if own is not None or self.elsewhere is None else self.elsewhere(key)
        here, _, there = key.removeprefix("UDP,").partition(",")
        for listener in self._udp:
            if str(listener.local) == here and not listener.closed:
                host, _, port = there.rpartition(":")
                return listener.flow_to(Endpoint(host.strip("[]"), int(port)))
        return None

    def alias(self, flow: Flow, port: int | None) -> bool:
        """Let requests for the peer's own port take a connection that the peer made (RFC 5923 section 8.2).

        For a request over TLS whose topmost Via has ``alias``; ``port`` is that of its sent-by. Gives whether
        the connection qualifies: the peer has to have shown a good certificate.
        """
        if not isinstance(flow, StreamFlow) or flow.closed or flow.peer is None or not flow.peer.verified:
            return False
        endpoint = Endpoint(flow.remote.host, port or 5061)
        places = self._places.get(flow, [])
        if (flow.transport, endpoint) not in places:
            if len(places) > MAX_ALIASES:
                return False
            self._place(flow, endpoint)
        return True

    def connections(self) -> Iterator[StreamFlow]:
        """Every connection that is ready."""
        return iter(tuple(self._by_key.values()))

    @property
    def refused(self) -> int:
        """Connections refused so far since there were too many."""
        return self._streams.refused

    def ask(self, welcome: Callable[[str], float]) -> None:
        """Have each new connection judged by its address (see ``Streams.welcome``); for the guard."""
        self._streams.welcome = welcome

    def inquire(self, inquire: Inquire) -> None:
        """Have peers' certificates looked up before their connections are used (see ``Contexts.inquire``)."""
        if self._contexts is not None:
            self._contexts.inquire = inquire

    def vouch(self, roots: Mapping[str, frozenset[bytes]]) -> None:
        """Let only these authorities vouch for these names (see ``Contexts.roots``)."""
        if self._contexts is not None:
            self._contexts.roots = roots

    def lateness(self, seconds: float) -> float:
        """How many seconds a datagram waits in the kernel before it is read; see ``UdpListener.lateness``."""
        return max((listener.lateness(seconds) for listener in self._udp), default=0.0)

    # -- from the flows --------------------------------------------------------------------------------

    def opened(self, flow: StreamFlow) -> None:
        """A connection is ready."""
        if flow.accepted:
            if self._worker is not None:
                flow.rename(key_of(flow.key, self._worker, flow.transport, flow.local, flow.remote))
            self._place(flow, flow.remote)
        self._by_key[flow.key] = flow
        self._upward.opened(flow)

    def closed(self, flow: StreamFlow, reason: str) -> None:
        """A connection has ended, or could not be made."""
        self._by_key.pop(flow.key, None)
        for place in self._places.pop(flow, ()):
            flows = self._by_remote[place]
            flows.remove(flow)
            if not flows:
                del self._by_remote[place]
        self._upward.closed(flow, reason)

    def _place(self, flow: StreamFlow, remote: Endpoint) -> None:
        place = (flow.transport, remote)
        self._by_remote.setdefault(place, []).append(flow)
        self._places.setdefault(flow, []).append(place)

    # -- the end ---------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close every listener and connection; what was sent goes out first, as long as peers take it."""
        for listener in self.listeners:
            listener.close()
        connecting = dict(self._connecting)
        for task, stream in connecting.items():
            task.cancel()
            stream.failed(STOPS)
        for flow in list(self._by_key.values()):
            flow.close(STOPS)
        await self._streams.drain(self.limits.close_time)
        self._streams.stop()
        await asyncio.gather(*connecting, return_exceptions=True)


def _reusable(flow: StreamFlow, remote: Endpoint, server_name: str | None) -> bool:
    if flow.closed:
        return False
    if not flow.secure:
        return True
    if not flow.accepted and flow.server_name == server_name:
        return True  # made for this domain: it has been proved, or is being
    if server_name is None or server_name == remote.host:
        # No domain is asked for, only this very address: RFC 3261 section 18.
        return flow.remote == remote
    return flow.peer is not None and proves(flow.peer, server_name)


def _loopback(endpoint: Endpoint) -> bool:
    return endpoint.host.startswith("127.") or endpoint.host == "::1"
