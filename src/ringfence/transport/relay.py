"""A media relay: a call's packets pass through our ports, so that parties stay hidden or get through NAT.

A session has two sides, each an RTP and an RTCP port. What one side's party sends goes out of the other
side's port to the other party, untouched: SRTP and DTLS pass as they are. A port takes packets only from
hosts that signalling named for its party: the host in the session description, and the one that its SIP
messages come from. The first packet from there decides the source (latching), which answers go to; it stays
until it has been silent for a while. So nobody who has not been signalled gets a packet in, and nothing is
sent anywhere but to a signalled host.

What happens to a packet is in ``_legs.pyx``, on a thread of its own that needs nothing of Python, and in its slow twin
``legs.py``. Time is looked at once a second, for all.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from socket import socket
from typing import TYPE_CHECKING, NamedTuple

from ringfence.message import LocalError, PeerError
from ringfence.message.ip import KEPT, ip_address
from ringfence.transport import legs
from ringfence.transport.legs import Address, Screen
from ringfence.transport.ports import bind_pair
from ringfence.transport.sockets import address_toward

LEGS = 1
"""The version of ``_legs.pyx`` that this file was written for."""

if TYPE_CHECKING:
    from ringfence.transport.legs import Leg
else:
    try:
        from ringfence.transport import _legs

        Leg = _legs.Leg if _legs.VERSION == LEGS else legs.Leg
    except ImportError:  # no C compiler when it was installed
        Leg = legs.Leg

__all__ = ["Address", "Relay", "RelaySession", "Screen", "Side"]

SWEEP = 1.0
"""Seconds between looks at all sessions: what is counted in seconds below is exact to this."""
SILENCE = 60.0
"""Seconds without a packet of either party until a session counts as dead. RTCP alone comes each 5 s or so."""
ATTEMPTS = 32
"""Ports to try, when other programs use some of the range."""


class _Place(NamedTuple):
    """What there is to know of an address."""

    text: str
    unspecified: bool
    loopback: bool
    group: bool


@lru_cache(KEPT)
def _read(host: str) -> _Place:
    """Raises ValueError for text that is no address."""
    ip = ip_address(host)
    text = str(ip)
    return _Place(text, ip.is_unspecified, ip.is_loopback, ip.is_multicast or text == "255.255.255.255")


class Side:
    """What one party sees of a session: the ports it sends to, and what came from it.

    ``host``, ``port`` and ``rtcp_port`` belong in the description that this party is given.
    """

    __slots__ = ("_ports", "_rtcp", "_rtp", "host", "local", "own", "port", "rtcp_port")

    def __init__(self, relay: Relay, port: int, rtp: Leg, rtcp: Leg) -> None:
        self._rtp, self._rtcp = rtp, rtcp
        self.host, self.local = relay.advertised, relay.host
        self._ports = relay.ports
        self.own: frozenset[Address] = frozenset()  # all ports of the session
        self.port, self.rtcp_port = port, port + 1

    def screen(self, screen: Screen, cname: bytes = b"") -> None:
        """Which packets of the party may pass; ``cname`` is what its RTCP says instead, for CLEAR."""
        self._rtp.screen(screen, cname)
        self._rtcp.screen(screen, cname)

    def expect(
        self,
        target: Address | None,
        rtcp: Address | None = None,
        also: Iterable[str] = (),
        *,
        here: bool = False,
    ) -> None:
        """Take the party's packets, and send it the other's, from now on.

        ``target`` is the address in the party's description (None on hold), ``rtcp`` that for RTCP, or the
        next port. ``also`` are hosts that its packets may come from as well: where its SIP messages come
        from, which behind NAT is not what the description says. What has been learned stays while this does
        not change. ``here``: the party is known to be on this machine.

        Raises:
            PeerError: 488, the address is none that media may go to.
        """
        target = self._checked(target, here)
        if rtcp is None and target is not None and target[1] < 65_535:
            rtcp = (target[0], target[1] + 1)
        rtcp = self._checked(rtcp, here)
        hosts = [_read(host).text for host in also]
        hosts += [address[0] for address in (target, rtcp) if address is not None]
        expected = frozenset(hosts)
        self._rtp.expect(target, expected)
        self._rtcp.expect(rtcp, expected)

    def _checked(self, address: Address | None, here: bool) -> Address | None:
        if address is None:
            return None
        host, port = address
        try:
            place = _read(host)
        except ValueError:
            raise PeerError(488, f"the media host {host[:80]!r} is a name, not an address") from None
        if place.unspecified or not port:
            return None
        if place.group:
            raise PeerError(488, "media must not go to a group")
        # A stranger must not make us send to services that listen on this machine alone.
        if place.loopback and not (here or _read(self.local).loopback):
            raise PeerError(488, "media must not go to this machine")
        # To a port of ours it may: a call that passes here twice.
        if not here and not place.loopback and port not in self._ports and self._is_ours(place.text):
            raise PeerError(488, "media must not go to this machine")
        if (place.text, port) in self.own:
            raise PeerError(488, "media must not go in a circle")
        return place.text, port

    def _is_ours(self, host: str) -> bool:
        return host in (self.host, self.local) or (
            _read(self.local).unspecified and address_toward(host) == host
        )

    @property
    def source(self) -> Address | None:
        """Where the party's RTP has been seen to come from."""
        return self._rtp.source

    @property
    def rtp(self) -> Leg:
        """The port for RTP, with its counts."""
        return self._rtp

    @property
    def rtcp(self) -> Leg:
        """The port for RTCP, with its counts."""
        return self._rtcp


