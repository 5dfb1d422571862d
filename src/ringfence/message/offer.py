"""Offers and answers (RFC 3264), with SDES keys (RFC 4568).

What we can do is a list of ``Capability``, one a stream. This file turns it into descriptions: offers,
answers, and later versions of either, on hold or off. ``negotiation`` reads a pair of descriptions. Keys
and session identifiers are arguments: nothing here is random.

Multicast streams (section 6.2) are rejected: an offer must not make us send to a group. Section numbers
without an RFC are those of RFC 3264.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from ringfence.message.errors import LocalError, PeerError
from ringfence.message.sdp import Attribute, Connection, Media, Origin, Session
from ringfence.message.sdp_attributes import Crypto, Direction, Format

__all__ = [
    "PCMA",
    "PCMU",
    "TELEPHONE_EVENT",
    "Capability",
    "Codec",
    "answer",
    "choose_crypto",
    "hold",
    "make_offer",
    "resume",
    "revised",
]

DYNAMIC = range(96, 128)
"""Payload types that only an rtpmap gives a meaning (RFC 3551 section 3)."""


@dataclass(slots=True, frozen=True)
class Codec:
    """A format that we can send and receive.

    ``payload_type`` is the number that our offers prefer; without one a dynamic type is picked.
    ``parameters`` is the fmtp text of our descriptions; without it an answer repeats that of the offer
    (section 6.1).
    """

    encoding: str
    clock_rate: int = 8000
    channels: int = 1
    payload_type: int | None = None
    parameters: str | None = None

    def matches(self, format: Format) -> bool:
        """The format names this codec."""
        return format.same_codec(Format(0, self.encoding, self.clock_rate, self.channels))


PCMU = Codec("PCMU", payload_type=0)
PCMA = Codec("PCMA", payload_type=8)
TELEPHONE_EVENT = Codec("telephone-event", payload_type=101, parameters="0-16")


@dataclass(slots=True, frozen=True)
class Capability:
    """A stream that we can take part in, and where we receive it."""

    media: str
    host: str
    port: int
    codecs: tuple[Codec, ...]
    protocols: tuple[str, ...] = ("RTP/AVP",)  # the first one is what we offer
    direction: Direction = Direction.SENDRECV
    ptime: int | None = None
    rtcp_port: int | None = None  # None: the port after the RTP port
    rtcp_mux: bool = False  # RTCP may share the RTP port (RFC 5761)
    cryptos: tuple[Crypto, ...] = ()  # suites with our keys, preferred first; needed for RTP/SAVP


# --- writing descriptions


def make_offer(
    capabilities: Sequence[Capability | None], origin: Origin, previous: Session | None = None
) -> Session:
    """An offer of these streams, the i-th capability in the i-th ``m=`` line; None is a stream not wanted.

    With ``previous``, our last description of the dialog, the offer modifies that: streams stay in their
    places, the dropped ones with port zero, payload types keep their meaning, and the version counts up
    when anything changed (section 8).
    """
    host = next((capability.host for capability in capabilities if capability), origin.address)
    session = Session(origin=replace(origin), connection=Connection.to(host))
    for capability, old in zip_longest(capabilities, previous.media if previous else ()):
        if capability is not None:
            session.media.append(_offered(capability, session, old))
        elif old is not None:
            session.media.append(_refusal(old))
        else:
            raise LocalError("a new stream needs a capability")
    return revised(previous, session) if previous else session


def answer(
    offer: Session, capabilities: Iterable[Capability], origin: Origin, previous: Session | None = None
) -> Session:
    """The answer to an offer: each stream goes to the first capability left that fits it, or is rejected.

    Raises:
        PeerError: 488, no stream of the offer is acceptable (section 6.1; RFC 3261 section 21.4.26).
    """
    left = list(capabilities)
    session = Session(
        origin=replace(origin),
        connection=Connection.to(left[0].host if left else origin.address),
        times=[replace(timing) for timing in offer.times],  # section 6: the time is not negotiated
    )
    reasons = []
    for offered in offer.media:
        reason = _unacceptable(offer, offered)
        answered: Media | None = None
        for capability in left if reason is None else ():
            answered, why = _answered(offer, offered, capability, session)
            if answered is not None:
                left.remove(capability)
                break
            reason = reason or why
        if answered is None and not offered.rejected:
            reasons.append(f"{offered.media}: {reason or 'this media type is not available'}")
        session.media.append(answered or _refusal(offered))
    if reasons and all(media.rejected for media in session.media):
        raise PeerError(488, "; ".join(reasons))
    return revised(previous, session) if previous else session


def hold(session: Session) -> Session:
    """Our description with every stream on hold: sendrecv becomes sendonly, recvonly inactive (section
    8.4)."""
    held = session.copy()
    for media in held.media:
        if not media.rejected:
            media.direction = Direction.of(sends=held.direction_of(media).sends, receives=False)
    return revised(session, held)


def resume(held: Session, before: Session | None = None) -> Session:
    """Our description off hold: each stream as in ``before``, else receiving again."""
    resumed = held.copy()
    for index, media in enumerate(resumed.media):
        if media.rejected:
            continue
        if before is not None and index < len(before.media):
            media.direction = before.direction_of(before.media[index])
        else:
            media.direction = Direction.of(sends=held.direction_of(held.media[index]).sends, receives=True)
    return revised(held, resumed)


def revised(previous: Session, session: Session) -> Session:
    """The session under the origin of ``previous``, its version one up when anything differs (section
    8)."""
    session.origin = replace(previous.origin)
    if session != previous:
        session.origin.version += 1
    return session


def _offered(capability: Capability, session: Session, old: Media | None) -> Media:
    media = Media(capability.media, capability.port, capability.protocols[0], [])
    _describe(media, _numbered(capability.codecs, old))
    _place(media, capability, session, capability.direction)
    if capability.rtcp_mux:
        media.add("rtcp-mux")
    if media.secure:
        if not capability.cryptos:
            raise LocalError(f"{media.protocol} needs a key")
        for crypto in capability.cryptos:
            media.add("crypto", crypto)
    return media


def _numbered(codecs: Iterable[Codec], old: Media | None) -> list[Format]:
    """Give each codec a payload type: the one it had, the one it prefers, or a free one (section 8.3.2)."""
    known = old.codecs if old else []
    taken = {format.payload_type for format in known}
    formats = []
    for codec in codecs:
        number = next((format.payload_type for format in known if codec.matches(format)), codec.payload_type)
        if number is None or (number in taken and not any(codec.matches(format) for format in known)):
            number = next((free for free in DYNAMIC if free not in taken), None)
        if number is None:
            raise LocalError("more codecs than dynamic payload types")
        taken.add(number)
        formats.append(Format(number, codec.encoding, codec.clock_rate, codec.channels, codec.parameters))
    return formats


def _describe(media: Media, formats: Iterable[Format]) -> None:
    for format in formats:
        media.formats.append(str(format.payload_type))
        channels = f"/{format.channels}" if format.channels > 1 else ""
        # Static types get a mapping too (section 5.1 asks for it).
        media.add("rtpmap", f"{format.payload_type} {format.encoding}/{format.clock_rate}{channels}")
        if format.parameters is not None:
            media.add("fmtp", f"{format.payload_type} {format.parameters}")


def _place(media: Media, capability: Capability, session: Session, direction: Direction) -> None:
    """Write what both offers and answers say of a stream besides its formats."""
    if session.connection is None or session.connection.host != capability.host:
        media.connections.append(Connection.to(capability.host))
    if capability.ptime is not None:
        media.add("ptime", capability.ptime)
    if capability.rtcp_port is not None and capability.rtcp_port != capability.port + 1:
        media.add("rtcp", capability.rtcp_port)
    if direction is not Direction.SENDRECV:  # the default, which RFC 4317 leaves out
        media.add(direction)


def _refusal(media: Media) -> Media:
    """Port zero and one of the formats, which is all that a refused stream needs (sections 6 and 8.2)."""
    refused = Media(media.media, 0, media.protocol, media.formats[:1])
    prefix = refused.formats[0] + " "
    maps = media.typed("rtpmap", str)
    refused.attributes = [Attribute("rtpmap", value) for value in maps if value.startswith(prefix)]
    return refused


# --- choosing


def _unacceptable(offer: Session, offered: Media) -> str | None:
    """Why this stream can't be accepted whatever we are capable of."""
    connection = offer.connection_of(offered)
    if offered.rejected:
        return "not wanted"
    if connection is None or connection.nettype != "IN" or connection.addrtype not in ("IP4", "IP6"):
        return "no Internet address"
    if connection.multicast:
        return "multicast is not supported"
    return None


