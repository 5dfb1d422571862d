"""A media relay: a call's packets pass through our ports, so that parties stay hidden or get through NAT.

A session has two sides, each an RTP and an RTCP port. What one side's party sends goes out of the other
side's port to the other party, untouched: SRTP and DTLS pass as they are. A port takes packets only from
hosts that signalling named for its party: the host in the session description, and the one that its SIP
messages come from. The first packet from there decides the source (latching), which answers go to; it stays
until it has been silent for a while. So nobody who has not been signalled gets a packet in, and nothing is
sent anywhere but to a signalled host.

A packet costs one comparison of addresses, a budget, and one send; time is looked at once a second, for all.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from socket import socket
from typing import cast

from ringfence.message import LocalError, PeerError
from ringfence.transport.ports import bind_pair

__all__ = ["Counts", "Relay", "RelaySession", "Side"]

SWEEP = 1.0
"""Seconds between looks at all sessions: what is counted in seconds below is exact to this."""
SILENCE = 60.0
"""Seconds without a packet of either party until a session counts as dead. RTCP alone comes each 5 s or so."""
QUIET_SWEEPS = 2
"""Sweeps without a packet until another port of the party may take over: its NAT has changed the mapping."""
MAX_PACKETS = 2000
"""Packets a second of one port. Video of 10 Mbit/s has half of that; more is a flood, or a loop of relays."""
ATTEMPTS = 32
"""Ports to try, when other programs use some of the range."""

# First octets of STUN, DTLS, RTP and RTCP (RFC 7983 section 7). Anything else is nobody's media.
_FIRST = frozenset(bytes([octet]) for octet in (*range(4), *range(20, 64), *range(128, 192)))

Address = tuple[str, int]


class Counts:
    """What one port has seen."""

    __slots__ = ("dropped", "octets", "packets")

    def __init__(self) -> None:
        self.packets = 0
        self.octets = 0
        self.dropped = 0  # from elsewhere, no media, or over the limit


class _Leg(asyncio.DatagramProtocol):
    """One port. ``peer`` is the leg whose party gets what comes in here."""

    __slots__ = ("budget", "counts", "hosts", "peer", "quiet", "seen", "source", "target", "transport")

    def __init__(self) -> None:
        self.peer = self
        self.transport: asyncio.DatagramTransport | None = None
        self.hosts: frozenset[str] = frozenset()  # that may send here
        self.target: Address | None = None  # where the party said that it receives
        self.source: Address | None = None  # where its packets come from
        self.budget = MAX_PACKETS
        self.counts = Counts()
        self.seen = 0  # packets at the last sweep
        self.quiet = 0  # sweeps without a packet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        counts, peer = self.counts, self.peer
        self.budget -= 1
        if self.budget < 0 or data[:1] not in _FIRST or (addr != self.source and not self._latch(addr)):
            counts.dropped += 1
            return
        counts.packets += 1
        counts.octets += len(data)
        to = peer.source or peer.target
        if to is not None and peer.transport is not None:
            peer.transport.sendto(data, to)

    def _latch(self, addr: Address) -> bool:
        if addr[0] not in self.hosts or (self.source is not None and self.quiet < QUIET_SWEEPS):
            return False
        self.source = addr
        self.quiet = 0
        return True

    def expect(self, target: Address | None, hosts: frozenset[str]) -> None:
        if (target, hosts) != (self.target, self.hosts):
            self.target, self.hosts, self.source = target, hosts, None

    def sweep(self) -> bool:
        """Whether there were packets since the last sweep."""
        self.budget = MAX_PACKETS
        heard = self.counts.packets != self.seen
        self.seen = self.counts.packets
        self.quiet = 0 if heard else self.quiet + 1
        return heard

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()
            self.transport = None


async def _attach(leg: _Leg, udp: socket) -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: leg, sock=udp)


class Side:
    """What one party sees of a session: the ports it sends to, and what came from it.

    ``host``, ``port`` and ``rtcp_port`` belong in the description that this party is given.
    """

    __slots__ = ("_rtcp", "_rtp", "_session", "host", "local", "port", "rtcp_port")

    def __init__(self, session: RelaySession, relay: Relay, port: int, rtp: _Leg, rtcp: _Leg) -> None:
        self._session = session
        self._rtp, self._rtcp = rtp, rtcp
        self.host, self.local = relay.advertised, relay.host
        self.port, self.rtcp_port = port, port + 1

    def expect(self, target: Address | None, rtcp: Address | None = None, also: Iterable[str] = ()) -> None:
        """Take the party's packets, and send it the other's, from now on.

        ``target`` is the address in the party's description (None on hold), ``rtcp`` that for RTCP, or the
        next port. ``also`` are hosts that its packets may come from as well: where its SIP messages come
        from, which behind NAT is not what the description says. What has been learned stays while this does
        not change.

        Raises:
            PeerError: 488, the address is none that media may go to.
        """
        target = self._checked(target)
        if rtcp is None and target is not None and target[1] < 65_535:
            rtcp = (target[0], target[1] + 1)
        rtcp = self._checked(rtcp)
        hosts = {str(ip_address(host)) for host in also}
        hosts.update(address[0] for address in (target, rtcp) if address is not None)
        self._rtp.expect(target, frozenset(hosts))
        self._rtcp.expect(rtcp, frozenset(hosts))

    def _checked(self, address: Address | None) -> Address | None:
        if address is None:
            return None
        host, port = address
        try:
            ip = ip_address(host)
        except ValueError:
            raise PeerError(488, f"the media host {host[:80]!r} is a name, not an address") from None
        if ip.is_unspecified or not port:
            return None
        if ip.is_multicast or str(ip) == "255.255.255.255":
            raise PeerError(488, "media must not go to a group")
        # A stranger must not make us send to services that listen on this machine alone.
        if ip.is_loopback and not ip_address(self.local).is_loopback:
            raise PeerError(488, "media must not go to this machine")
        if self._session.owns(str(ip), port):
            raise PeerError(488, "media must not go in a circle")
        return str(ip), port

    @property
    def source(self) -> Address | None:
        """Where the party's RTP has been seen to come from."""
        return self._rtp.source and (self._rtp.source[0], self._rtp.source[1])

    @property
    def counts(self) -> Counts:
        """The party's RTP."""
        return self._rtp.counts

    @property
    def rtcp_counts(self) -> Counts:
        """The party's RTCP."""
        return self._rtcp.counts


