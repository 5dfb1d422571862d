"""SIP over UDP: one socket, and a light flow object for each peer that it has heard of.

The loop says when there is something to read; reading and sending go straight to the socket, so that there is
no queue of ours to fill. When the kernel's queue is full a datagram is dropped, as any router on the way may
do, and the transaction sends it again. ICMP errors are read from the socket's error queue, which names the
peer that they are about; otherwise the kernel would tell them on a send to somebody else (RFC 3261 section
18.4).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import struct
import sys

from ringfence.transport import stun
from ringfence.transport.datagrams import Address, Send, open_datagrams, packed, unpacked
from ringfence.transport.flow import Endpoint, Flow, PeerCertificate, Upward
from ringfence.transport.pace import Pace
from ringfence.transport.pings import Pings
from ringfence.transport.sieve import Instruction, attach
from ringfence.transport.sockets import bound_socket

SOCKET_BUFFER = 4_194_304
"""Bytes of the kernel's receive and send queues: half a second of 10,000 messages a second."""

MAX_FLOWS = 16_384
"""Flow objects kept for reuse. Forged source addresses could make any number, so all are forgotten when it is
full: they are cheap to make again, and whoever still holds one goes on using it."""

DATAGRAM_MEMORY = 1_024
"""Bytes that the kernel counts for a datagram of a few hundred bytes that waits."""

MAX_ERRORS = 64
"""ICMP errors read at one go."""

_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO_SIZE = 36
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_MSG_ERRQUEUE = 0x2000
# RFC 3261 section 18.4: unreachables (but not "fragmentation needed") and parameter problems are told,
# source quench and time exceeded are not. (origin in the error queue, ICMP type): ICMP is 2, ICMPv6 is 3.
_FATAL = frozenset({(2, 3), (2, 12), (3, 1), (3, 4)})
_FRAGMENTATION_NEEDED = (2, 3, 4)


class UdpFlow(Flow):
    """A peer of a UDP socket. Two objects with the same ``key`` are the same flow."""

    __slots__ = ("_address", "_listener", "closed", "local", "remote", "send")

    transport = "UDP"
    reliable = False
    secure = False
    peer: PeerCertificate | None = None
    user: object | None = None
    closed: bool
    send: Send  # type: ignore[assignment]
    """Send one datagram; ``UdpListener.send_failed`` hears of it when that can't be."""

    def __init__(self, listener: UdpListener, address: Address, remote: Endpoint) -> None:
        self._listener = listener
        self._address = address
        # Plain attributes, both: every message asks for them.
        self.send = listener.ways.get(remote) or listener.datagrams.way(packed(address))
        self.closed = listener.closed
        self.local = listener.local
        self.remote = remote

    @property
    def key(self) -> str:
        """The same after a restart too, as long as the addresses are."""
        return f"UDP,{self.local},{self.remote}"

    def close(self, reason: str) -> None:
        """Nothing: the socket serves other flows."""

    def ping(self) -> None:
        """Ask the peer for a sign of life by STUN (RFC 5626 section 4.4.2)."""
        self._listener.pings.ping(self)

    def toward(self, remote: Endpoint) -> UdpFlow:
        """The flow from the same socket to another address."""
        return self._listener.flow_to((*remote, *self._address[2:]))


