"""Every request that comes in: which call it belongs to, or what to make of it (RFC 3261 section 8.2).

The checks stand in the order of section 8.2. What passes them goes to a call, the texts, or is answered here.
Who talks to our own server hears strangers only through it: an account with a home answers 403 to requests that
come past it, since nobody has checked their senders.
"""

from __future__ import annotations

from collections.abc import Callable

from ringfence.client.body import ACCEPT, MULTIPART, SDP, check_body, may_go_back
from ringfence.client.desk import ALLOW, EXTENSIONS, SUPPORTED, Desk
from ringfence.client.feed import Feed
from ringfence.client.incoming import IncomingCall, replace_call
from ringfence.client.protection import Protection
from ringfence.client.refusal import ACCEPTED, TEXT_TYPES, refusal
from ringfence.client.secure import CERTIFICATES
from ringfence.client.states import reason_of
from ringfence.client.text import Text, read_text
from ringfence.engine.machine import ServerTransaction
from ringfence.engine.routing import is_sips
from ringfence.message import PeerError, Request, SipUri, response_to
from ringfence.message.fields import ACCEPT as ACCEPTED_TYPES
from ringfence.message.fields import REPLACES, REQUIRE
from ringfence.message.grammar import unescape
from ringfence.transport.driver import Work
from ringfence.transport.flow import Flow

ONLY_IN_CALLS = frozenset({"BYE", "INFO", "UPDATE", "PRACK", "NOTIFY", "REFER"})

RECOGNIZED = frozenset({"REGISTER", "SUBSCRIBE", "PUBLISH"})
"""Methods that we know and that a phone does not serve: 405. Others are unknown: 501."""

Begin = Callable[[Request, ServerTransaction, Flow, Protection | None], Work | None]
"""Takes a request outside any dialog, opened, with what its protection proves."""

MAX_RINGING = 8
"""Calls that ring at one time; the next is busy. A person takes one, and each holds a transaction."""


