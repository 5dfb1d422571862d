"""Phones, and other elements, at the edge of a ``Network``; a test reads as what they say.

    alice >> alice.invite("sip:bob@example.org") << 407      # she sends; the next that she gets is this
    alice >> alice.authorized() << 100
    bob << "INVITE"
    bob >> bob.answer(180)
    alice << 180
    network_is_quiet(alice, bob)                             # nobody got anything that the test did not say

``>>`` sends, ``<<`` takes the next message that arrived and says what it must be: a status or a method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Self

from ringfence.message import Headers, Message, Request, Response, ack_for, cancel_for, response_to
from ringfence.message.fields import CONTACT, RECORD_ROUTE
from ringfence.security.digest_client import answer, choose
from ringfence.transport.flow import Endpoint, PeerCertificate
from tests.conversations.network import DOMAIN, Network, Wire

SDP = b"v=0\r\no=- 1 1 IN IP4 198.51.100.10\r\ns=-\r\nc=IN IP4 198.51.100.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

_numbers = count(1)

Fields = Sequence[tuple[str, str]]


@dataclass(slots=True)
class Dialog:
    """What a user agent keeps of a dialog (RFC 3261 section 12)."""

    call_id: str
    local: str
    remote: str
    target: str
    routes: tuple[str, ...]
    cseq: int = 1


class Phone:
    """A user agent, or whatever else speaks SIP, at one address. Its ``inbox`` holds what nobody has looked at."""

    def __init__(
        self,
        network: Network,
        user: str,
        host: str,
        transport: str = "UDP",
        *,
        port: int | None = None,
        password: str = "secret",
        domain: str = DOMAIN,
        scheme: str = "sip",
        peer: PeerCertificate | None = None,
        behind: str | None = None,
    ) -> None:
        self.network = network
        self.user = user
        self.password = password
        self.aor = f"{scheme}:{user}@{domain}"
        self.transport = transport
        self.bracketed = f"[{host}]" if ":" in host else host
        self.port = port or (5061 if transport == "TLS" else 5060)
        source = Endpoint(
            behind or host, next(_numbers) + 40_000 if transport != "UDP" or behind else self.port
        )
        self.wire: Wire = network.wires.wire(transport, source, peer)
        kind = "" if transport == "UDP" or scheme == "sips" else f";transport={transport.lower()}"
        self.contact = f"{scheme}:{user}@{self.bracketed}:{self.port}{kind}"
        self.inbox: list[tuple[Message, Wire]] = []
        self.last: Message
        self.arrived_by: Wire
        self.sent: Request
        self.dialog: Dialog
        self.tag = f"{user}{next(_numbers)}"
        self.nonce_count = 0
        network.places[source.host] = self._arrived

    def _arrived(self, message: Message, wire: Wire) -> None:
        self.inbox.append((message, wire))

    # -- the conversation ------------------------------------------------------------------------------

    def __rshift__(self, message: Message | bytes) -> Self:
        """Send; requests by the phone's own wire, responses to where the request came from."""
        wire = self.wire
        if isinstance(message, Request) and message.method not in {"ACK", "CANCEL"}:
            self.sent = message
        elif isinstance(message, Response) and self.arrived_by.reliable:
            wire = self.arrived_by
        self.network.deliver(message, wire)
        return self

    def __lshift__(self, expected: int | str) -> Self:
        """Take the next message that came."""
        assert self.inbox, f"{self.user} got nothing where {expected} was expected"
        self.last, self.arrived_by = self.inbox.pop(0)
        assert named(self.last) == expected, f"{self.user} got {self.last!r} where {expected} was expected"
        return self

    @property
    def request(self) -> Request:
        """The message taken last, a request."""
        assert isinstance(self.last, Request)
        return self.last

    @property
    def response(self) -> Response:
        """The message taken last, a response."""
        assert isinstance(self.last, Response)
        return self.last

    # -- requests --------------------------------------------------------------------------------------

    def via(self, branch: str | None = None) -> str:
        """A Via of this phone."""
        rport = ";rport" if self.transport == "UDP" else ""
        branch = branch or f"z9hG4bK{next(_numbers)}"
        return f"SIP/2.0/{self.transport} {self.bracketed}:{self.port};branch={branch}{rport}"

    def ask(
        self,
        method: str,
        uri: str,
        *more: tuple[str, str],
        to: str | None = None,
        from_: str | None = None,
        body: bytes = b"",
        call_id: str | None = None,
        cseq: int = 1,
        hops: int | None = 70,
        contact: str | None = None,
    ) -> Request:
        """A request outside a dialog. ``more`` are further header fields, in the place where they usually are."""
        fields = [
            ("Via", self.via()),
            *([("Max-Forwards", str(hops))] if hops is not None else []),
            ("From", f"{from_ or f'<{self.aor}>'};tag={self.tag}"),
            ("To", to or f"<{uri}>"),
            ("Call-ID", call_id or f"{next(_numbers)}@{self.bracketed}"),
            ("CSeq", f"{cseq} {method}"),
            *(
                [("Contact", f"<{contact or self.contact}>")]
                if method in {"INVITE", "SUBSCRIBE", "REFER"}
                else []
            ),
            *more,
            *([("Content-Type", "application/sdp")] if body else []),
            ("Content-Length", str(len(body))),
        ]
        return Request(method, uri, Headers(fields), body)

    def invite(self, uri: str, *more: tuple[str, str], body: bytes = SDP, **how: str) -> Request:
        """An INVITE with an offer."""
        return self.ask("INVITE", uri, *more, body=body, **how)  # type: ignore[arg-type]

    def register(
        self, *more: tuple[str, str], contact: str | None = None, cseq: int = 1, **how: str | None
    ) -> Request:
        """A REGISTER of the phone's own contact; ``contact`` "" leaves it out."""
        scheme, _, domain = self.aor.partition(":")
        value = f"<{self.contact}>" if contact is None else contact
        request = self.ask(
            "REGISTER",
            f"{scheme}:{domain.partition('@')[2]}",
            *([("Contact", value)] if value else []),
            *more,
            to=how.get("to") or f"<{self.aor}>",
            from_=how.get("from_"),
            call_id=how.get("call_id") or f"registration-of-{self.user}",
            cseq=cseq,
        )
        request.uri = how.get("uri") or request.uri
        return request

    def again(self, request: Request | None = None) -> Request:
        """The request anew: next CSeq, new branch."""
        request = (request or self.sent).copy()
        request.headers.set("Via", self.via())
        cseq = request.cseq
        request.headers.set("CSeq", f"{cseq.number + 1} {cseq.method}")
        return request

    def authorized(
        self,
        request: Request | None = None,
        *,
        password: str | None = None,
        user: str | None = None,
        uri: str | None = None,
        choice: int = 0,
        count: int = 1,
        integrity: bool = False,
    ) -> Request:
        """The request that was challenged anew, with an answer to the challenge taken last."""
        answered = self.again(request)
        register = "WWW-Authenticate" in self.response.headers
        values = self.response.headers.all("WWW-Authenticate" if register else "Proxy-Authenticate")
        credentials = answer(
            choose(values[choice:])[0],
            method=answered.method,
            uri=uri or answered.uri,
            username=user or self.user,
            cnonce="0a4f113b",
            password=self.password if password is None else password,
            body=answered.body,
            count=count,
            integrity=integrity,
        )
        answered.headers.add("Authorization" if register else "Proxy-Authorization", str(credentials))
        return answered

    def cancel(self) -> Request:
        """The CANCEL for the request sent last."""
        return cancel_for(self.sent)

    def ack(self) -> Request:
        """The ACK for the failure taken last, on the branch of its INVITE."""
        return ack_for(self.sent, self.response)

    # -- responses and dialogs -------------------------------------------------------------------------

    def answer(
        self, status: int, *more: tuple[str, str], request: Request | None = None, body: bytes = b""
    ) -> Response:
        """The answer to the request taken last; below 300 it begins a dialog."""
        request = request or self.request
        response = response_to(request, status, to_tag=self.tag)
        for name, value in more:
            response.headers.add(name, value)
        if 100 < status < 300 and request.method in {"INVITE", "SUBSCRIBE", "REFER", "NOTIFY"}:
            response.headers.set("Contact", f"<{self.contact}>")
            self._begin(response.headers, request.headers, request.headers, local="To", remote="From")
        if body:
            response.set_body(body, "application/sdp")
        return response

    def begin(self) -> Self:
        """Begin the dialog that the response taken last makes."""
        self._begin(
            self.response.headers, self.response.headers, self.response.headers, local="From", remote="To"
        )
        self.dialog.routes = self.dialog.routes[::-1]
        return self

    def _begin(self, own: Headers, theirs: Headers, routes: Headers, *, local: str, remote: str) -> None:
        contact = theirs.first(CONTACT)
        target = str(contact.uri) if contact is not None and not isinstance(contact, str) else ""  # type: ignore[union-attr]
        self.dialog = Dialog(
            own.get("Call-ID") or "",
            own.get(local) or "",
            theirs.get(remote) or "",
            target,
            tuple(str(route) for route in routes.every(RECORD_ROUTE)),
        )

    def within(
        self, method: str, *more: tuple[str, str], cseq: int | None = None, body: bytes = b""
    ) -> Request:
        """A request inside the dialog (RFC 3261 section 12.2.1.1)."""
        dialog = self.dialog
        if cseq is None and method != "ACK":
            dialog.cseq += 1
        fields = [
            ("Via", self.via()),
            *(("Route", route) for route in dialog.routes),
            ("Max-Forwards", "70"),
            ("From", dialog.local),
            ("To", dialog.remote),
            ("Call-ID", dialog.call_id),
            ("CSeq", f"{cseq or dialog.cseq} {method}"),
            *([("Contact", f"<{self.contact}>")] if method in {"INVITE", "UPDATE"} else []),
            *more,
            ("Content-Length", str(len(body))),
        ]
        return Request(method, dialog.target, Headers(fields), body)


def named(message: Message) -> int | str:
    """The status of a response, the method of a request."""
    return message.status if isinstance(message, Response) else str(getattr(message, "method", ""))


def network_is_quiet(*phones: Phone) -> None:
    """Nobody got anything that was not looked at, and nothing went astray."""
    for phone in phones:
        assert not phone.inbox, f"{phone.user} also got {[message for message, _ in phone.inbox]}"
        assert not phone.network.lost, f"went astray: {phone.network.lost}"
