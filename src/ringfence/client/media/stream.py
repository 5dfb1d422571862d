"""An audio stream of a call: two UDP ports, a paced sender, a receiver, and RTCP.

Packets leave on a grid of deadlines from the start, so that delays do not add up: a late tick sends what is
due at once, up to a limit, and beyond it lets media time pass. Packets are taken only from the host that was
signalled, at any port, as NAT changes those; under SRTP, which proves who sends, from anywhere. The first
good packet decides the source, and ours go there too (symmetric RTP, RFC 4961).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path

from ringfence.client.media.addresses import Address, checked, sources
from ringfence.client.media.g711 import LAWS
from ringfence.client.media.receiver import Receiver
from ringfence.client.media.reporter import Reporter
from ringfence.client.media.rtcp import interval
from ringfence.client.media.rtp import is_rtcp, pack, unpack
from ringfence.client.media.sender import Playback, Sender
from ringfence.client.media.srtp import Srtp
from ringfence.client.media.statistics import Statistics
from ringfence.client.media.wav import Recorder, read_wav, tone
from ringfence.message import LocalError, PeerError
from ringfence.message.negotiation import Agreed
from ringfence.message.sdp_attributes import Crypto, Direction, Format
from ringfence.transport.ports import bind_pair

__all__ = ["AudioStream", "Statistics"]

CATCH_UP = 10
"""Packets that one late tick may send at once, 200 ms: more would overrun the jitter buffer of the peer."""
RELATCH = 2.0
"""Seconds of silence after which another port of the same host is taken: its NAT may have changed the mapping."""
PACKET_TIMES = range(10, 61, 10)
"""Packet times that we send when asked, in ms; else 20, the default of G.711 (RFC 3551 section 4.2)."""


class _Port(asyncio.DatagramProtocol):
    """One socket; errors that the network reports for a datagram are not errors of the stream."""

    def __init__(self, receive: Callable[[bytes, Address], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        self._receive(data, (str(addr[0]), int(addr[1])))


class AudioStream:
    """One audio stream. ``start``, then ``set_remote`` or ``apply``; ``close`` at the end.

    ``token`` gives random bytes; SSRC, first sequence number, first timestamp and CNAME come from it.
    """

    def __init__(self, token: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self.host = ""
        self.port = self.rtcp_port = 0
        self.failure: LocalError | None = None  # why sending has stopped by itself
        self._sender = Sender(token)
        self._receiver = Receiver()
        self._token = token
        # Unlinkable between calls, as RFC 7022 section 4.2 asks: 96 random bits.
        self._reporter = Reporter(token(12).hex())
        self._direction = Direction.INACTIVE
        self._held = False
        self._mux = False
        self._remote: Address | None = None
        self._remote_rtcp: Address | None = None
        self._latched: Address | None = None
        self._hosts: frozenset[str] = frozenset()  # where the peer's packets may come from
        self._keys: tuple[Crypto | None, Crypto | None] = (None, None)
        self._protect: Srtp | None = None
        self._unprotect: Srtp | None = None
        self._heard: float | None = None
        self._dropped = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._rtcp_timer: asyncio.TimerHandle | None = None

    # --- life

    async def start(self, local_host: str = "127.0.0.1", ports: range | None = None) -> None:
        """Bind an RTP and an RTCP port at this address, from this range or where the kernel likes.

        Raises:
            LocalError: No pair of ports is free, or the address is not ours.
        """
        self._loop = asyncio.get_running_loop()
        rtp_socket, rtcp_socket = bind_pair(local_host, ports)
        self.host, self.port = rtp_socket.getsockname()[:2]
        self.rtcp_port = rtcp_socket.getsockname()[1]
        self._rtp, _ = await self._loop.create_datagram_endpoint(
            lambda: _Port(self._rtp_received), sock=rtp_socket
        )
        self._rtcp, _ = await self._loop.create_datagram_endpoint(
            lambda: _Port(self._rtcp_received), sock=rtcp_socket
        )
        self._due = self._loop.time()
        self._tick()
        self._schedule_report(first=True)

    async def close(self) -> None:
        """Say goodbye, close the ports, complete the recording. What still plays ends with LocalError.

        Raises:
            LocalError: The recording could not be completed.
        """
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        if self._rtcp_timer is not None:
            self._rtcp_timer.cancel()
        self._send_rtcp(bye=True)
        self._rtp.close()
        self._rtcp.close()
        for playback in self._sender.queue:
            if not playback.done.done():
                playback.done.set_exception(LocalError("the stream is closed"))
        self._sender.queue.clear()
        self._receiver.flush()
        await asyncio.sleep(0)  # the transports close on the next turn of the loop
        self.stop_recording()

    async def __aenter__(self) -> AudioStream:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- what was agreed

    async def apply(self, agreed: Agreed, also: Iterable[str] = ()) -> None:
        """Follow an agreement of offer and answer, as ``set_remote`` does; a host that is a name is looked up.

        Raises:
            PeerError: 488, we have none of the formats, or no suite of the keys.
            LocalError: The name has no address.
        """
        self.set_remote(
            await self._resolved(agreed.remote),
            agreed.send,
            agreed.receive,
            remote_rtcp=await self._resolved(agreed.remote_rtcp),
            direction=agreed.direction,
            ptime=agreed.ptime,
            rtcp_mux=agreed.rtcp_mux,
            local_crypto=agreed.local_crypto,
            remote_crypto=agreed.remote_crypto,
            also=also,
        )

    def set_remote(
        self,
        remote: Address | None,
        send: Sequence[Format],
        receive: Sequence[Format] | None = None,
        *,
        remote_rtcp: Address | None = None,
        direction: Direction = Direction.SENDRECV,
        ptime: int | None = None,
        rtcp_mux: bool = False,
        local_crypto: Crypto | None = None,
        remote_crypto: Crypto | None = None,
        also: Iterable[str] = (),
    ) -> None:
        """Send to this address in the first format of ``send`` that we have, and take those of ``receive``.

        ``remote`` None sends nothing. ``receive`` is ``send`` unless given, ``remote_rtcp`` the next port.
        ``also`` are hosts that the peer's packets may come from as well, such as where its SIP messages come
        from. May be called again at any time.

        Raises:
            PeerError: 488, we have none of the formats, no suite of the keys, or the address is a group's.
        """
        receive = send if receive is None else receive
        audio = next((format for format in send if format.encoding.lower() in LAWS), None)
        events = [format for format in send if format.encoding.lower() == "telephone-event"]
        if audio is None:
            raise PeerError(488, "the peer takes neither PCMU nor PCMA")
        remote = checked(remote)
        self._set_keys(local_crypto, remote_crypto)
        milliseconds = ptime if ptime is not None and ptime in PACKET_TIMES else 20
        event_type = events[0].payload_type if events else None
        self._sender.configure(LAWS[audio.encoding.lower()], audio.payload_type, event_type, 8 * milliseconds)
        self._receiver.configure(
            {
                item.payload_type: LAWS[item.encoding.lower()]
                for item in receive
                if item.encoding.lower() in LAWS
            },
            frozenset(item.payload_type for item in receive if item.encoding.lower() == "telephone-event"),
        )
        if remote != self._remote:
            self._latched = None
        self._remote, self._mux, self._direction = remote, rtcp_mux, direction
        self._hosts = sources(remote, also)
        beside = (remote[0], remote[1] + 1) if remote and remote[1] < 65_535 else None
        self._remote_rtcp = remote if rtcp_mux else checked(remote_rtcp) or beside

    def _set_keys(self, local: Crypto | None, remote: Crypto | None) -> None:
        if (local is None) != (remote is None):
            raise PeerError(488, "SRTP needs a key of each side")
        # An unchanged key keeps its counters: starting them again would use the key stream twice.
        protect = self._protect if local == self._keys[0] else Srtp(local) if local else None
        unprotect = self._unprotect if remote == self._keys[1] else Srtp(remote) if remote else None
        self._keys, self._protect, self._unprotect = (local, remote), protect, unprotect

    async def _resolved(self, address: Address | None) -> Address | None:
        if address is None:
            return None
        host, port = address
        try:
            ip_address(host)
        except ValueError:
            try:
                found = await self._loop.getaddrinfo(
                    host, port, family=self._rtp.get_extra_info("socket").family
                )
            except OSError as error:
                raise LocalError(f"no address for the media host {host}: {error.strerror}") from error
            host = str(found[0][4][0])
        return host, port

    # --- what the user does

    async def send_file(self, path: str | Path) -> None:
        """Play a WAV file to the peer; returns when its last packet has gone out.

        Raises:
            LocalError: It can't be read, or the stream was closed before the end.
        """
        await self.send_audio(await asyncio.to_thread(read_wav, path))

    async def send_tone(self, frequency: float, seconds: float) -> None:
        """Play a sine to the peer; returns when its last packet has gone out."""
        await self.send_audio(tone(frequency, seconds))

    async def send_audio(self, pcm: bytes) -> None:
        """Play linear audio (see ``wav``) to the peer; returns when its last packet has gone out."""
        if self._timer is None:
            raise LocalError("the stream is not open")
        playback = Playback(pcm, self._loop.create_future())
        self._sender.queue.append(playback)
        try:
            await playback.done
        finally:
            if playback in self._sender.queue:
                self._sender.queue.remove(playback)

    def press(self, keys: str) -> None:
        """Send key presses as telephone events (RFC 4733). Raises LocalError when the peer takes none."""
        self._sender.press(keys)

    async def next_key(self) -> str:
        """The next key that the peer pressed, in order."""
        return await self._receiver.keys.get()

    def record_to(self, path: str | Path) -> None:
        """Write what is heard from now on to a WAV file. Raises LocalError when that can't be written."""
        self.stop_recording()
        self._receiver.recorder = Recorder(path)

    def stop_recording(self) -> None:
        """Complete the recording. Raises LocalError when that fails."""
        recorder, self._receiver.recorder = self._receiver.recorder, None
        if recorder is not None:
            recorder.close()

    def hold(self, held: bool = True) -> None:
        """Send nothing for the time being (or again, with False). What plays waits; RTCP goes on."""
        self._held = held

    @property
    def stats(self) -> Statistics:
        """Counts so far."""
        heard = None if self._heard is None else self._loop.time() - self._heard
        sender, receiver = self._sender, self._receiver
        return Statistics(
            sent=sender.packets,
            received=receiver.received,
            lost=receiver.lost,
            late=receiver.late,
            dropped=self._dropped,
            octets_sent=sender.octets,
            octets_received=receiver.octets,
            jitter=receiver.jitter,
            round_trip=self._reporter.round_trip,
            peer_lost=self._reporter.peer_lost,
            silent_for=heard,
        )

    # --- RTP out

    def _tick(self) -> None:
        now = self._loop.time()
        sent = 0
        while self._due <= now:
            period = self._sender.samples / 8000
            if sent == CATCH_UP:
                missed = int((now - self._due) / period) + 1
                self._sender.skip(missed)
                self._due += missed * period
                break
            self._send_next()
            self._due += period
            sent += 1
        self._timer = self._loop.call_at(self._due, self._tick)

    def _send_next(self) -> None:
        target = self._latched or self._remote
        if target is None or self._held or not self._direction.sends or self.failure is not None:
            self._sender.skip()
            return
        packet = self._sender.tick()
        if packet is not None:
            data = pack(packet)
            try:
                self._rtp.sendto(self._protect.protect(data) if self._protect else data, target)
            except LocalError as error:
                self.failure = error

    # --- RTP in

    def _rtp_received(self, data: bytes, address: Address) -> None:
        if is_rtcp(data):
            if self._mux:
                self._rtcp_received(data, address)
            return
        now = self._loop.time()
        if address != self._latched and not self._may_latch(address, now):
            self._dropped += 1
            return
        plain = self._unprotect.unprotect(data) if self._unprotect else data
        packet = unpack(plain) if plain is not None else None
        if packet is None or not self._receiver.takes(packet):
            self._dropped += 1
            return
        self._latched, self._heard = address, now
        if self._direction.receives:
            self._receiver.receive(packet, now)

    def _may_latch(self, address: Address, now: float) -> bool:
        # SRTP proves who sends, so it may come from anywhere.
        if self._remote is None or (self._unprotect is None and address[0] not in self._hosts):
            return False
        return self._latched is None or self._heard is None or now - self._heard > RELATCH

    # --- RTCP

    def _schedule_report(self, first: bool = False) -> None:
        random = int.from_bytes(self._token(4), "big") / 2**32
        self._rtcp_timer = self._loop.call_later(interval(random, first), self._report)

    def _report(self) -> None:
        self._send_rtcp()
        self._schedule_report()

    def _send_rtcp(self, bye: bool = False) -> None:
        target = (self._latched or self._remote) if self._mux else self._remote_rtcp
        if target is None or self.failure is not None:
            return
        data = self._reporter.report(self._sender, self._receiver, self._loop.time(), time.time(), bye)
        try:
            data = self._protect.protect_rtcp(data) if self._protect else data
        except LocalError as error:
            self.failure = error
            return
        (self._rtp if self._mux else self._rtcp).sendto(data, target)

    def _rtcp_received(self, data: bytes, address: Address) -> None:
        plain: bytes | None = None
        if self._unprotect is not None:
            plain = self._unprotect.unprotect_rtcp(data)
        elif address[0] in self._hosts or (self._remote_rtcp and address[0] == self._remote_rtcp[0]):
            plain = data
        ssrc = self._sender.ssrc
        if plain is None or not self._reporter.receive(plain, ssrc, self._loop.time(), time.time()):
            self._dropped += 1