def _answered(
    offer: Session, offered: Media, capability: Capability, session: Session
) -> tuple[Media | None, str | None]:
    """The stream as this capability takes it, or why it can't."""
    if capability.media != offered.media:
        return None, None
    if offered.protocol not in capability.protocols:
        return None, f"{offered.protocol} is not supported, {capability.protocols[0]} is"
    formats = _common(offered.codecs, capability.codecs)
    if not formats:
        return None, "no codec in common"
    crypto = choose_crypto(offered.cryptos, capability.cryptos) if offered.secure else None
    if offered.secure and crypto is None:
        return None, "no crypto suite in common"
    media = Media(offered.media, capability.port, offered.protocol, [])
    _describe(media, formats)
    theirs, ours = offer.direction_of(offered), capability.direction
    # Section 6.1: we may do what the offer lets us, never more.
    direction = Direction.of(sends=theirs.receives and ours.sends, receives=theirs.sends and ours.receives)
    _place(media, capability, session, direction)
    if offered.has("rtcp-mux") and capability.rtcp_mux:
        media.add("rtcp-mux")
    if crypto is not None:
        media.add("crypto", crypto)
    return media, None


def _common(offered: Iterable[Format], codecs: Sequence[Codec]) -> list[Format]:
    """The offered formats that we have, in the order and under the numbers of the offer (section 6.1)."""
    formats = list(offered)
    common = []
    for format in formats:
        codec = next((codec for codec in codecs if codec.matches(format)), None)
        if codec is not None:
            common.append(
                format if codec.parameters is None else format._replace(parameters=codec.parameters)
            )
    # Telephone events and comfort noise go with a voice codec: alone they are enough only when offered alone.
    if not any(map(_carries_voice, common)) and any(map(_carries_voice, formats)):
        return []
    return common


def _carries_voice(format: Format) -> bool:
    return format.encoding.lower() not in ("telephone-event", "cn")


def choose_crypto(offered: Iterable[Crypto], ours: Iterable[Crypto]) -> Crypto | None:
    """The first offered suite that we have, under the offered tag with our key (RFC 4568 section 5.1.2).

    Not acceptable is a line with session parameters that we do not implement (section 6.3.7), but those that
    start with "-" and the window hint, which may be ignored; a key whose length is not that of the suite
    (section 6.1); or several keys, as we do not change from one to the next.
    """
    suites = {crypto.suite: crypto for crypto in ours}
    for crypto in offered:
        mine = suites.get(crypto.suite)
        if (
            mine is not None
            and len(crypto.keys) == 1
            and len(crypto.keys[0].material) == len(mine.keys[0].material)
            and all(item.startswith(("-", "WSH=")) for item in crypto.parameters)
        ):
            return Crypto(crypto.tag, mine.suite, mine.keys)
    return None
