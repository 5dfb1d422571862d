"""The media plane, as roles ask for it: session descriptions in, descriptions that lead through our relay out.

Whoever handles a call (the proxy that gets phones through NAT, the privacy service) gives the plane each description
that passes, and sends on what comes back. An offer opens ports for its streams, an answer connects them, a later offer
of either party moves them, ``end`` frees them. The plane knows no SIP dialog: the caller of these functions chooses a
key for each pair of parties, so each branch of a fork is a session of its own.

Nothing passes silently: what could not be rewritten comes back as it was, with an outcome that says why, and whoever
asked decides whether it may pass. Two planes have this interface: ``roles.media_relay`` (in this process) and
``roles.media_engine`` (rtpengine).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ringfence.message import Message
from ringfence.transport.flow import Endpoint


class Party(StrEnum):
    """One end of a media session. They keep their names for the life of the session, whoever sends an offer later."""

    CALLER = "caller"
    """Who sent the first INVITE."""

    CALLEE = "callee"

    @property
    def other(self) -> Party:
        """The one at the other end."""
        return Party.CALLEE if self is Party.CALLER else Party.CALLER


class Outcome(StrEnum):
    """What became of a body."""

    REWRITTEN = "rewritten"
    """Its media go through the relay."""

    NO_MEDIA = "no session description"
    """There was nothing to rewrite: no body, or none that describes a session."""

    ENCRYPTED = "encrypted"
    """S/MIME: nobody on the way can read it."""

    SIGNED = "signed"
    """S/MIME: any change would break the signature."""

    NEEDS_ICE = "needs ICE"
    """It has no address to send to but ICE candidates, or a browser made it; the plane does not speak ICE."""

    UNREADABLE = "unreadable"
    """It should be a session description and breaks the grammar, or is in an encoding that we do not know."""


@dataclass(slots=True, frozen=True)
class Rewritten:
    """A body to send on in place of the one that came. The Content-Type stays as it was."""

    body: bytes
    """The new body; the one that came unless the outcome is REWRITTEN."""

    outcome: Outcome
    reason: str = ""
    """For people: what stands in the way, where something does."""

    @property
    def safe(self) -> bool:
        """Whether nothing in the body leads around the relay. If not, ask your policy before you pass it on."""
        return self.outcome in (Outcome.REWRITTEN, Outcome.NO_MEDIA)


@dataclass(slots=True)
class Figures:
    """What a plane has done since it was made. What it can't know stays 0."""

    sessions: int = 0
    """That live."""
    opened: int = 0
    silent: int = 0
    """Ended since nobody sent anything."""
    refused: int = 0
    """Descriptions with addresses that media must not go to, or for which there was no port."""
    packets: int = 0
    octets: int = 0
    dropped: int = 0
    """Packets from elsewhere, of no media, or over a limit."""


Silent = Callable[[str], None]
"""Told the key of a session in which no packet of either party has come for the configured time. The ports are freed
by then; whoever listens ends the call."""


class MediaPlane(Protocol):
    """What relays media. Every function may be called from the event loop's thread only, and none blocks it.

    The embedded plane answers at once, rtpengine gives an awaitable: use ``inspect.isawaitable``, as with the store.
    Messages are read and never changed.

    ``key``: names the session. Chosen by the caller of the function, the same for all that belongs to one pair of
    parties: Call-ID, tag and branch, say. It goes into no message, but into logs at debug level and to rtpengine: let
    it name nobody (a hash will do).

    ``party``: who made the description in ``message``.

    ``seen``: where the message came from (``flow.remote``). Behind NAT that, and not what the description says, is
    where media will come from; besides the address in the description no other is listened to.

    ``toward``: where the message goes next (``flow.remote`` of the branch). It decides which of our addresses the
    other party is told, IPv4 or IPv6; None: one of the same family as in the description.

    ``anonymous``: rewrite the description whole, so that nothing in it tells who or where the party is: o=, s=, i=,
    u=, e=, p=, addresses, ICE, CNAMEs, stream names, tool; and have the relay replace the CNAME and drop the names in
    unencrypted RTCP of this party. SRTP keys and fingerprints pass. Given for a party once, it holds for the session.

    Raises (each of offer and answer):
        PeerError: 488, an address that media must not go to; 503, no port is free or rtpengine does not answer.
    """

    def offer(
        self,
        key: str,
        party: Party,
        message: Message,
        *,
        seen: Endpoint,
        toward: Endpoint | None = None,
        anonymous: bool = False,
        silent: Silent | None = None,
    ) -> Rewritten | Awaitable[Rewritten]:
        """The offer in a message, for the other party. The first one opens the session; ``silent`` stays with it.

        A body without a session description opens nothing and comes back as it is (NO_MEDIA): in an INVITE without an
        offer, the 2xx has it and the ACK the answer.
        """

    def answer(
        self,
        key: str,
        party: Party,
        message: Message,
        *,
        seen: Endpoint,
        toward: Endpoint | None = None,
        anonymous: bool = False,
    ) -> Rewritten | Awaitable[Rewritten]:
        """The answer in a message, for the party that made the offer: in a 1xx (early media), 2xx, ACK or PRACK.

        A second one (first in a 183, then in the 200) is rewritten alike. For a key that is not known, or has no
        offer, it comes back as UNREADABLE: what answers nothing is not passed on.
        """

    def end(self, key: str) -> None:
        """Free the ports. Call it for a CANCEL, a failure of the branch, a BYE; unknown keys do no harm."""

    def close(self) -> None:
        """End all sessions: the node stops."""

    def figures(self) -> Figures:
        """What it has done, for the metrics."""
