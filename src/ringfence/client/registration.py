"""Being reachable: REGISTER, refresh it in time, do it again when the flow breaks, take it back at the end.

RFC 3261 section 10.2, with Path (3327), Service-Route (3608), Outbound (5626) and GRUU (5627).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from enum import StrEnum

from ringfence.client.account import Account
from ringfence.client.anonymity import fields
from ringfence.client.errors import RegistrationError, RequestFailed
from ringfence.client.exchange import Exchange
from ringfence.client.keepalive import Keepalive
from ringfence.client.keyring import Keyring
from ringfence.client.line import Hop, Line
from ringfence.message import Headers, LocalError, NameAddr, PeerError, Request, Response, SipUri, sip_uri
from ringfence.message.fields import (
    CONTACT,
    EXPIRES,
    FLOW_TIMER,
    MIN_EXPIRES,
    REQUIRE,
    RETRY_AFTER,
    SERVICE_ROUTE,
)
from ringfence.message.fields.contact import expires
from ringfence.message.grammar import quote
from ringfence.transport.flow import Flow

MAX_EXPIRES = 86_400
"""Longest Min-Expires that is obeyed: a registrar that wants more than a day is broken."""

BASE_WAIT, MAX_WAIT = 30.0, 1_800.0
"""Seconds before the first and at most before a later try to register again (RFC 5626 section 4.5)."""

FLOW_LOST_WAIT = 1.0
"""Seconds before the first try after a flow broke: until then nobody can call us, but servers come back together."""

GOODBYE_TIME = 3.0
"""Seconds that taking the registration back may hold up the end of the program."""


class RegistrationState(StrEnum):
    """Whether calls can reach us."""

    UNREGISTERED = "unregistered"
    REGISTERED = "registered"
    FAILED = "failed"
    """It was refused or could not be refreshed; it is tried again."""


Tell = Callable[[RegistrationState, RequestFailed | None], None]


class Registration:
    """The binding of one account to this agent. ``start`` raises when it is refused; then it keeps itself alive."""

    def __init__(self, line: Line, keyring: Keyring, tell: Tell) -> None:
        self.state = RegistrationState.UNREGISTERED
        self.expires = 0
        """Seconds that the registrar granted."""
        self.service_route: tuple[NameAddr, ...] = ()
        self.public_gruu: SipUri | None = None
        self.temporary_gruu: SipUri | None = None
        self.associated: tuple[str, ...] = ()
        """Other addresses of the account, as the registrar tells them (RFC 7315 section 4.1)."""
        self.outbound = False
        """Whether the registrar reaches us by the flow of the registration."""
        self.flow: Flow | None = None
        self._line, self._keyring, self._tell = line, keyring, tell
        self._account: Account = line.account
        self._call_id, self._tag, self._cseq = line.driver.token(), line.driver.token(), 0
        self._contact: SipUri | None = None
        self._wanted = self._account.expires
        self._keepalive: Keepalive | None = None
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # -- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Register, and keep it so in the background.

        Raises:
            RegistrationError: what the registrar answered, or why it could not be asked.
        """
        await self._register()
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """Take the registration back (RFC 3261 section 10.2.2), if the registrar still listens."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._keepalive is not None:
            self._keepalive.stop()
        if self.state is RegistrationState.REGISTERED:
            self._set(RegistrationState.UNREGISTERED)
            try:
                async with asyncio.timeout(GOODBYE_TIME):
                    await self._send(0)
            except (RequestFailed, TimeoutError):
                pass  # it ends by itself

    def flow_closed(self, flow: Flow) -> None:
        """A flow has failed: if it was ours, register again, over a new connection (RFC 5626 section 4.5).

        Over UDP a keepalive has not been answered, or the NAT shows us at another address.
        """
        if self.flow is not None and flow.key == self.flow.key:
            self._lost.set()

    async def _keep(self) -> None:
        failures = 0
        wait = refresh_after(self.expires)
        while True:
            self._lost.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._lost.wait()
                self._set(
                    RegistrationState.FAILED, RequestFailed(503, "the connection to the registrar broke")
                )
                await asyncio.sleep(FLOW_LOST_WAIT * random.uniform(0.5, 1.0))  # noqa: S311
            except TimeoutError:
                pass
            try:
                await self._register()
                failures, wait = 0, refresh_after(self.expires)
            except (RequestFailed, LocalError, OSError) as error:
                failed = error if isinstance(error, RequestFailed) else RequestFailed(503, str(error))
                failures += 1
                wait = _retry_after(failed) or wait_after(failures)
                self._set(RegistrationState.FAILED, failed)

    def _set(self, state: RegistrationState, error: RequestFailed | None = None) -> None:
        self.state = state
        self._tell(state, error)

    # -- the request -----------------------------------------------------------------------------------

    async def _register(self) -> None:
        """One REGISTER, again with what a 423 or 439 asks for."""
        reg_id = True
        for _ in range(3):
            try:
                response = await self._send(self._wanted, reg_id=reg_id)
            except RequestFailed as error:
                raise RegistrationError(error.status, error.reason, error.response) from None
            if response.status == 423 and self._longer(response):
                continue
            if response.status == 439 and reg_id:
                reg_id = False  # RFC 5626 section 4.2.1: the proxy before the registrar can't; do without
                continue
            break
        if response.status // 100 != 2:
            failed = RequestFailed.from_response(response)
            raise RegistrationError(failed.status, failed.reason, response)
        try:
            self._take(response)
        except PeerError as error:
            raise RegistrationError(500, f"the registrar's answer is malformed: {error}", response) from None
        self._set(RegistrationState.REGISTERED)

    async def _send(self, seconds: int, *, reg_id: bool = True) -> Response:
        line, account = self._line, self._account
        headers = Headers()
        headers.add("Max-Forwards", 70)
        headers.add("From", f"<{account.aor}>;tag={self._tag}")
        headers.add("To", f"<{account.aor}>")
        headers.add("Call-ID", self._call_id)
        headers.add("CSeq", f"{self._number()} REGISTER")
        headers.add("Supported", "path, outbound, gruu")
        headers.add("User-Agent", account.user_agent)
        for name, value in fields(account.privacy):
            headers.add(name, value)
        headers.add("Content-Length", 0)
        domain = SipUri(account.aor.scheme, None, account.aor.host, account.aor.port)

        def prepare(request: Request, flow: Flow) -> None:
            self._contact = line.contact_uri(flow, secure=account.secure)
            params = f";+sip.instance={quote(f'<{account.instance}>')}"
            if reg_id:
                params += ";reg-id=1"
            request.headers.set("Contact", f"<{self._contact}>{params};expires={seconds}")

        request = Request("REGISTER", str(domain), headers)
        exchange = Exchange(
            line, self._keyring, request, Hop(domain, home=True), prepare=prepare, next_cseq=self._number
        )
        response = await exchange.run()
        self.flow = exchange.flow
        return response

    def _number(self) -> int:
        self._cseq += 1
        return self._cseq

    def _longer(self, response: Response) -> bool:
        """RFC 3261 section 10.2.8: ask for as long as the registrar wants it at least."""
        try:
            least = response.headers.first(MIN_EXPIRES)
        except PeerError:
            return False
        if least is None or not self._wanted < least <= MAX_EXPIRES:
            return False
        self._wanted = least
        return True

    # -- the response ----------------------------------------------------------------------------------

    def _take(self, response: Response) -> None:
        headers = response.headers
        contact = self._own_binding(response)
        params = contact.params
        granted = expires(contact)
        if granted is None:
            granted = headers.first(EXPIRES)
        self.expires = min(granted if granted is not None else self._wanted, MAX_EXPIRES)
        if self.expires <= 0:
            raise PeerError(500, "the binding has already expired", header="Contact")
        self.service_route = tuple(headers.every(SERVICE_ROUTE))
        self.associated = tuple(headers.values("P-Associated-URI"))
        self.public_gruu = _gruu(params.get("pub-gruu"))
        self.temporary_gruu = _gruu(params.get("temp-gruu"))
        self.outbound = any(option.lower() == "outbound" for option in headers.every(REQUIRE))
        if self._keepalive is not None:
            self._keepalive.stop()
            self._keepalive = None
        if self.flow is not None and (self.outbound or _behind_nat(response, self.flow)):
            timer = headers.first(FLOW_TIMER) if self.outbound else None
            self._keepalive = Keepalive(self.flow, timer, answered=self.outbound)
            self._keepalive.start()

    def _own_binding(self, response: Response) -> NameAddr:
        """Our Contact among all that are registered for the address."""
        for contact in response.headers.every(CONTACT):
            if isinstance(contact, NameAddr) and contact.uri == self._contact:
                return contact
        raise PeerError(500, "our own contact is not among those it lists", header="Contact")


def refresh_after(expires: int) -> float:
    """Seconds until a registration is refreshed: a minute before its end, but not before half of its time."""
    return max(expires / 2, expires - 60.0)


def wait_after(failures: int) -> float:
    """Seconds before the next try after so many failures (RFC 5626 section 4.5): doubled, with a random part."""
    upper = min(MAX_WAIT, BASE_WAIT * 2.0 ** min(failures, 10))
    return upper * random.uniform(0.5, 1.0)  # noqa: S311  it spreads load and keeps no secret


def _behind_nat(response: Response, flow: Flow) -> bool:
    """Whether a NAT has to be kept open: over UDP the registrar sees us at another address than our own."""
    via = response.via
    return not flow.reliable and via.received is not None and via.received != via.host.strip("[]")


def _retry_after(error: RequestFailed) -> float | None:
    """What the registrar asks us to wait, within reason."""
    try:
        asked = error.response.headers.first(RETRY_AFTER) if error.response is not None else None
    except PeerError:
        return None
    return min(float(asked.seconds), MAX_WAIT) if asked is not None and asked.seconds else None


def _gruu(text: str | None) -> SipUri | None:
    return sip_uri(text) if text else None