class RelaySession:
    """One stream of a call: side ``a`` for one party, ``b`` for the other."""

    __slots__ = ("_legs", "_owners", "a", "b", "closed", "idle")

    def __init__(
        self, near: Relay, near_port: int, far: Relay, far_port: int, sockets: Sequence[socket]
    ) -> None:
        """``sockets``: RTP and RTCP of side a, then of side b; they are the session's from now on."""
        legs = [relay.make_leg(udp) for relay, udp in zip((near, near, far, far), sockets, strict=True)]
        for leg, peer in ((0, 2), (2, 0), (1, 3), (3, 1)):
            legs[leg].join(legs[peer])
        self._legs = legs
        self._owners = ((near, near_port), (far, far_port))
        self.a = Side(near, near_port, legs[0], legs[1])
        self.b = Side(far, far_port, legs[2], legs[3])
        sides = (self.a, self.b)
        own: list[Address] = []
        for side in sides:
            for host in (side.host, side.local):
                own += ((host, side.port), (host, side.rtcp_port))
        self.a.own = self.b.own = frozenset(own)
        self.idle = 0.0  # seconds since a packet of either party
        self.closed = False

    @property
    def counts(self) -> tuple[int, int, int]:
        """Packets and octets relayed, packets dropped, of both parties."""
        packets = octets = dropped = 0
        for leg in self._legs:
            packets += leg.packets
            octets += leg.octets
            dropped += leg.dropped
        return packets, octets, dropped

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
        make_leg: Callable[[socket], Leg] = Leg,
    ) -> None:
        """Use the even ports of the range, each with the next one.

        ``host`` is the local address, ``advertised`` the one that parties are told, where NAT is before us.
        ``on_silence`` is called once for a session without a packet of either party for ``silence`` seconds.
        ``make_leg`` takes over each socket.
        """
        self.host = host
        self.advertised = advertised or host
        self.ports = ports
        self.make_leg = make_leg
        self.sessions: set[RelaySession] = set()
        # In random order, since ports that can be guessed make injection easier; those given back go to the
        # end, so that late packets of an old call do not meet a new one.
        free = list(range(ports.start + ports.start % 2, ports.stop - 1, 2))
        secrets.SystemRandom().shuffle(free)
        self._free = deque(free)
        self._pairs = len(free)
        self._silence, self._on_silence = silence, on_silence
        self._timer: asyncio.TimerHandle | None = None

    def open(self, far: Relay | None = None) -> RelaySession:
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
        session = RelaySession(self, near_port, far, far_port, (*near_sockets, *far_sockets))
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
