"""The media plane by rtpengine: it moves the packets, and what the parties read is written here.

rtpengine is asked for ports with a description that has nothing in it but addresses; those that it gives back are put
into the real one. So nothing that a party says of itself reaches it, keys of SRTP pass from end to end, and both planes
write the same descriptions. It replaces the RTCP of a session with an anonymous party by its own, unless that is
encrypted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from ringfence.message import Message, PeerError, sdp
from ringfence.message.ip import ip_address
from ringfence.roles.media import Figures, Outcome, Party, Rewritten, Silent
from ringfence.roles.media_body import Description
from ringfence.roles.media_relay import Timeouts
from ringfence.roles.media_session import Session, no_answer, readable
from ringfence.roles.media_streams import on_hold, reachable, relayable, settles, version_of
from ringfence.transport.flow import Endpoint
from ringfence.transport.relay import Address
from ringfence.transport.rtpengine import Instance, Rtpengine

log = structlog.get_logger("ringfence.media")

LOOK = 10.0
"""Seconds between questions about a session: whether it is there, and what has passed."""

FLAGS = ("strict source", "port latching", "trust address")
"""Packets from elsewhere than the party has been learned at are dropped. Our ports stay when a party moves, so that
an offer that is refused changes nothing."""


@dataclass(slots=True)
class _Session(Session):
    instance: Instance = field(kw_only=True)
    packets: int = 0
    octets: int = 0
    idle: float = 0.0


class RtpengineMedia:
    """See ``roles.media.MediaPlane``. Offers and answers give awaitables."""

    def __init__(self, engine: Rtpengine, token: Callable[[], str], timeouts: Timeouts | None = None) -> None:
        """``token`` gives random text that is fit for a CNAME."""
        self._engine = engine
        self._token = token
        self._timeouts = timeouts or Timeouts(look=LOOK)
        self._sessions: dict[str, _Session] = {}
        self._figures = Figures()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching = False

    async def offer(
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
        fresh = session is None or not session.instance.alive
        if session is None:
            session = self._begin(key, silent)
        session.meet(party, seen, toward, anonymous, self._token)
        session.offerer, session.offer = party, found.session
        places = await self._placed(key, session, "offer", party, found.session, fresh=fresh)
        return self._written(key, session, party, found, places)

    async def answer(
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
            session.confirmed, session.idle = True, 0.0
        if isinstance(found, Rewritten):
            return found
        if session is None:
            return no_answer(message)
        offer = session.offer_of(party, message, found.session)
        if isinstance(offer, Rewritten):
            return offer
        session.meet(party, seen, toward, anonymous, self._token)
        session.held = on_hold(offer) or on_hold(found.session)
        places = await self._placed(key, session, "answer", party, found.session)
        return self._written(key, session, party, found, places)

    def end(self, key: str) -> None:
        """See ``MediaPlane.end``."""
        session = self._sessions.pop(key, None)
        if session is not None:
            self._figures.packets += session.packets
            self._figures.octets += session.octets
            self._spawn(self._delete(session.instance, key))

    def close(self) -> None:
        """See ``MediaPlane.close``. Sessions are left to rtpengine, whose time-out frees them: calls may go on."""
        for task in self._tasks:
            task.cancel()
        self._sessions.clear()
        self._engine.close()

    def figures(self) -> Figures:
        """See ``MediaPlane.figures``. Packets are as of the last look."""
        live = self._sessions.values()
        return replace(
            self._figures,
            sessions=len(live),
            packets=self._figures.packets + sum(each.packets for each in live),
            octets=self._figures.octets + sum(each.octets for each in live),
        )

    # -- asking ----------------------------------------------------------------------------------------

    def _begin(self, key: str, silent: Silent | None) -> _Session:
        instance = self._engine.choose(key)
        assert instance is not None  # there is at least one
        session = self._sessions[key] = _Session(silent, instance=instance)
        self._figures.opened += 1
        if not self._watching:
            self._watching = True
            self._engine.watch()
            self._spawn(self._watch())
        return session

    async def _placed(
        self,
        key: str,
        session: _Session,
        command: str,
        party: Party,
        described: sdp.Session,
        *,
        fresh: bool = False,
    ) -> list[Address | None]:
        """The ports of rtpengine for the streams, facing the other party. A new session may begin anywhere."""
        try:
            bare = bare_description(described, session.members[party].place)
        except PeerError:
            self._refuse(key, session)
            raise
        tried: frozenset[Instance] = frozenset()
        while True:
            try:
                return await self._ask(key, session, command, party, described, bare)
            except PeerError:
                tried |= {session.instance}
                other = self._engine.choose(key, tried) if fresh and not session.instance.alive else None
                if other is None:
                    self._refuse(key, session)
                    raise
                session.instance = other

    def _refuse(self, key: str, session: _Session) -> None:
        self._figures.refused += 1
        if not session.confirmed and session.offerer is Party.CALLER:
            self.end(key)

    async def _ask(
        self, key: str, session: _Session, command: str, party: Party, described: sdp.Session, bare: str
    ) -> list[Address | None]:
        member, other = session.members[party], session.members[party.other]
        flags = list(FLAGS)
        if (member.anonymous or other.anonymous) and not all(media.secure for media in described.media):
            flags.append("generate RTCP")
        values: dict[str, object] = {
            "call_id": key,
            "from_tag": str(session.offerer),
            "sdp": bare,
            "flags": flags,
            "ICE": "remove",
        }
        if command == "answer":
            values["to_tag"] = str(session.offerer.other)
        if (version := version_of(other.place)) != 0:
            values["address_family"] = f"IP{version}"
        answer = await session.instance.ask(command, **values)
        given = sdp.parse(answer.get("sdp", b""), status=503)
        if len(given.media) != len(described.media):
            raise PeerError(503, "rtpengine has changed the number of streams")
        return [
            given.address_of(media) if relayable(wanted) and not wanted.rejected else None
            for media, wanted in zip(given.media, described.media, strict=True)
        ]

    def _written(
        self, key: str, session: _Session, party: Party, found: Description, places: list[Address | None]
    ) -> Rewritten:
        if self._sessions.get(key) is not session:  # it has ended while rtpengine was asked
            self._spawn(self._delete(session.instance, key))
        host = next((place[0] for place in places if place is not None), "0.0.0.0")  # noqa: S104  (o= of no stream)
        text = session.members[party].written(found.session, places, host)
        return Rewritten(found.replaced(text), Outcome.REWRITTEN)

    async def _delete(self, instance: Instance, key: str) -> None:
        try:
            await instance.ask("delete", call_id=key, from_tag=str(Party.CALLER), delete_delay=0)
        except PeerError as error:
            log.debug("rtpengine has not ended a session", session=key, reason=error.reason)

    # -- time ------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._timeouts.look)
            for key, session in tuple(self._sessions.items()):
                if session.instance.alive and self._sessions.get(key) is session:
                    await self._look_at(key, session)

    async def _look_at(self, key: str, session: _Session) -> None:
        try:
            packets, octets, known = await _passed(session.instance, key)
        except PeerError:
            return  # it does not answer: that is no sign of the parties
        session.idle = 0.0 if packets != session.packets else session.idle + self._timeouts.look
        session.packets, session.octets = packets, octets
        live = session.confirmed and not session.held
        bound = self._timeouts.silent if live else self._timeouts.held
        if (known and session.idle < bound) or self._sessions.get(key) is not session:
            return
        self._figures.silent += 1
        log.info("media have ended", session=key, seconds=session.idle, known=known)
        self.end(key)
        if session.silent is not None:
            session.silent(key)


async def _passed(instance: Instance, key: str) -> tuple[int, int, bool]:
    """Packets and octets of a session, and whether rtpengine knows it at all."""
    try:
        answer = await instance.ask("query", call_id=key)
    except PeerError:
        if instance.alive:
            return 0, 0, False  # it has answered: there is no such call
        raise
    totals = answer.get("totals", {})
    counts = [totals.get(kind, {}) for kind in ("RTP", "RTCP")]
    return sum(each.get("packets", 0) for each in counts), sum(each.get("bytes", 0) for each in counts), True


def bare_description(described: sdp.Session, place: str) -> str:
    """What rtpengine needs to know of a description: where each stream is taken. ``place``: where messages come from.

    Raises:
        PeerError: 488, media must not go there.
    """
    lines = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "t=0 0"]
    for media in described.media:
        if media.rejected or not relayable(media):
            lines += ["m=audio 0 RTP/AVP 0", "c=IN IP4 0.0.0.0"]
            continue
        address = described.address_of(media)
        if address is not None:
            address = reachable(address, place) or (place, address[1])  # behind NAT: it learns the port
            _check(address[0], place)
        host, port = address or ("0.0.0.0", media.port)  # noqa: S104  (on hold: nowhere)
        lines += [f"m=audio {port} RTP/AVP 0", f"c=IN IP{6 if ':' in host else 4} {host}"]
        rtcp = described.rtcp_address_of(media)
        if rtcp is not None and address is not None and rtcp[0] == host:
            lines.append(f"a=rtcp:{rtcp[1]}")
    return "\r\n".join(lines) + "\r\n"


def _check(host: str, place: str) -> None:
    ip, signalled = ip_address(host.partition("%")[0]), ip_address(place.partition("%")[0])
    if ip.is_multicast or str(ip) == "255.255.255.255":
        raise PeerError(488, "media must not go to a group")
    if ip.is_loopback and not signalled.is_loopback:
        raise PeerError(488, "media must not go to this machine")
