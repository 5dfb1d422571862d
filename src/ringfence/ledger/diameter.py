"""A Diameter client (RFC 6733): connections to a few servers, requests over the first that is open, and failover.

The `diameter` package knows the messages and their attributes; its node works in threads and knows no TLS, so what is
here is the little that a client needs: capabilities exchange, watchdog (RFC 3539), and a request that gets its answer
or goes to another server once, marked as one that may have been received before (section 5.5.4). One task for each
server keeps its connection, so that a call never waits for one to be set up.

A server may ask about a session of ours anew (Re-Auth) or end it (Abort-Session): ``asked`` says what to answer. Other
requests are answered DIAMETER_COMMAND_UNSUPPORTED.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

import structlog
from diameter.message import Avp, Message, MessageHeader
from diameter.message import constants as names
from diameter.message.avp.errors import AvpDecodeError
from diameter.message.packer import ConversionError

from ringfence.message.errors import LocalError

log = structlog.get_logger("ringfence.diameter")

Asked: TypeAlias = Callable[[int, str], int]
"""A server asks something (RE_AUTH, ABORT_SESSION) about the session with this Session-Id; gives the Result-Code."""

Fields: TypeAlias = Sequence[tuple[int, Any]]
"""Attributes by code, with their value; that of a grouped one is `Fields` too."""

CAPABILITIES, WATCHDOG, DISCONNECT = 257, 280, 282
RE_AUTH, ABORT_SESSION = 258, 274
SUCCESS, LIMITED_SUCCESS = 2001, 2002
UNKNOWN_SESSION = 5002
COMMAND_UNSUPPORTED = 3001
ELSEWHERE = frozenset({3002, 3004, 3006, 4004})
"""Results that another server may do better at: not delivered, too busy, redirected, out of space."""

MAX_MESSAGE = 65_536
"""Octets of a message; ours and the answers to them have hundreds."""

MAX_WAITING = 2_000
"""Requests without an answer on one connection."""

CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 3.0
"""How soon a connection is tried again. RFC 6733 section 12 would have half a minute; calls wait for this one."""

READY_SECONDS = 2.0
"""How long a node that starts waits for a server before it takes requests."""

PRODUCT = "Ringfence"
RELAY = 0xFFFFFFFF
"""The application that an agent has (section 2.4): it takes requests of any."""

MALFORMED = (AvpDecodeError, ConversionError, struct.error, ValueError, IndexError)


class NoDiameter(LocalError):
    """No server has answered."""


@dataclass(frozen=True, slots=True)
class DiameterPeer:
    """One server. ``name`` is its DiameterIdentity."""

    host: str
    port: int
    name: str
    tls: ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class DiameterSelf:
    """Who we are, and how long we wait."""

    host: str
    realm: str
    applications: tuple[int, ...]
    timeout: float = 4.0
    watchdog: float = 30.0


def fields(avps: Fields) -> list[Avp]:
    """Attributes as the package has them; those without a value are left out."""
    return [
        Avp.new(code, value=fields(value) if isinstance(value, list | tuple) else value)
        for code, value in avps
        if value is not None and value != ""
    ]


def value(message: Message | Avp, *path: int) -> Any:
    """The value of the first attribute on a path through groups; None where there is none.

    Raises:
        ValueError: it can't be read.
    """
    try:
        found: list[Avp] = message.avps if isinstance(message, Message) else message.value
        for place, code in enumerate(path):
            first = next((avp for avp in found if avp.code == code and not avp.vendor_id), None)
            if first is None:
                return None
            if place == len(path) - 1:
                return first.value
            found = first.value
    except MALFORMED as error:
        raise ValueError(f"a Diameter attribute can't be read: {error}") from None
    return None


def text(octets: Any) -> str:
    """A DiameterIdentity, which the package has as octets."""
    return (
        octets.decode("utf-8", "replace").lower() if isinstance(octets, bytes) else str(octets or "").lower()
    )


class _Link:
    """The connection to one server, kept open."""

    def __init__(self, us: DiameterSelf, peer: DiameterPeer, ready: asyncio.Event) -> None:
        self.peer = peer
        self._ready = ready
        self.open = False
        self.asked: Asked | None = None
        self._us = us
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._hop = count(1)
        self._end = count(1)

    @property
    def room(self) -> bool:
        """Whether a request can be sent."""
        return self.open and len(self._waiting) < MAX_WAITING

    async def run(self) -> None:
        """Connect, and again, until cancelled."""
        told = False
        while True:
            try:
                reason = await self._connected()
                if not told or self.open:
                    log.warning("no Diameter connection", server=self.peer.name, reason=reason)
                told = True
            finally:
                self._lost()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def ask(self, command: int, application: int, avps: list[Avp], end: int, *, again: bool) -> Message:
        """Send a request and give its answer. Raises NoDiameter."""
        message = self._message(command, application, avps, end)
        message.header.is_proxyable = application != 0
        message.header.is_retransmit = again
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        hop = message.header.hop_by_hop_identifier
        self._waiting[hop] = future
        try:
            self._send(message)
            async with asyncio.timeout(self._us.timeout):
                return await future
        except TimeoutError:
            raise NoDiameter(f"{self.peer.name} has not answered") from None
        finally:
            del self._waiting[hop]

    async def leave(self) -> None:
        """Tell the server that we go (section 5.4)."""
        if self.open:
            fate = [(names.AVP_DISCONNECT_CAUSE, names.E_DISCONNECT_CAUSE_REBOOTING)]
            with suppress(NoDiameter, ConnectionError):
                async with asyncio.timeout(1.0):
                    await self.ask(DISCONNECT, 0, self._origin(fate), next(self._end), again=False)

    # -- one connection --------------------------------------------------------------------------------

    async def _connected(self) -> str:
        """Serve one connection; gives why it ended."""
        peer = self.peer
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, self._writer = await asyncio.open_connection(
                    peer.host, peer.port, ssl=peer.tls, server_hostname=peer.name if peer.tls else None
                )
                answer = await self._exchange(reader)
            self._accept(answer)
            self.open = True
            self._ready.set()
            log.info("Diameter connection open", server=peer.name, tls=peer.tls is not None)
            return await self._serve(reader)
        except (OSError, TimeoutError, EOFError, LocalError, *MALFORMED) as error:
            return str(error) or type(error).__name__
        finally:
            if self._writer is not None:
                self._writer.close()

    async def _exchange(self, reader: asyncio.StreamReader) -> Message:
        """Capabilities-Exchange (section 5.3)."""
        assert self._writer is not None
        own = self._writer.get_extra_info("sockname")[0]
        applications = [(names.AVP_AUTH_APPLICATION_ID, each) for each in self._us.applications]
        more = [
            (names.AVP_HOST_IP_ADDRESS, own),
            (names.AVP_VENDOR_ID, 0),
            (names.AVP_PRODUCT_NAME, PRODUCT),
            *applications,
        ]
        self._send(self._message(CAPABILITIES, 0, self._origin(more), next(self._end)))
        return await _read(reader)

    def _accept(self, answer: Message) -> None:
        header = answer.header
        if header.command_code != CAPABILITIES or header.is_request:
            raise LocalError("it did not answer the capabilities exchange")
        if (result := value(answer, names.AVP_RESULT_CODE)) != SUCCESS:
            raise LocalError(
                f"it refuses us with {result} {value(answer, names.AVP_ERROR_MESSAGE) or ''}".rstrip()
            )
        if (found := text(value(answer, names.AVP_ORIGIN_HOST))) != self.peer.name:
            raise LocalError(f"it says that it is {found}")
        codes = (names.AVP_AUTH_APPLICATION_ID, names.AVP_ACCT_APPLICATION_ID)
        theirs = {avp.value for avp in answer.avps if avp.code in codes}
        if RELAY not in theirs and (missing := set(self._us.applications) - theirs):
            raise LocalError(f"it does not have the applications {sorted(missing)}")

    async def _serve(self, reader: asyncio.StreamReader) -> str:
        while True:
            try:
                async with asyncio.timeout(self._us.watchdog):
                    message = await _read(reader)
            except TimeoutError:
                # RFC 3539 section 3.4.1: it has been quiet for Tw; when it is so for as long again, it is dead.
                self._send(self._message(WATCHDOG, 0, self._origin(()), next(self._end)))
                async with asyncio.timeout(self._us.watchdog):
                    message = await _read(reader)
            header = message.header
            if not header.is_request:
                future = self._waiting.get(header.hop_by_hop_identifier)
                if future is not None and not future.done():
                    future.set_result(message)
            elif header.command_code in (WATCHDOG, DISCONNECT):
                self._answer(message, SUCCESS)
                if header.command_code == DISCONNECT:
                    return "it has disconnected"
            elif header.command_code in (RE_AUTH, ABORT_SESSION) and self.asked is not None:
                session = str(value(message, names.AVP_SESSION_ID) or "")
                self._answer(message, self.asked(header.command_code, session))
            else:
                self._answer(message, COMMAND_UNSUPPORTED)

    def _lost(self) -> None:
        self.open = False
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NoDiameter(f"the connection to {self.peer.name} broke"))

    # -- messages --------------------------------------------------------------------------------------

    def _message(self, command: int, application: int, avps: list[Avp], end: int) -> Message:
        header = MessageHeader(
            command_code=command,
            application_id=application,
            hop_by_hop_identifier=next(self._hop) & 0xFFFFFFFF,
            end_to_end_identifier=end,
        )
        header.is_request = True
        return Message(header, avps)

    def _origin(self, more: Fields) -> list[Avp]:
        ours = (
            (names.AVP_ORIGIN_HOST, self._us.host.encode()),
            (names.AVP_ORIGIN_REALM, self._us.realm.encode()),
        )
        return fields((*ours, *more))

    def _answer(self, request: Message, result: int) -> None:
        header = request.header
        answer = MessageHeader(
            command_code=header.command_code,
            application_id=header.application_id,
            hop_by_hop_identifier=header.hop_by_hop_identifier,
            end_to_end_identifier=header.end_to_end_identifier,
        )
        answer.is_proxyable = header.is_proxyable
        answer.is_error = 3000 <= result < 4000  # section 7.1.3
        session = [(names.AVP_SESSION_ID, value(request, names.AVP_SESSION_ID))]
        result_code = [(names.AVP_RESULT_CODE, result)]
        self._send(Message(answer, [*fields(session), *fields(result_code), *self._origin(())]))

    def _send(self, message: Message) -> None:
        if self._writer is None or self._writer.is_closing():
            raise NoDiameter(f"the connection to {self.peer.name} broke")
        self._writer.write(message.as_bytes())


class DiameterClient:
    """Requests to whichever server is there. ``start`` is a number that no process before has begun with."""

    def __init__(self, us: DiameterSelf, peers: Sequence[DiameterPeer], start: int) -> None:
        self.us = us
        self._ready = asyncio.Event()
        self._links = [_Link(us, peer, self._ready) for peer in peers]
        # RFC 6733 section 3: the high 12 bits are of the time, so that a restart repeats none for some minutes.
        self._end = count((start & 0xFFF) << 20)
        self._sessions = count(1)
        self._start = start
        self._tasks: list[asyncio.Task[None]] = []

    def answer_by(self, asked: Asked) -> None:
        """Have this answer what servers ask about our sessions."""
        for link in self._links:
            link.asked = asked

    async def open(self) -> None:
        """Begin to connect; a server that is there is connected when this returns."""
        self._tasks = [asyncio.create_task(link.run()) for link in self._links]
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                await self._ready.wait()

    @property
    def connected(self) -> bool:
        """Whether a server is there."""
        return any(link.open for link in self._links)

    def session_id(self) -> str:
        """A new Session-Id (section 8.8)."""
        return f"{self.us.host};{self._start & 0xFFFFFFFF};{next(self._sessions)}"

    async def ask(self, command: int, application: int, session: str, avps: Fields) -> Message:
        """Send a request of a session and give its answer, which may be a refusal.

        Raises:
            NoDiameter: nobody answered, or nobody could deliver it.
        """
        us = self.us
        head = [
            (names.AVP_SESSION_ID, session),
            (names.AVP_AUTH_APPLICATION_ID, application),
            (names.AVP_ORIGIN_HOST, us.host.encode()),
            (names.AVP_ORIGIN_REALM, us.realm.encode()),
        ]
        built = fields((*head, *avps))
        end, reason, asked = next(self._end) & 0xFFFFFFFF, "no server is connected", 0
        for link in self._links:
            if asked == 2 or not link.room:
                continue
            asked += 1
            try:
                answer = await link.ask(command, application, built, end, again=asked > 1)
            except NoDiameter as error:
                reason = str(error)
                continue
            result = value(answer, names.AVP_RESULT_CODE)
            if result not in ELSEWHERE:
                return answer
            reason = f"{link.peer.name} answered {result}"
        raise NoDiameter(reason)

    async def close(self) -> None:
        """Take leave of the servers and let go of the connections."""
        await asyncio.gather(*(link.leave() for link in self._links))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Message:
    """One message. Raises what a broken connection raises, and ValueError for what is no message."""
    head = await reader.readexactly(4)
    length = int.from_bytes(head[1:], "big")
    if head[0] != 1 or not 20 <= length <= MAX_MESSAGE or length % 4:
        raise ValueError("it does not speak Diameter")
    data = head + await reader.readexactly(length - 4)
    try:
        return Message.from_bytes(data, plain_msg=True)
    except MALFORMED as error:
        raise ValueError(f"it has sent a message that can't be read: {error}") from None
