"""What the calls and texts of one agent share: its line, its keys, its address, and how it words a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from ringfence.client.account import Account
from ringfence.client.anonymity import disguise, fields
from ringfence.client.certificates import Certificates
from ringfence.client.exchange import Exchange, Heard, Prepare
from ringfence.client.keyring import Keyring
from ringfence.client.line import Hop, Line
from ringfence.client.protection import Wish
from ringfence.client.registration import Registration, RegistrationState
from ringfence.client.secure import Secure
from ringfence.engine.dialog import Dialog, DialogId
from ringfence.engine.machine import ServerTransaction
from ringfence.message import (
    Headers,
    LocalError,
    NameAddr,
    PeerError,
    Request,
    SipUri,
    response_to,
    sip_uri,
)
from ringfence.message.fields import ROUTE
from ringfence.transport.flow import Flow
from ringfence.transport.sockets import is_address

if TYPE_CHECKING:
    from ringfence.client.call import Call
    from ringfence.client.outgoing import OutgoingCall
    from ringfence.client.session import Encryption, Media
    from ringfence.client.status import Status

METHODS = (
    "INVITE",
    "ACK",
    "CANCEL",
    "BYE",
    "OPTIONS",
    "MESSAGE",
    "INFO",
    "UPDATE",
    "PRACK",
    "REFER",
    "NOTIFY",
)
ALLOW = ", ".join(METHODS)

EXTENSIONS = ("100rel", "timer", "replaces", "outbound", "gruu", "norefersub", "from-change")
SUPPORTED = ", ".join(EXTENSIONS)
"""Option tags (RFC 3262, 4028, 3891, 5626, 5627, 4488) that may be required of us."""


class Place(Protocol):
    """Begins a call."""

    async def __call__(
        self, uri: SipUri, media: Media, headers: Iterable[tuple[str, str]], wish: Wish, /
    ) -> OutgoingCall: ...


OTHER_SCHEMES = frozenset(
    {"mailto", "http", "https", "im", "pres", "xmpp", "urn", "ws", "wss", "data", "file"}
)
"""What is pasted by mistake. Anything else before a colon may be a user with a password (RFC 3261 section 19.1.1)."""


class Desk:
    """One for each agent."""

    def __init__(self, account: Account, line: Line, certificates: Certificates) -> None:
        self.account = account
        self.line = line
        self.driver = line.driver
        self.token = line.driver.token
        self.keyring = Keyring(account, line.driver.token)
        self.secure = Secure(certificates, line.driver.token)
        self.registration: Registration | None = None
        self.calls: dict[DialogId, Call] = {}
        """Every call by each of its dialogs, early ones too."""
        self.subscriptions: dict[tuple[str, str], asyncio.Future[tuple[Request, Flow]]] = {}
        """What waits for the one NOTIFY of a subscription of ours, by Call-ID and our tag."""
        self.live: set[Call] = set()
        """Every call that is not over, those that nobody has heard of yet too."""
        self.encryption: Encryption | None = None
        """What calls do that do not say otherwise."""
        self.follow_redirections = False
        """Whether whom we call may send us to somebody else."""
        self.accept_transfers = False
        """Whether a peer may have us call somebody else."""
        self.place: Place
        """Begins a call; the agent's own way to do that."""
        self.status: Status
        """What asks whether certificates are revoked."""

    # -- requests --------------------------------------------------------------------------------------

    def target(self, text: str) -> SipUri:
        """What a user typed as an address; without a scheme it is called as securely as we are.

        A ``tel:`` number is one of our own domain (RFC 3261 section 19.1.6).

        Raises:
            LocalError: when it is no SIP address.
        """
        whole, scheme = text, text.partition(":")[0].lower()
        if scheme in OTHER_SCHEMES:
            raise LocalError(f"{text} is no address to call: its scheme is {scheme}, not sip, sips or tel")
        if scheme == "tel":
            whole = f"{self.account.aor.scheme}:{text[4:]}@{self.account.domain};user=phone"
        elif scheme not in {"sip", "sips"}:
            if "@" not in text and ":" not in text and not is_address(text):
                whole = f"{text}@{self.account.domain}"  # "bob": somebody of our own domain
            whole = f"{self.account.aor.scheme}:{whole}"
        try:
            return sip_uri(whole)
        except PeerError as error:
            raise LocalError(f"{text} is no address: {error.reason}") from None

    def request(self, method: str, uri: SipUri, extra: Iterable[tuple[str, str]] = ()) -> Request:
        """A request outside any dialog, without Via (RFC 3261 section 8.1.1)."""
        account = self.account
        headers = Headers()
        if self.registration is not None and self.registration.state is RegistrationState.REGISTERED:
            for route in self.registration.service_route:  # RFC 3608 section 6.1
                headers.add("Route", route)
        headers.add("Max-Forwards", 70)
        tag = self.token()
        headers.add("From", NameAddr(account.aor, account.display).with_param("tag", tag))
        headers.add("To", f"<{uri.replace(headers='')}>")
        headers.add("Call-ID", self.token())
        headers.add("CSeq", f"1 {method}")
        headers.add("User-Agent", account.user_agent)
        for name, value in extra:
            headers.add(name, value)
        if "Privacy" not in headers.names:
            for name, value in fields(account.privacy):
                headers.add(name, value)
        disguise(headers, tag)
        headers.add("Content-Length", 0)
        return Request(method, str(uri.replace(headers="")), headers)

    def again(self, request: Request) -> Request:
        """A request outside any dialog anew, as another one: its dialog has not begun."""
        copy = request.copy()
        copy.headers.set("Call-ID", self.token())
        return copy

    def hop(self, request: Request) -> Hop:
        """Where a request outside any dialog goes: the topmost Route, else the Request-URI; by home if there is one."""
        top = request.headers.first(ROUTE)
        uri = top.sip if top is not None else sip_uri(request.uri)
        return Hop(_as_secure(uri, request.uri), self.line.home is not None)

    def hop_in(self, dialog: Dialog, *, by_home: bool) -> Hop:
        """Where a request of a dialog goes: by home only as far as home put itself on the route."""
        route = dialog.route_set
        uri = ROUTE.parse(route[0]).sip if route else sip_uri(dialog.remote_target)
        return Hop(_as_secure(uri, dialog.remote_target), by_home and bool(route))

    def exchange(
        self,
        request: Request,
        hop: Hop | None = None,
        *,
        prepare: Prepare | None = None,
        heard: Heard | None = None,
        next_cseq: Callable[[], int] | None = None,
    ) -> Exchange:
        """What sends the request and gives its final response."""
        return Exchange(
            self.line,
            self.keyring,
            request,
            hop or self.hop(request),
            prepare=prepare,
            heard=heard,
            next_cseq=next_cseq,
        )

    # -- our address -----------------------------------------------------------------------------------

    def contact(self, flow: Flow, *, secure: bool, private: bool = False) -> str:
        """The Contact of a request or response that makes a dialog.

        ``private``: a temporary GRUU, if there is one, which nobody can trace to us (RFC 5767 section 4.1).

        Else the GRUU, which leads to this device from anywhere (RFC 5627 section 4.4), else our address on the flow,
        with ``ob`` where the registrar knows Outbound, so that requests for us take the flow (RFC 5626 section 4.3).
        """
        registration = self.registration
        if registration is not None and registration.state is RegistrationState.REGISTERED:
            gruu = registration.public_gruu
            if private:
                gruu = registration.temporary_gruu or gruu
            if gruu is not None and gruu.secure >= secure:
                return f"<{gruu}>"
        uri = self.line.contact_uri(flow, secure=secure or self.account.secure)
        if registration is not None and registration.outbound:
            uri = uri.replace(params=uri.params.with_("ob", None))
        return f"<{uri}>"

    def trusted(self, flow: Flow) -> bool:
        """Whether what comes by this flow is the word of our own server (RFC 3325): proved by TLS."""
        return flow.secure and self.line.from_home(flow)

    # -- responses -------------------------------------------------------------------------------------

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str | None = None,
        *,
        headers: Iterable[tuple[str, str]] = (),
        to_tag: str | None = None,
    ) -> None:
        """Answer a request that is still open."""
        if transaction.answered:
            return
        response = response_to(transaction.request, status, reason, to_tag=to_tag or self.token())
        for name, value in headers:
            response.headers.add(name, value)
        self.driver.respond(transaction, response)

    def spawn(self, work: Coroutine[Any, Any, None], transaction: ServerTransaction | None = None) -> None:
        """Do something that waits; what it raises is logged, and answered where there is a request."""
        self.driver.spawn(work, transaction)

    @staticmethod
    def flow_of(transaction: ServerTransaction) -> Flow:
        """The flow that a request came by."""
        assert isinstance(transaction.flow, Flow)  # the driver hands in no other outlets
        return transaction.flow

    # -- dialogs ---------------------------------------------------------------------------------------

    def find(self, message: Request) -> Call | None:
        """The call that a request of the peer belongs to."""
        return self.calls.get(DialogId.of_received(message))


def _as_secure(uri: SipUri, target: str) -> SipUri:
    """A hop of a sips request is TLS, whatever its own scheme says (RFC 5630 section 3.1.3)."""
    if uri.secure or not target.lower().startswith("sips:"):
        return uri
    return uri.replace(scheme="sips", params=uri.params.without("transport"))
