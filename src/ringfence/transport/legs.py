"""One media port: what comes in from its party goes out of the peer's port to the other party.

This file is the slow twin of ``_legs.pyx``, for machines without a C compiler: the same behaviour, on the event loop,
so that media and signalling wait for each other. ``tests/transport/test_relay.py`` runs both.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum
from socket import socket

from ringfence.transport.rtcp import is_rtcp, without_names

__all__ = ["MAX_BURST", "MAX_PACKET", "MAX_PACKETS", "Address", "Leg", "Screen"]

MAX_PACKETS = 2000
"""Packets a second of one port. Video of 10 Mbit/s has half of that; more is a flood, or a loop of relays."""
MAX_PACKET = 2048
"""Octets of a packet: whatever is longer than an Ethernet frame was not made for a call."""
MAX_BURST = 32
"""Packets read of one port before others get their turn."""
QUIET_SWEEPS = 2
"""Sweeps without a packet until another port of the party may take over: its NAT has changed the mapping."""

Address = tuple[str, int]

# First octets (RFC 7983 section 7): STUN, ZRTP, DTLS, RTP and RTCP. Anything else is nobody's media.
_MEDIA = frozenset((*range(4), *range(16, 64), *range(128, 192)))
# STUN names software and addresses, and a phone has one ZRTP identifier for all its calls.
_HIDDEN = frozenset((*range(20, 64), *range(128, 192)))
_ANY = frozenset(range(256))


class Screen(IntEnum):
    """Which packets of a party may pass."""

    ANY = 0
    """All: the stream is no RTP."""
    MEDIA = 1
    """RTP, RTCP, DTLS, ZRTP, STUN."""
    HIDDEN = 2
    """RTP, RTCP and DTLS: nothing that would name an anonymous party, as far as encrypted packets can be judged."""
    CLEAR = 3
    """The same, and its RTCP is rewritten: it is not encrypted."""


_FIRST = (_ANY, _MEDIA, _HIDDEN, _HIDDEN)


class Leg:
    """One port of a relay."""

    __slots__ = (
        "_budget",
        "_cname",
        "_first",
        "_hosts",
        "_limit",
        "_loop",
        "_peer",
        "_quiet",
        "_screen",
        "_seen",
        "_source",
        "_target",
        "_udp",
        "dropped",
        "octets",
        "packets",
    )

    def __init__(self, udp: socket, limit: int = MAX_PACKETS) -> None:
        """Take over a bound socket that does not block. ``limit``: packets a second."""
        self._udp: socket | None = udp
        self._peer: Leg | None = None
        self._hosts: frozenset[str] = frozenset()  # that may send here
        self._target: tuple[str | int, ...] | None = None  # where the party said that it receives
        self._source: tuple[str | int, ...] | None = None  # where its packets come from
        self._limit = self._budget = limit
        self._screen = Screen.MEDIA
        self._first = _MEDIA
        self._cname = b""
        self._seen = 0  # packets at the last sweep
        self._quiet = 0  # sweeps without a packet
        self.packets = 0
        self.octets = 0
        self.dropped = 0  # from elsewhere, no media, too long, or over the limit
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(udp.fileno(), self._readable)

    def join(self, peer: Leg) -> None:
        """What comes in here goes out there."""
        self._peer = peer

    def expect(self, target: Address | None, hosts: frozenset[str]) -> None:
        """Take packets from these hosts; send to ``target`` until a source is known. The same again changes nothing."""
        if (target, hosts) != (self._target, self._hosts):
            self._target, self._hosts, self._source = target, hosts, None

    def screen(self, screen: Screen, cname: bytes = b"") -> None:
        """What may pass; ``cname`` is for CLEAR."""
        self._screen, self._cname = screen, cname
        self._first = _FIRST[screen]

    @property
    def source(self) -> Address | None:
        """Where the party's packets come from, once that is known."""
        return None if self._source is None else (str(self._source[0]), int(self._source[1]))

    def sweep(self) -> bool:
        """To be called each second: whether there were packets since the last time."""
        self._budget = self._limit
        heard = self.packets != self._seen
        self._seen = self.packets
        self._quiet = 0 if heard else self._quiet + 1
        return heard

    def close(self) -> None:
        """Give the port back."""
        udp, self._udp = self._udp, None
        self._peer = None  # or the two would keep each other
        if udp is not None:
            self._loop.remove_reader(udp.fileno())
            udp.close()

    def _readable(self) -> None:
        try:
            for _ in range(MAX_BURST):
                if self._udp is None:
                    return
                data, address = self._udp.recvfrom(MAX_PACKET + 1)
                self._take(data, address)
        except OSError:  # nothing more; or an ICMP error, which is no news
            return

    def _take(self, data: bytes, address: tuple[str | int, ...]) -> None:
        self._budget -= 1
        if (
            self._budget < 0
            or not 0 < len(data) <= MAX_PACKET
            or data[0] not in self._first
            or (address != self._source and not self._latch(address))
        ):
            self.dropped += 1
            return
        if self._screen is Screen.CLEAR and is_rtcp(data):
            rewritten = without_names(data, self._cname)
            if rewritten is None:
                self.dropped += 1
                return
            data = rewritten
        self.packets += 1
        self.octets += len(data)
        if self._peer is not None:
            self._peer._send(data)

    def _latch(self, address: tuple[str | int, ...]) -> bool:
        """Whether packets may come from here now. The signalled address is always right, and then stays."""
        if address[0] not in self._hosts:
            return False
        if self._source is not None and self._quiet < QUIET_SWEEPS and address[:2] != self._target:
            return False
        self._source = address
        self._quiet = 0
        return True

    def _send(self, data: bytes) -> None:
        to = self._source or self._target
        if to is None or self._udp is None:
            return
        try:
            self._udp.sendto(data, to)
        except OSError:  # the queue is full, or the party unreachable: media are lost, as anywhere on the way
            self.dropped += 1
