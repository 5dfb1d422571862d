"""The audio of one call: what we offer, what was agreed, and the stream that follows it.

Offers and answers are made by ``message.offer`` and kept in order by ``message.negotiation``; RTP is
``client.media``. What is here joins them, and decides on encryption: SRTP with keys in the SDP (RFC 4568) is
only worth something where TLS hides the SDP.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ringfence.client.media import SUITES, AudioStream, new_crypto
from ringfence.client.media.wav import read_wav
from ringfence.message import LocalError, PeerError
from ringfence.message.negotiation import Agreed, Negotiation, agreed
from ringfence.message.offer import (
    PCMA,
    PCMU,
    TELEPHONE_EVENT,
    Capability,
    Codec,
    answer,
    hold,
    make_offer,
    resume,
)
from ringfence.message.sdp import Origin
from ringfence.message.sdp import Session as Description
from ringfence.message.sdp_attributes import Crypto, Direction

PLAIN, SECURE = "RTP/AVP", "RTP/SAVP"
OFFERED_SUITES = ("AES_256_CM_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
"""Best first; the second is the one that RFC 4568 section 6.2.1 makes everybody have."""


class Encryption(StrEnum):
    """Whether the audio is encrypted (SRTP)."""

    OFF = "off"
    OPTIONAL = "optional"
    """Where the peer can; what was agreed is in ``Session.encrypted``."""
    REQUIRED = "required"
    """Or there is no call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What the user wants of the audio of a call."""

    play: str | Path | None = None
    """A WAV file to play once the call is answered; silence before, after and without."""
    record: str | Path | None = None
    """A WAV file to write what is heard to."""
    repeat: bool = False
    """Whether the file is played again and again."""
    codecs: tuple[Codec, ...] = (PCMU, PCMA)
    encryption: Encryption | None = None
    """None: required for ``sips:`` calls, optional for others."""
    ports: range | None = None
    """Which UDP ports may be used; None: any."""

    def again(self) -> Media:
        """The same for the call that takes the place of this one, with a recording of its own."""
        if self.record is None:
            return self
        path = Path(self.record)
        return replace(self, record=path.with_stem(f"{path.stem}-2"))


SILENCE = Media()


class Session:
    """The audio of one call, from the first offer to the end."""

    def __init__(
        self, media: Media, token: Callable[[], str], encryption: Encryption | None = None, *, sips: bool
    ) -> None:
        self.media = media
        self.audio = AudioStream()
        self.negotiation = Negotiation()
        self.agreed: Agreed | None = None
        """What holds at the moment; None before the first answer."""
        default = Encryption.REQUIRED if sips else Encryption.OPTIONAL
        self.encryption = media.encryption or encryption or default
        self._origin = Origin("-", int(token()[:15], 16), 1, "")
        self._cryptos: tuple[Crypto, ...] = ()
        self._order = asyncio.Lock()
        self._sound = b""  # of the file to play, linear
        self._playing: asyncio.Task[None] | None = None
        self._open = False
        self._started = False
        self.holding = False
        """Whether we have put the peer on hold."""
        self._then = False  # the same once the offer that is under way is answered

    # -- life ------------------------------------------------------------------------------------------

    async def open(self, host: str) -> None:
        """Take media ports at our address, and read what is to be played.

        Raises:
            LocalError: when there are none, or the file can't be read.
        """
        if not self._open:
            if self.media.play is not None:
                self._sound = await asyncio.to_thread(read_wav, self.media.play)
            await self.audio.start(host, self.media.ports)
            self._open = True
            self._origin.address, self._origin.addrtype = host, "IP6" if ":" in host else "IP4"
            self._cryptos = tuple(new_crypto(tag, suite) for tag, suite in enumerate(OFFERED_SUITES, 1))

    async def close(self) -> None:
        """Stop playing, complete the recording, close the ports. Raises LocalError when the recording can't be."""
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.gather(self._playing, return_exceptions=True)
        if self._open:
            self._open = False
            await self.audio.close()

    def start(self) -> None:
        """The call is answered: play and record what was asked for. Raises LocalError when a file can't be written."""
        if self._started or not self._open:
            return
        self._started = True
        if self.media.record is not None:
            self.audio.record_to(self.media.record)
        if self.media.play is not None:
            self._playing = asyncio.get_running_loop().create_task(self._play())

    async def _play(self) -> None:
        with contextlib.suppress(LocalError):  # the call ended first
            await self.audio.send_audio(self._sound)
            while self.media.repeat and self._sound:
                await self.audio.send_audio(self._sound)

    @property
    def played(self) -> asyncio.Task[None] | None:
        """Ends when the file has been played."""
        return self._playing

    # -- what we are capable of ------------------------------------------------------------------------

    def _capability(self, host: str, port: int, protocols: tuple[str, ...]) -> Capability:
        rtcp = self.audio.rtcp_port or None
        return Capability(
            "audio",
            host,
            port,
            (*self.media.codecs, TELEPHONE_EVENT),
            protocols,
            ptime=20,
            rtcp_port=rtcp,
            rtcp_mux=True,
            cryptos=self._cryptos if SECURE in protocols else (),
        )

    def _accepted(self) -> tuple[str, ...]:
        if self.encryption is Encryption.OFF:
            return (PLAIN,)
        return (SECURE,) if self.encryption is Encryption.REQUIRED else (SECURE, PLAIN)

    def acceptable(self, offer: Description) -> None:
        """Find out whether an offer can be answered, before anybody is asked.

        Raises:
            PeerError: 488 with the reason.
        """
        cryptos = tuple(new_crypto(tag, suite) for tag, suite in enumerate(SUITES, 1))
        trial = replace(self._capability("127.0.0.1", 9, self._accepted()), cryptos=cryptos)
        answer(offer, [trial], Origin("-", 1, 1, "127.0.0.1"))

    # -- offers and answers ----------------------------------------------------------------------------

    def offer(self, *, encrypted: bool) -> bytes:
        """Our first offer, encrypted or not: SDP has no way to leave that open that phones understand."""
        capability = self._capability(self.audio.host, self.audio.port, (SECURE if encrypted else PLAIN,))
        description = make_offer([capability], self._origin)
        self.negotiation.abandon()
        self.negotiation.send_offer(description)
        return description.to_bytes()

    def offer_again(self) -> bytes:
        """What is in force, as an offer: a refresh (RFC 4028 section 7.4), or what a re-INVITE without SDP gets."""
        return self._reoffer(self._in_force(), self.holding)

    def offer_hold(self) -> bytes:
        """An offer that puts the peer on hold (RFC 3264 section 8.4)."""
        return self._reoffer(hold(self._in_force()), True)

    def offer_resume(self) -> bytes:
        """An offer that ends our hold."""
        wanted = self._in_force().copy()
        for media in wanted.media:
            media.direction = Direction.SENDRECV  # whatever the peer's own hold made of it meanwhile
        return self._reoffer(resume(self._in_force(), wanted), False)

    def _reoffer(self, description: Description, holding: bool) -> bytes:
        self.negotiation.send_offer(description)
        self._then = holding
        return description.to_bytes()

    def abandon(self) -> None:
        """The offer that is under way was not accepted; nothing changes. Nothing happens when there is none."""
        self.negotiation.abandon()
        self._then = self.holding

    def _in_force(self) -> Description:
        if self.negotiation.local is None:
            raise LocalError("the call has no session yet")
        return self.negotiation.local

    async def preview(self, description: Description) -> None:
        """Hear what comes before the call is answered: the answer may still change, or another fork answer.

        Raises:
            PeerError: 488 when it is no answer to our offer.
        """
        offered = self.negotiation.pending
        if offered is not None:
            await self._follow(agreed(offered, description))

    async def receive_answer(self, description: Description) -> None:
        """The peer answered our offer.

        Raises:
            PeerError: 488 when it is no answer to it, or has no audio.
        """
        streams = self.negotiation.receive_answer(description)
        self.holding = self._then
        await self._follow(streams)

    async def receive_offer(self, offer: Description) -> bytes:
        """The peer offers, first or again; gives our answer.

        Raises:
            PeerError: 488 when nothing in it suits us, 491 or 500 when another offer is under way.
        """
        self.negotiation.receive_offer(offer)
        try:
            direction = self._wanted_direction()
            capability = self._capability(self.audio.host, self.audio.port, self._accepted())
            description = answer(
                offer, [replace(capability, direction=direction)], self._origin, self.negotiation.local
            )
        except PeerError:
            self.negotiation.abandon()
            raise
        await self._follow(self.negotiation.send_answer(description))
        return description.to_bytes()

    def _wanted_direction(self) -> Direction:
        """While we hold, an offer of the peer does not end that."""
        return Direction.SENDONLY if self.holding else Direction.SENDRECV

    async def _follow(self, streams: list[Agreed | None]) -> None:
        stream = next((item for item in streams if item is not None and item.media == "audio"), None)
        if stream is None:
            if self.agreed is None:
                raise PeerError(488, "the peer takes no audio")
            self.audio.hold()  # the peer took the stream out of the call (RFC 3264 section 8.2)
            return
        if self.encryption is Encryption.REQUIRED and stream.local_crypto is None:
            raise PeerError(488, "the peer does not encrypt its audio")
        async with self._order:
            try:
                await self.audio.apply(stream)
            except LocalError as error:  # the host of its media can't be found
                raise PeerError(488, str(error)) from None
            self.agreed = stream
            self.audio.hold(self.holding)

    # -- what holds now --------------------------------------------------------------------------------

    @property
    def encrypted(self) -> bool:
        """Whether the audio is encrypted now."""
        return self.agreed is not None and self.agreed.local_crypto is not None

    @property
    def held(self) -> bool:
        """Whether the peer has put us on hold: it does not want to hear us."""
        remote = self.negotiation.remote
        if remote is None:
            return False
        for media in remote.media:
            if media.media == "audio" and not media.rejected:
                return not remote.direction_of(media).receives or remote.address_of(media) is None
        return False
