"""The user agent: register, call, be called, write. The one name that most programs need of this package.

    async with UserAgent("sips:alice@example.org", password="...") as alice:
        call = await alice.call("sips:bob@example.org", media=Media(play="hello.wav"))
        await call.answered
        await call.hang_up()

It builds its own sockets and engine on the running loop, asyncio's or uvloop's, and takes all of them down again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ringfence.client.account import EXPIRES, Account, make_account
from ringfence.client.agreement import Agreement, wanted_mechanisms
from ringfence.client.anonymity import Wanted, fields, wanted
from ringfence.client.certificates import Certificates, Smime
from ringfence.client.desk import Desk
from ringfence.client.errors import RequestFailed
from ringfence.client.feed import Feed
from ringfence.client.incoming import IncomingCall
from ringfence.client.introduction import introduce
from ringfence.client.ipsec import IpsecSettings
from ringfence.client.line import Hop, Line
from ringfence.client.outgoing import OutgoingCall
from ringfence.client.protection import Wish
from ringfence.client.reception import Reception
from ringfence.client.registration import Registration, RegistrationState
from ringfence.client.session import SILENCE, Encryption, Media, Session
from ringfence.client.states import Ending
from ringfence.client.status import Status
from ringfence.client.text import Text, send_text
from ringfence.engine.timers import Timers
from ringfence.message import LocalError, Response, SipUri
from ringfence.security.digest import STRONG, Algorithm
from ringfence.security.privacy import Privacy
from ringfence.transport.flow import Flow
from ringfence.transport.inquiry import Inquiry
from ringfence.transport.quiet import quiet_unless_configured

GOODBYE_TIME = 4.0
"""Seconds that calls get to end when the agent is closed."""


class UserAgent:
    """A SIP phone as a library. Use it with ``async with``, or ``open`` and ``close`` it.

    With a password (or ``ha1``, or a certificate) it registers, and everything goes by the server of its domain or
    the ``proxy``. Without, it sends straight to whom it calls, and listens at ``host`` and ``port``.

    ``register`` None registers when there are credentials. ``encryption`` is for calls whose ``Media`` does not say:
    None requires it for ``sips:`` and does it where it can for others. ``accept_transfers`` lets a peer have us call
    somebody else, at our cost; ``follow_redirections`` lets whom we call send us on. ``security_agreement`` (RFC
    3329) has the hop to the server secured where it would not be TLS anyway: True, or which mechanisms are good
    enough, of ``tls``, ``digest`` and, with ``ipsec``, its mechanisms.
    ``smime`` is what it signs, encrypts and verifies with, end to end.
    """

    def __init__(
        self,
        address: str | Account,
        *,
        password: str | None = None,
        ha1: Mapping[str, str] | None = None,
        username: str = "",
        display: str = "",
        realms: Iterable[str] = (),
        algorithms: Iterable[Algorithm] = STRONG,
        proxy: str | None = None,
        transport: str | None = None,
        trust: str | Path | Iterable[str | Path] = (),
        certificate: tuple[str | Path, str | Path] | None = None,
        expires: int = EXPIRES,
        privacy: Wanted = (),
        register: bool | None = None,
        encryption: Encryption | None = None,
        host: str | None = None,
        port: int = 0,
        accept_transfers: bool = False,
        follow_redirections: bool = False,
        security_agreement: bool | Iterable[str] = False,
        smime: Smime | None = None,
        ipsec: IpsecSettings | None = None,
        timers: Timers | None = None,
    ) -> None:
        """See ``Account`` for what the account's settings mean; given one, its own count and not those here.

        Raises:
            LocalError: for settings that make no sense.
        """
        quiet_unless_configured()
        if isinstance(address, Account):
            self.account = address
        else:
            self.account = make_account(
                address,
                password=password,
                ha1=ha1 or {},
                username=username,
                display=display,
                realms=frozenset(realms),
                algorithms=tuple(algorithms),
                proxy=proxy,
                transport=transport,
                trust=trust,
                certificate=certificate,
                expires=expires,
                privacy=wanted(privacy),
            )
        self._registers = self.account.has_credentials if register is None else register
        self._place, self._timers = (host, port), timers
        self._policy = encryption, accept_transfers, follow_redirections
        self._smime, self._ipsec = smime or Smime(), ipsec
        self._mechanisms = wanted_mechanisms(self.account, security_agreement, ipsec)
        self._incoming: Feed[IncomingCall] = Feed()
        self._texts: Feed[Text] = Feed()
        self._changes: Feed[tuple[RegistrationState, RequestFailed | None]] = Feed()
        self._desk: Desk | None = None

    # -- life ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the sockets and register.

        Raises:
            RegistrationError: what the registrar answered, or why it could not be asked.
            RequestFailed: when the proxy can't be found.
            LocalError, OSError: for a certificate or port that can't be used.
        """
        host, port = self._place
        trust = self._smime.trust or self.account.trust
        certificates = Certificates(replace(self._smime, trust=trust))
        line = Line(self.account, host=host, port=port, timers=self._timers)
        desk = Desk(self.account, line, certificates)
        desk.encryption, desk.accept_transfers, desk.follow_redirections = self._policy
        desk.place = self._call
        fetcher = line.fetcher(self._smime.fetch_from)
        desk.status = Status(certificates, Inquiry(fetcher), self._smime.revocation)
        line.on_closed = self._flow_closed
        try:
            await line.open(Reception(desk, self._incoming, self._texts).receive)
            self._desk = desk
            if self._mechanisms and line.home is not None:
                line.agreement = Agreement(line, desk.keyring, self._mechanisms, self._ipsec)
                await line.agreement.ensure(Hop(line.home, home=True))
            if self._registers:
                registration = Registration(line, desk.keyring, self._registration_changed)
                await registration.start()
                desk.registration = registration
        except BaseException:
            self._desk = None
            await line.close()
            if line.agreement is not None:
                await line.agreement.close()
            raise

    async def close(self) -> None:
        """End all calls, take the registration back, close the sockets."""
        desk, self._desk = self._desk, None
        if desk is None:
            return
        self._incoming.close()
        self._texts.close()
        calls = list(desk.live)
        try:
            async with asyncio.timeout(GOODBYE_TIME):
                await asyncio.gather(*(call.hang_up() for call in calls), return_exceptions=True)
        except TimeoutError:  # a peer that does not answer does not keep us
            for call in calls:
                call.end(Ending("us", None, "the user agent was closed"))
            await asyncio.gather(*(call.ended for call in calls))
        if desk.registration is not None:
            await desk.registration.stop()
        self._changes.close()
        await desk.line.close()
        if desk.line.agreement is not None:
            await desk.line.agreement.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _flow_closed(self, flow: Flow, _reason: str) -> None:
        if self._desk is not None and self._desk.line.agreement is not None:
            self._desk.line.agreement.flow_closed(flow)
        if self._desk is not None and self._desk.registration is not None:
            self._desk.registration.flow_closed(flow)

    def _registration_changed(self, state: RegistrationState, error: RequestFailed | None) -> None:
        self._changes.put((state, error))

    @property
    def desk(self) -> Desk:
        """What is open. Raises LocalError when nothing is."""
        if self._desk is None:
            raise LocalError("the user agent is not open: use it with 'async with'")
        return self._desk

    # -- what it is like -------------------------------------------------------------------------------

    @property
    def registration(self) -> Registration | None:
        """The registration, None when it was not asked for."""
        return self.desk.registration

    @property
    def agreement(self) -> Agreement | None:
        """What was agreed with the server on the security of the hop to it; None when that was not asked for."""
        return self.desk.line.agreement

    @property
    def certificates(self) -> Certificates:
        """Whose certificates it knows; ``accept`` one there after its fingerprint was compared."""
        return self.desk.secure.certificates

    def registration_changes(self) -> AsyncIterator[tuple[RegistrationState, RequestFailed | None]]:
        """Each time that the registration is made, refreshed or lost; with the reason when it is lost."""
        return self._changes

    @property
    def addresses(self) -> list[str]:
        """Where it listens, as ``sip:`` URIs that another agent can call without a server."""
        return self.desk.line.addresses()

    # -- what it does ----------------------------------------------------------------------------------

    async def call(
        self,
        address: str,
        *,
        media: Media = SILENCE,
        sign: bool = False,
        encrypt: bool = False,
        tunnel: bool = False,
        aib: bool = False,
        subject: str = "",
        privacy: Wanted | None = None,
    ) -> OutgoingCall:
        """Call somebody: returns when the INVITE is on its way; then ``await call.answered``.

        An address without a scheme is called like our own, one without a domain in ours. What is negotiated is signed
        and encrypted end to end as asked for, ``tunnel`` protects the header fields too, and ``aib`` adds a statement
        of who calls (RFC 3893). The subject of an encrypted call can be read by the callee alone. ``privacy`` is
        what the privacy service keeps from the callee, such as ``Privacy.SESSION``; None: what the agent asks for.

        Raises:
            CallError: when there is nowhere to send it.
            LocalError: when the address is none, the media can't be had, or a certificate is missing.
        """
        uri = self.desk.target(address)
        wish = await introduce(self.desk, Wish(sign, encrypt, tunnel or bool(encrypt and subject), aib), uri)
        return await self._call(uri, media, _more(subject, privacy), wish)

    async def _call(
        self, uri: SipUri, media: Media, headers: Iterable[tuple[str, str]], wish: Wish
    ) -> OutgoingCall:
        session = Session(media, self.desk.token, self.desk.encryption, sips=uri.secure)
        call = OutgoingCall(self.desk, session, uri, headers, wish)
        await call.start()
        return call

    def incoming(self) -> AsyncIterator[IncomingCall]:
        """Calls to us, each while it rings: ``async for call in alice.incoming(): await call.answer()``."""
        return self._incoming

    async def send_text(
        self,
        address: str,
        text: str,
        *,
        sign: bool = False,
        encrypt: bool = False,
        tunnel: bool = False,
        aib: bool = False,
        subject: str = "",
        privacy: Wanted | None = None,
    ) -> None:
        """Send a text message, protected as ``call`` has it; returns when it has arrived.

        Raises:
            MessageError: the answer, when it was not accepted.
            LocalError: when the address is none, the text too long for it, or a certificate is missing.
        """
        wish = Wish(sign, encrypt, tunnel or bool(encrypt and subject), aib)
        wish = await introduce(self.desk, wish, self.desk.target(address))
        await send_text(self.desk, address, text, wish=wish, headers=_more(subject, privacy))

    def texts(self) -> AsyncIterator[Text]:
        """Text messages to us."""
        return self._texts

    async def options(self, address: str) -> Response:
        """Ask somebody what they can do (RFC 3261 section 11); gives the answer, whatever it is.

        Raises:
            RequestFailed: when there is none.
        """
        request = self.desk.request("OPTIONS", self.desk.target(address))
        request.headers.add("Accept", "application/sdp")
        return await self.desk.exchange(request).run()


def _more(subject: str, privacy: Wanted | None) -> list[tuple[str, str]]:
    """Header fields that a request gets besides the usual ones."""
    more = [("Subject", subject)] if subject else []
    return more if privacy is None else [*more, *(fields(wanted(privacy)) or [("Privacy", Privacy.NONE)])]
