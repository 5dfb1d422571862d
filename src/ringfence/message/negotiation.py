"""Two descriptions become one agreement: the offer/answer state of a dialog (RFC 3264).

``agreed`` reads our description and the peer's, whoever offered, and says stream by stream where to send,
with which payload types, in which direction and under which keys. ``Negotiation`` keeps the pair over the
life of a dialog and refuses what section 4 forbids. An exchange is atomic: until the answer is there, and
after a rejection, the previous pair stands.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.message.errors import LocalError, PeerError
from ringfence.message.sdp import Media, Session
from ringfence.message.sdp_attributes import Crypto, Direction, Format

__all__ = ["Agreed", "Negotiation", "agreed", "check_answer"]


@dataclass(slots=True, frozen=True)
class Agreed:
    """What both sides of one stream may do, from our side."""

    media: str
    protocol: str
    direction: Direction
    send: tuple[Format, ...]  # payload types of the peer's description, preferred first
    receive: tuple[Format, ...]  # payload types of ours
    remote: tuple[str, int] | None  # None: the peer asked that nothing be sent (0.0.0.0)
    remote_rtcp: tuple[str, int] | None
    ptime: int | None  # what the peer would like to receive, in ms
    rtcp_mux: bool  # RTCP shares the RTP port, both ways (RFC 5761)
    local_crypto: Crypto | None  # we send under this
    remote_crypto: Crypto | None  # the peer sends under this


def agreed(local: Session, remote: Session) -> list[Agreed | None]:
    """The agreement of two descriptions, one item an ``m=`` line; None where the stream is rejected.

    Raises:
        PeerError: 488, a secure stream was accepted without a key of an offered suite (RFC 4568 section
        5.1.3).
    """
    return [
        _stream(local, ours, remote, theirs) for ours, theirs in zip(local.media, remote.media, strict=False)
    ]


def _stream(local: Session, ours: Media, remote: Session, theirs: Media) -> Agreed | None:
    if ours.rejected or theirs.rejected:
        return None
    mine, yours = local.direction_of(ours), remote.direction_of(theirs)
    receive = ours.codecs
    mux = ours.has("rtcp-mux") and theirs.has("rtcp-mux")
    address = remote.address_of(theirs)
    local_crypto, remote_crypto = _keys(ours, theirs) if ours.secure else (None, None)
    return Agreed(
        media=ours.media,
        protocol=ours.protocol,
        direction=Direction.of(sends=mine.sends and yours.receives, receives=mine.receives and yours.sends),
        # Section 6.1: the peer's payload types, for codecs that both list.
        send=tuple(format for format in theirs.codecs if any(map(format.same_codec, receive))),
        receive=tuple(receive),
        remote=address,
        remote_rtcp=address if mux else remote.rtcp_address_of(theirs),
        ptime=theirs.ptime,
        rtcp_mux=mux,
        local_crypto=local_crypto,
        remote_crypto=remote_crypto,
    )


def _keys(ours: Media, theirs: Media) -> tuple[Crypto, Crypto]:
    """The pair with one tag and one suite: the answer holds exactly one line (RFC 4568 section 5.1.2)."""
    pairs = [
        (mine, yours)
        for mine in ours.cryptos
        for yours in theirs.cryptos
        if (mine.tag, mine.suite) == (yours.tag, yours.suite)
    ]
    if len(pairs) != 1:
        raise PeerError(488, f"{theirs.media}: the answer takes none of the offered crypto suites")
    mine, yours = pairs[0]
    # RFC 4568 section 7.1.2: one key for both directions would encrypt two streams with one key stream.
    if {key.material for key in mine.keys} & {key.material for key in yours.keys}:
        raise PeerError(488, f"{theirs.media}: both sides use the same SRTP key")
    return mine, yours


def check_answer(offer: Session, answer: Session) -> list[str]:
    """Why this is no answer to that offer (sections 6 and 6.1); empty when it is one."""
    if len(answer.media) != len(offer.media):
        return [f"the answer has {len(answer.media)} streams, the offer {len(offer.media)}"]
    reasons = []
    for number, (offered, answered) in enumerate(zip(offer.media, answer.media, strict=True), 1):
        if answered.rejected:
            continue
        if offered.rejected:
            reasons.append(f"stream {number} has a port, the offer has none")
        if answered.media != offered.media:
            reasons.append(f"stream {number} is {answered.media}, the offer has {offered.media}")
        if answered.protocol != offered.protocol:
            reasons.append(f"stream {number} is {answered.protocol}, the offer has {offered.protocol}")
        if offered.codecs and not any(a.same_codec(b) for a in answered.codecs for b in offered.codecs):
            reasons.append(f"stream {number} has no format of the offer")
    return reasons


class Negotiation:
    """The offers and answers of one dialog.

    ``local`` and ``remote`` are the pair in force, None before the first exchange is complete.
    """

    __slots__ = ("_received", "_sent", "local", "remote")

    def __init__(self) -> None:
        self.local: Session | None = None
        self.remote: Session | None = None
        self._sent: Session | None = None  # our offer that waits for an answer
        self._received: Session | None = None  # the peer's offer that waits for ours

    @property
    def complete(self) -> bool:
        """There is a pair in force and no offer waits."""
        return self.local is not None and self._sent is None and self._received is None

    @property
    def pending(self) -> Session | None:
        """The offer that waits for an answer, ours or the peer's."""
        return self._sent or self._received

    def send_offer(self, offer: Session) -> None:
        """We send an offer.

        Raises:
            LocalError: An offer of either side waits for its answer (section 4).
        """
        if self.pending is not None:
            raise LocalError("an offer waits for its answer")
        self._sent = offer

    def receive_offer(self, offer: Session) -> None:
        """The peer sent an offer.

        Raises:
            PeerError: 491 when ours waits (glare; RFC 3261 section 14.2), 500 when the peer's own last one
            waits, 488 when a stream of the session is missing (section 8).
        """
        if self._sent is not None:
            raise PeerError(491, "our own offer waits for its answer")
        if self._received is not None:
            raise PeerError(500, "your last offer waits for its answer")
        if self.remote is not None and len(offer.media) < len(self.remote.media):
            raise PeerError(
                488, f"the session has {len(self.remote.media)} streams, the offer {len(offer.media)}"
            )
        self._received = offer

    def send_answer(self, answer: Session) -> list[Agreed | None]:
        """We answer the offer that waits; the pair is in force.

        Raises:
            LocalError: No offer of the peer waits.
        """
        if self._received is None:
            raise LocalError("no offer waits for an answer")
        result = agreed(answer, self._received)
        self.local, self.remote, self._received = answer, self._received, None
        return result

    def receive_answer(self, answer: Session) -> list[Agreed | None]:
        """The peer answered the offer that waits; the pair is in force.

        Raises:
            PeerError: 488, it is not an answer to our offer, which then no longer waits.
        """
        if self._sent is None:
            raise PeerError(488, "an answer without an offer")
        offer, self._sent = self._sent, None
        if reasons := check_answer(offer, answer):
            raise PeerError(488, "; ".join(reasons))
        result = agreed(offer, answer)
        self.local, self.remote = offer, answer
        return result

    def abandon(self) -> None:
        """The offer that waits was rejected, or its transaction failed: the previous pair stands (section
        4)."""
        self._sent = self._received = None
