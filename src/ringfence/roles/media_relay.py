"""The media plane in this process: descriptions are led through the ports of ``transport.relay``.

A session has a relay for each stream, with a side for each party. An offer may move its party only when it has been
answered: a refused re-INVITE leaves the session as it was (RFC 3264 section 8). Where a party is behind NAT, the
address in its description leads nowhere, or worse, to somebody else in our own network: then nothing is sent before a
packet has come from where its signalling comes from (RFC 7362).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from ringfence.message import LocalError, Message, PeerError, sdp
from ringfence.message.ip import ip_address
from ringfence.roles.media import Figures, Outcome, Party, Rewritten, Silent
from ringfence.roles.media_body import Description
from ringfence.roles.media_session import Session, no_answer, readable
from ringfence.roles.media_streams import (
    is_here,
    on_hold,
    reachable,
    relayable,
    screen_for,
    settles,
    version,
    version_of,
)
from ringfence.transport.flow import Endpoint
from ringfence.transport.relay import Address, Relay, RelaySession, Side
from ringfence.transport.sockets import address_toward, family_of, own_address

log = structlog.get_logger("ringfence.media")

MAX_STREAMS = 8
"""Of one call: each takes four ports. Audio, video, slides and text are four."""


@dataclass(slots=True)
class Timeouts:
    """Seconds without a packet of either party until a session is over."""

    silent: float = 60.0
    held: float = 3600.0
    """While a party is on hold, when phones need not send anything, and before the call is up."""
    look: float = 1.0
    """Between looks for sessions that have fallen silent."""


@dataclass(slots=True)
class _Stream:
    relay: RelaySession
    versions: tuple[int, int]
    """IP versions of the caller's and the callee's side."""

    def side(self, party: Party) -> Side:
        return self.relay.a if party is Party.CALLER else self.relay.b


@dataclass(slots=True)
class _Session(Session):
    streams: list[_Stream | None] = field(default_factory=list)
    answered: bool = False
    bare: float = 0.0
    """Seconds without any stream."""


class EmbeddedMedia:
    """See ``roles.media.MediaPlane``. It answers at once."""

    def __init__(
        self, relays: Mapping[int, Relay], token: Callable[[], str], timeouts: Timeouts | None = None
    ) -> None:
        """``relays`` by IP version; ``token`` gives random text that is fit for a CNAME."""
        self.relays = relays
        self.totals = Figures()
        """Without what the live sessions have carried: ``figures`` has that too."""
        self._token = token
        self._timeouts = timeouts or Timeouts()
        self._sessions: dict[str, _Session] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._sessions)

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
    ) -> Rewritten:
        """See ``MediaPlane.offer``."""
        found = readable(message)
        if isinstance(found, Rewritten):
            return found
        session = self._sessions.get(key)
        if session is None:
            session = _Session(silent)
        session.meet(party, seen, toward, anonymous, self._token)
        try:
            self._open_streams(session, party, found.session)
            if not session.answered:
                self._expect(session, party, found.session, None)
        except PeerError:
            self.totals.refused += 1
            if key not in self._sessions:
                self._close(session)
            raise
        if key not in self._sessions:
            self._sessions[key] = session
            self.totals.opened += 1
            self._watch()
        session.offerer, session.offer = party, found.session
        return self._written(session, party, found)

    def answer(
        self,
        key: str,
        party: Party,
        message: Message,
        *,
        seen: Endpoint,
        toward: Endpoint | None = None,
        anonymous: bool = False,
    ) -> Rewritten:
        """See ``MediaPlane.answer``."""
        session = self._sessions.get(key)
        found = readable(message)
        if session is not None and settles(message) and not session.confirmed:
            session.confirmed = True
            for each in session.streams:
                if each is not None:
                    each.relay.idle = 0.0
        if isinstance(found, Rewritten):
            return found
        if session is None:
            return no_answer(message)
        offer = session.offer_of(party, message, found.session)
        if isinstance(offer, Rewritten):
            return offer
        session.meet(party, seen, toward, anonymous, self._token)
        try:
            self._expect(session, party, found.session, offer)
            self._expect(session, party.other, offer, found.session)
        except PeerError:
            self.totals.refused += 1
            raise
        session.answered = True
        session.held = on_hold(offer) or on_hold(found.session)
        for place, media in enumerate(found.session.media):
            if media.rejected:
                self._close_stream(session, place)
        return self._written(session, party, found)

    def end(self, key: str) -> None:
        """See ``MediaPlane.end``."""
        session = self._sessions.pop(key, None)
        if session is not None:
            self._close(session)

    def close(self) -> None:
        """End all."""
        for key in tuple(self._sessions):
            self.end(key)
        for relay in self.relays.values():
            relay.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def figures(self) -> Figures:
        """See ``MediaPlane.figures``."""
        now = replace(self.totals, sessions=len(self._sessions))
        for session in self._sessions.values():
            for stream in session.streams:
                if stream is not None:
                    packets, octets, dropped = stream.relay.counts
                    now.packets += packets
                    now.octets += octets
                    now.dropped += dropped
        return now

    # -- parties and streams ---------------------------------------------------------------------------

    def _open_streams(self, session: _Session, party: Party, offered: sdp.Session) -> None:
        """A relay for each stream of an offer that has none yet, or of the wrong IP version.

        Raises:
            PeerError: 488 for too many, or an IP version that we have no address of; 503 when no port is free.
        """
        if len(offered.media) > MAX_STREAMS:
            raise PeerError(488, f"a call may have {MAX_STREAMS} streams")
        session.streams += [None] * (len(offered.media) - len(session.streams))
        for place, media in enumerate(offered.media):
            if media.rejected or not relayable(media):
                continue
            own = version(offered, media) or version_of(session.members[party].place)
            other = version_of(session.members[party.other].place) or own
            versions = (own, other) if party is Party.CALLER else (other, own)
            stream = session.streams[place]
            if stream is None or stream.versions != versions:
                fresh = _Stream(self._open(versions), versions)
                self._close_stream(session, place)
                session.streams[place] = fresh

    def _open(self, versions: tuple[int, int]) -> RelaySession:
        near, far = (self.relays.get(version) for version in versions)
        if near is None or far is None:
            missing = versions[0] if near is None else versions[1]
            raise PeerError(488, f"this node relays no media over IPv{missing}")
        try:
            return near.open(far)
        except LocalError as error:
            log.error("no port for media", reason=str(error))
            raise PeerError(503, "no media port is free") from None

    def _expect(
        self, session: _Session, party: Party, described: sdp.Session, other: sdp.Session | None
    ) -> None:
        """Have every stream take and send media as this party describes; ``other`` is the other party's half."""
        member = session.members[party]
        here = is_here(member.place)
        for place, media in enumerate(described.media):
            stream = session.streams[place] if place < len(session.streams) else None
            if stream is None or media.rejected:
                continue
            target = reachable(described.address_of(media), member.place)
            rtcp = reachable(described.rtcp_address_of(media), member.place)
            side = stream.side(party)
            side.expect(target, rtcp, (member.place,), here=here)
            partner = other.media[place] if other is not None else None
            side.screen(screen_for(member.anonymous, media, partner), member.cname.encode())

    def _close_stream(self, session: _Session, place: int) -> None:
        stream, session.streams[place] = session.streams[place], None
        if stream is not None:
            packets, octets, dropped = stream.relay.counts
            self.totals.packets += packets
            self.totals.octets += octets
            self.totals.dropped += dropped
            stream.relay.close()

    def _close(self, session: _Session) -> None:
        for place in range(len(session.streams)):
            self._close_stream(session, place)

    # -- descriptions ----------------------------------------------------------------------------------

    def _written(self, session: _Session, party: Party, found: Description) -> Rewritten:
        member, other = session.members[party], session.members[party.other]
        places: list[Address | None] = []
        host = ""
        for place, media in enumerate(found.session.media):
            stream = session.streams[place]
            if stream is None or media.rejected:
                places.append(None)
                continue
            side = stream.side(party.other)
            host = self._told(side, other.place)
            places.append((host, side.port))
        text = member.written(found.session, places, host or self._nowhere(other.place))
        return Rewritten(found.replaced(text), Outcome.REWRITTEN)

    def _told(self, side: Side, place: str) -> str:
        """Our address as a party at this place has to write it: that which our packets to it come from."""
        if ip_address(side.local).is_unspecified and place:
            if version_of(place) == version_of(side.local) and ip_address(place).is_loopback:
                return "::1" if ":" in side.local else "127.0.0.1"
            if side.host == side.local:
                return address_toward(place) or own_address(family_of(side.local))
        return side.host

    def _nowhere(self, place: str) -> str:
        relay = self.relays.get(version_of(place)) or next(iter(self.relays.values()))
        return relay.advertised if relay.advertised != relay.host else address_toward(place) or relay.host

    # -- time ------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._timeouts.look, self._look)

    def _look(self) -> None:
        self._timer = None
        for key, session in tuple(self._sessions.items()):
            live = session.confirmed and not session.held
            bound = self._timeouts.silent if live else self._timeouts.held
            idle = [stream.relay.idle for stream in session.streams if stream is not None]
            session.bare = 0.0 if idle else session.bare + self._timeouts.look
            if min(idle, default=session.bare) >= bound:
                self.totals.silent += 1
                log.info("media have ended", session=key, seconds=bound)
                self.end(key)
                if session.silent is not None:
                    session.silent(key)
        if self._sessions:
            self._watch()