class RelaySession:
    """One stream of a call: side ``a`` for one party, ``b`` for the other."""

    __slots__ = ("_legs", "_owners", "a", "b", "closed", "idle")

    def __init__(self, near: Relay, near_port: int, far: Relay, far_port: int) -> None:
        legs = [_Leg() for _ in range(4)]
        for leg, peer in ((0, 2), (2, 0), (1, 3), (3, 1)):
            legs[leg].peer = legs[peer]
        self._legs = legs
        self._owners = ((near, near_port), (far, far_port))
        self.a = Side(self, near, near_port, legs[0], legs[1])
        self.b = Side(self, far, far_port, legs[2], legs[3])
        self.idle = 0.0  # seconds since a packet of either party
        self.closed = False

    async def attach(self, sockets: Sequence[socket]) -> None:
        """Take over the sockets: RTP and RTCP of side a, then of side b."""
        for leg, udp in zip(self._legs, sockets, strict=True):
            await _attach(leg, udp)

    def owns(self, host: str, port: int) -> bool:
        """The address is one of this session's own ports."""
        sides = (self.a, self.b)
        return any(host in (side.host, side.local) and port in (side.port, side.rtcp_port) for side in sides)

    def sweep(self) -> None:
        """Count a second of silence, or start anew."""
        heard = [leg.sweep() for leg in self._legs]
        self.idle = 0.0 if any(heard) else self.idle + SWEEP

    def close(self) -> None:
        """Give the ports back."""
        if self.closed:
            return
        self.closed = True
        for leg in self._legs:
            leg.close()
        for relay, port in self._owners:
            relay.forget(self, port)


class Relay:
    """The media ports of one address. Made once; ``open`` a session for each stream of a call."""

    def __init__(
        self,
        host: str,
        ports: range,
        *,
        advertised: str | None = None,
        silence: float = SILENCE,
        on_silence: Callable[[RelaySession], None] | None = None,
    ) -> None:
        """Use the even ports of the range, each with the next one.

        ``host`` is the local address, ``advertised`` the one that parties are told, where NAT is before us.
        ``on_silence`` is called once for a session without a packet of either party for ``silence`` seconds.
        """
        self.host = host
        self.advertised = advertised or host
        self.ports = ports
        self.sessions: set[RelaySession] = set()
        # In random order, since ports that can be guessed make injection easier; those given back go to the
        # end, so that late packets of an old call do not meet a new one.
        free = list(range(ports.start + ports.start % 2, ports.stop - 1, 2))
        secrets.SystemRandom().shuffle(free)
        self._free = deque(free)
        self._pairs = len(free)
        self._silence, self._on_silence = silence, on_silence
        self._timer: asyncio.TimerHandle | None = None

    async def open(self, far: Relay | None = None) -> RelaySession:
        """Ports for one stream; side ``b`` at the address of ``far``, where parties are of two networks.

        Raises:
            LocalError: All ports are in use.
        """
        far = far or self
        near_port, near_sockets = self._take()
        try:
            far_port, far_sockets = far._take()
        except LocalError:
            self._free.append(near_port)
            for taken in near_sockets:
                taken.close()
            raise
        session = RelaySession(self, near_port, far, far_port)
        await session.attach((*near_sockets, *far_sockets))
        self.sessions.add(session)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP, self._sweep)
        return session

    def _take(self) -> tuple[int, tuple[socket, socket]]:
        for _ in range(min(ATTEMPTS, len(self._free))):
            port = self._free.popleft()
            try:
                return port, bind_pair(self.host, range(port, port + 2))
            except LocalError:
                self._free.append(port)  # another program has it
        used = self._pairs - len(self._free)
        raise LocalError(
            f"no free media port on {self.host}: {used} of {self._pairs} pairs between {self.ports.start} and "
            f"{self.ports.stop - 1} are in calls; allow more ports"
        )

    def forget(self, session: RelaySession, port: int) -> None:
        """The session has closed this port."""
        self.sessions.discard(session)
        self._free.append(port)

    def _sweep(self) -> None:
        self._timer = None
        for session in list(self.sessions):
            was = session.idle
            session.sweep()
            if was < self._silence <= session.idle and self._on_silence is not None:
                self._on_silence(session)
        if self.sessions:
            self._timer = asyncio.get_running_loop().call_later(SWEEP, self._sweep)

    def close(self) -> None:
        """Close all sessions."""
        for session in list(self.sessions):
            session.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