class Reception:
    """Takes requests from the driver."""

    def __init__(self, desk: Desk, incoming: Feed[IncomingCall], texts: Feed[Text]) -> None:
        self._desk = desk
        self._incoming = incoming
        self._texts = texts

    def receive(self, request: Request, transaction: ServerTransaction | None, flow: Flow) -> Work | None:
        """Take one request. Raises PeerError for one that is malformed."""
        call = self._desk.find(request)
        if transaction is None:
            if request.method == "ACK" and call is not None:
                call.acknowledged(self._desk.secure.open(request)[0])
            return None
        if request.method == "CANCEL":
            self._cancel(request, transaction)
            return None
        try:
            if request.to.tag is None:
                return self._begin(request, transaction, flow)
            if call is None:
                told = request.method == "NOTIFY" and self._told(request, flow)
                self._desk.respond(transaction, 200 if told else 481)
                return None
            request = call.opened(request)
            self._understood(request)
            return call.receive(request, transaction)
        except PeerError as error:
            if call is not None:
                call.refuse(request, transaction, error)
            elif not transaction.answered:
                response = refusal(request, error, self._desk.token())
                if error.status == 493:
                    self._desk.secure.show_certificates(response)
                self._desk.driver.respond(transaction, response)
            return None

    def _begin(self, request: Request, transaction: ServerTransaction, flow: Flow) -> Work | None:
        """A request outside any dialog."""
        desk = self._desk
        self._addressed_to_us(request, flow)
        if desk.driver.transactions.merged(transaction) is not None:
            desk.respond(transaction, 482, "Loop Detected (the request came twice)")
            return None
        begin = self._methods().get(request.method)
        if begin is None:
            if request.method == "REFER" and not request.to.tag:
                desk.respond(transaction, 603)  # no dialog is meant: it is declined (RFC 3515 section 2.4.2)
                return None
            status = 481 if request.method in ONLY_IN_CALLS else 405 if request.method in RECOGNIZED else 501
            desk.respond(transaction, status, headers=() if status == 481 else [("Allow", ALLOW)])
            return None
        request, protection = desk.secure.open(request)
        self._understood(request)
        if protection is not None and desk.status.is_open(protection):
            return self._settled(begin, request, transaction, flow, protection)
        return begin(request, transaction, flow, protection)

    async def _settled(
        self,
        begin: Begin,
        request: Request,
        transaction: ServerTransaction,
        flow: Flow,
        protection: Protection,
    ) -> None:
        """Begin once it is known whether the certificate behind the signature still holds."""
        protection = await self._desk.status.settle(protection)
        if not transaction.answered and (work := begin(request, transaction, flow, protection)) is not None:
            await work

    def _methods(self) -> dict[str, Begin]:
        return {"INVITE": self._invite, "MESSAGE": self._message, "OPTIONS": self._options}

    # -- the checks ------------------------------------------------------------------------------------

    def _addressed_to_us(self, request: Request, flow: Flow) -> None:
        """RFC 3261 section 8.2.2.1."""
        uri = request.target
        if not isinstance(uri, SipUri):
            raise PeerError(416, f"the URI scheme {uri.scheme} is not supported")
        if uri.secure and not flow.secure:
            raise PeerError(400, "a sips request came without TLS")  # RFC 5630 section 5.3
        if self._desk.line.home is not None and not self._desk.line.from_home(flow):
            raise PeerError(403, "calls come through the server of this account")
        registration = self._desk.registration
        if registration is not None and uri.user is not None:
            gruus = (registration.public_gruu, registration.temporary_gruu)
            if any(gruu is not None and gruu.user == uri.user for gruu in gruus):
                return
        ours = self._desk.account.aor.user
        if uri.user is None:
            here = request.method == "OPTIONS" or ours is None  # a server that looks whether we are there
        else:
            here = ours is not None and unescape(uri.user) == unescape(ours)
        if not here:
            raise PeerError(404, "nobody of that name is here")

    @staticmethod
    def _understood(request: Request) -> None:
        """RFC 3261 sections 8.2.2.3, 8.2.3 and 20.1."""
        unknown = [option for option in request.headers.every(REQUIRE) if option.lower() not in EXTENSIONS]
        if unknown:
            raise PeerError(420, ", ".join(unknown), header="Require")
        accepted = ACCEPTED.get(request.method)
        if accepted is not None:
            check_body(request, accepted)
        if request.method == "INVITE" and not may_go_back(request, SDP):
            raise PeerError(406, f"{SDP} is all that we answer with", header="Accept")

    def _told(self, request: Request, flow: Flow) -> bool:
        """Whether it is what a subscription of ours waits for; from our own server, or it is nobody's business."""
        waiting = self._desk.subscriptions.get((request.call_id, request.to.tag or ""))
        if waiting is None or not self._desk.line.from_home(flow):
            return False
        if not waiting.done():
            waiting.set_result((request, flow))
        return True

    # -- the methods -----------------------------------------------------------------------------------

    def _invite(
        self, request: Request, transaction: ServerTransaction, flow: Flow, protection: Protection | None
    ) -> Work | None:
        desk = self._desk
        replaces = request.headers.first(REPLACES)
        if replaces is not None:
            replace_call(desk, request, transaction, flow, replaces, protection)
            return None
        if len(self._incoming) >= MAX_RINGING:
            desk.respond(transaction, 486)
            return None
        call = IncomingCall(desk, request, transaction, flow, protection)
        call.given_up = lambda: self._incoming.discard(call)
        call.ring()
        self._incoming.put(call)
        return None

    def _message(
        self, request: Request, transaction: ServerTransaction, flow: Flow, protection: Protection | None
    ) -> Work | None:
        text = read_text(self._desk, request, flow, protection)
        if self._texts.full:
            self._desk.respond(transaction, 480, "Temporarily Unavailable (nobody reads the messages)")
            return None
        self._texts.put(text)
        self._desk.respond(transaction, 200)
        return None

    def _options(
        self, request: Request, transaction: ServerTransaction, flow: Flow, _protection: Protection | None
    ) -> Work | None:
        """RFC 3261 section 11.2: the status is the one that an INVITE would get.

        Who accepts certificates gets ours, to encrypt to us.
        """
        busy = len(self._incoming) >= MAX_RINGING
        headers = [
            ("Allow", ALLOW),
            ("Accept", ", ".join([*sorted({*TEXT_TYPES, *MULTIPART}), ACCEPT])),
            ("Accept-Encoding", "identity"),
            ("Accept-Language", "*"),
            ("Supported", SUPPORTED),
            ("Contact", self._desk.contact(flow, secure=is_sips(request))),
        ]
        response = response_to(request, 486 if busy else 200, to_tag=self._desk.token())
        for name, value in headers:
            response.headers.add(name, value)
        if any(item.value.lower() == CERTIFICATES for item in request.headers.every(ACCEPTED_TYPES)):
            self._desk.secure.show_certificates(response)
        self._desk.driver.respond(transaction, response)
        return None

    def _cancel(self, request: Request, transaction: ServerTransaction) -> None:
        """RFC 3261 section 9.2. It has no credentials: it counts because it comes the way of its INVITE."""
        invite = self._desk.driver.transactions.find_invite(request)
        mine = invite is not None and (not invite.flow.reliable or invite.flow.key == transaction.flow.key)
        called = (
            invite.user if mine and invite is not None and isinstance(invite.user, IncomingCall) else None
        )
        # "the To tag of the response to the CANCEL and the To tag in the response to the original request SHOULD be
        # the same"
        self._desk.respond(
            transaction, 200 if mine else 481, to_tag=called.tag if called is not None else None
        )
        if mine and invite is not None and invite.user is None and not invite.answered:
            self._desk.respond(invite, 487)  # it waits for ``_settled``
        if called is not None:
            called.cancelled(reason_of(request, "the caller gave up"))