class UdpListener:
    """A bound UDP socket, read by the loop that runs when it is made."""

    __slots__ = (
        "_flows",
        "_loop",
        "_pace",
        "_ready",
        "_received",
        "_socket",
        "_taken",
        "_upward",
        "closed",
        "datagrams",
        "dropped",
        "local",
        "pings",
        "ways",
    )

    transport = "UDP"

    def __init__(self, sock: socket.socket, upward: Upward, pace: Pace) -> None:
        self._socket = sock
        self._pace = pace
        self._upward = upward
        self._received = upward.received
        self._taken = 0
        self._flows: dict[Address | bytes, UdpFlow] = {}
        """By (host, port), and by the octets of the address that datagrams come with."""
        self.ways: dict[Endpoint, Send] = {}
        """Peers that are answered from another socket, at another port of theirs (3GPP TS 33.203 section 7.1)."""
        self.pings = Pings(upward.closed)
        self.datagrams = open_datagrams(sock, self.send_failed)
        self.local = Endpoint(*sock.getsockname()[:2])
        self.closed = False
        self.dropped = 0
        """Datagrams not sent since the kernel's queue was full, and received ones that were not SIP."""
        self._loop = asyncio.get_running_loop()
        self._ready: select.epoll | socket.socket = sock
        if sys.platform == "linux":
            # The loop gets an epoll around the socket, not the socket: libuv reads the error queue by itself
            # when it sees one, and libuv 1.52 takes the error for a length of 4 GB then and dies.
            self._ready = select.epoll()
            self._ready.register(sock.fileno(), select.EPOLLIN)
        self._loop.add_reader(self._ready.fileno(), self._readable)

    def _readable(self) -> None:
        """Read what is there; what it causes to be sent leaves together, when all of it has been dealt with."""
        try:
            found = self.datagrams.receive()
        except OSError:
            self._read_errors()
            return
        if not found:
            self._read_errors()
            return
        self._taken += len(found)
        self.datagrams.hold()
        try:
            self.datagrams.hand_up(found, self._flows, self._met, self._received, self._not_sip)
        finally:
            self.datagrams.release()
        self._pace.took(len(found))

    def _met(self, address: bytes) -> UdpFlow:
        flow = self.flow_to(unpacked(address))
        self._flows[address] = flow
        return flow

    def _new_flow(self, address: Address) -> UdpFlow:
        if len(self._flows) >= MAX_FLOWS:
            self._flows.clear()
        # An IPv6 address comes with a flow label and a scope, and is asked for without: both find the flow.
        endpoint = Endpoint(address[0], address[1])
        flow = self._flows.get(endpoint) or UdpFlow(self, address, endpoint)
        self._flows[endpoint] = flow
        return flow

    def _not_sip(self, data: bytes, flow: UdpFlow) -> None:
        if data[:1] in {b"\0", b"\1"}:  # RFC 5626 section 8: the first octet tells STUN from SIP
            response = stun.answer(data, flow.remote.host, flow.remote.port)
            if response is not None:
                flow.send(response)
                return
            if self.pings.receive(data, flow.remote):
                return
        rest = data.lstrip(b"\r\n")
        if rest and data[0] > 1 and (0x20 <= rest[0] < 0x7F or b" SIP/2.0\r\n" in rest):
            # CRLF before the start line (RFC 3261 section 7.5), or a method that is none: who wrote it is told.
            self._received(rest if data[0] == 0x0D else data, flow)
        else:
            self.dropped += 1  # empty, a keepalive of CRLF or NUL, or another protocol

    def flow_to(self, address: Address) -> UdpFlow:
        """The flow to this peer."""
        return self._flows.get(address[:2]) or self._new_flow(address)

    def answer_by(self, remote: Endpoint, other: UdpListener, at: Endpoint) -> None:
        """From now on, send what is for ``remote`` by the socket of ``other``, to ``at``."""
        self.ways[remote] = other.datagrams.way(packed(at))
        self._drop(remote)

    def forget(self, remote: Endpoint) -> None:
        """The end of ``answer_by``."""
        self.ways.pop(remote, None)
        self._drop(remote)

    def _drop(self, remote: Endpoint) -> None:
        """Have the flow to a peer made anew."""
        flow = self._flows.pop(remote, None)
        for address in [each for each, known in self._flows.items() if known is flow]:
            del self._flows[address]

    def send_failed(self, data: bytes, address: bytes, error: OSError) -> None:
        """Tell a real failure later; pass over a full queue, and an ICMP error about somebody else."""
        if self.closed or isinstance(error, BlockingIOError):
            self.dropped += 1
            return
        self._read_errors()
        try:
            self.datagrams.send(data, address)
        except BlockingIOError:
            self.dropped += 1
        except OSError as again:
            self._tell(self.flow_to(unpacked(address)), f"sending failed: {again.strerror}")

    def _read_errors(self) -> None:
        for _ in range(MAX_ERRORS):
            try:
                _, control, _, address = self._socket.recvmsg(1, 512, _MSG_ERRQUEUE | socket.MSG_DONTWAIT)
            except OSError:
                return
            for _, _, value in control:
                reason = _fatal(value)
                flow = self._flows.get(Endpoint(*address[:2]))
                if reason is not None and flow is not None:
                    self._tell(flow, reason)

    def _tell(self, flow: UdpFlow, reason: str) -> None:
        self._loop.call_soon(self._upward.closed, flow, reason)

    @property
    def ipv6(self) -> bool:
        """Whether it is for IPv6; else for IPv4."""
        return self._socket.family == socket.AF_INET6

    def sieve(self, code: list[Instruction] | None) -> None:
        """Have the kernel let in what this program passes; None: everything. Raises OSError."""
        if not self.closed:
            attach(self._socket, code)

    def lateness(self, seconds: float) -> float:
        """How many seconds a datagram that comes now will wait in the kernel's queue, by what was read lately.

        ``seconds`` is how long ago this was last asked.
        """
        taken, self._taken = self._taken, 0
        if self.closed or sys.platform != "linux":
            return 0.0
        memory = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_SIZE)
        queued = struct.unpack_from("=I", memory)[0] / DATAGRAM_MEMORY
        return float(queued * seconds / max(taken, 1))

    def close(self) -> None:
        """Stop receiving and sending."""
        if not self.closed:
            self.closed = True
            self.pings.stop()
            self._loop.remove_reader(self._ready.fileno())
            self._ready.close()
            for flow in self._flows.values():
                flow.closed = True
            self._socket.close()


def _fatal(value: bytes) -> str | None:
    """What a struct sock_extended_err says, if RFC 3261 section 18.4 wants the transport user to hear it."""
    if len(value) < 16:
        return None
    errno, origin, kind, code = struct.unpack_from("=IBBB", value)
    if (origin, kind) not in _FATAL or (origin, kind, code) == _FRAGMENTATION_NEEDED:
        return None
    return f"the network reports: {os.strerror(errno)}"


def open_udp(host: str, port: int, upward: Upward, pace: Pace, *, reuse_port: bool = False) -> UdpListener:
    """Bind a UDP socket and receive from it.

    Raises:
        OSError: when the address cannot be bound.
    """
    sock = bound_socket(socket.SOCK_DGRAM, host, port, reuse_port=reuse_port)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):  # root may pass the kernel's own limit, often 200 KiB
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, SOCKET_BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, SOCKET_BUFFER)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    return UdpListener(sock, upward, pace)
