"""A dialog as one user agent sees it (RFC 3261 section 12): who the peer is, how to reach it, what is in order.

A ``Dialog`` is made from the request and response that establish it. It writes the requests that go out in it
and judges those that come in; it sends nothing and knows no transaction. Its owner tells it of all that
happens: of responses received (``heard``) or given (``answered``), of requests received, ACK included
(``receive``), and of requests that got no response (``failed``). A dialog that no INVITE made is Established
from its 2xx.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from ringfence.engine.dialog_states import CONFIRMED, TABLE, Event, State
from ringfence.engine.reliable import is_reliable, rack_for
from ringfence.engine.routing import Route, contact_of, is_sips, next_hop, route_of_request, route_of_response
from ringfence.message import Headers, LocalError, Message, NameAddr, PeerError, Request, Response
from ringfence.message.fields import DialogName

TARGET_REFRESH = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY"})
"""Requests whose Contact becomes the remote target (RFC 3261 section 12.2, RFC 3311 section 5, RFC 6665)."""

CREDENTIALS = ("Authorization", "Proxy-Authorization")
MAX_FORWARDS: Final = 70
OWNER_WAIT: tuple[float, float] = (2.1, 4.0)  # not Final: mypyc loses pairs of floats
"""Seconds to wait after a 491, at random, for who made the Call-ID (RFC 3261 section 14.1)."""

OTHER_WAIT = (0.0, 2.0)
"""The same for the other side."""

MAX_RETRY_AFTER = 10
"""The Retry-After of a 500 to a second INVITE is at random from 0 to this (RFC 3261 section 14.2)."""


class DialogId(NamedTuple):
    """What names a dialog at one user agent (RFC 3261 section 12). A tag that RFC 2543 left out is empty."""

    call_id: str
    local_tag: str
    remote_tag: str

    @classmethod
    def of_received(cls, request: Request) -> DialogId:
        """The dialog that a received request is in, if its To has a tag."""
        return cls(request.call_id, request.to.tag or "", request.from_.tag or "")

    @classmethod
    def of_response(cls, response: Response) -> DialogId:
        """The dialog that a received response is in, if its To has a tag."""
        return cls(response.call_id, response.from_.tag or "", response.to.tag or "")

    @classmethod
    def of_name(cls, name: DialogName) -> DialogId:
        """The dialog that a received Replaces or Join names (RFC 3891 section 3); "0" stands for no tag."""
        tags = ("" if tag == "0" else tag for tag in (name.to_tag, name.from_tag))
        return cls(name.call_id, *tags)


class Refusal(NamedTuple):
    """Why a request in a dialog is not acceptable, and whether the answer has a Retry-After of 0 to 10 s."""

    status: int
    reason: str
    retry_after: bool = False


@dataclass(slots=True, eq=False)
class Dialog:
    """One dialog. ``local_uri`` and ``remote_uri`` have no tag; a tag that is missing is empty."""

    call_id: str
    local_tag: str
    remote_tag: str
    local_uri: NameAddr
    remote_uri: NameAddr
    remote_target: str
    made_call_id: bool
    """Whether the first request was ours."""
    route_set: Route = ()
    secure: bool = False
    state: str = State.EARLY
    local_cseq: int | None = None
    remote_cseq: int | None = None
    invite_cseq: int | None = None
    """Of our INVITE that has no final response yet."""
    invited_cseq: int | None = None
    """Of the peer's INVITE that is not over yet."""
    updated_cseq: int | None = None
    """Of the peer's UPDATE that has no final response yet."""
    offer_sent: bool = False
    """Set by who negotiates: an offer of ours has no answer yet."""
    offer_received: bool = False
    """Set by who negotiates: an offer of the peer has no answer yet."""

    # -- creation (RFC 3261 section 12.1) --------------------------------------------------------------

    @classmethod
    def uas(cls, request: Request, response: Response, *, tls: bool = False) -> Dialog:
        """The dialog that our response establishes (section 12.1.1). ``tls``: the request came over TLS.

        Raises:
            PeerError: 400 when the request has not exactly one SIP Contact, or not a SIPS one that it needs.
        """
        target = contact_of(request, secure=is_sips(request))
        if target is None:
            raise PeerError(400, "a request that makes a dialog needs one", header="Contact")
        dialog_id = DialogId(request.call_id, response.to.tag or "", request.from_.tag or "")
        addresses = _without_tag(request.to), _without_tag(request.from_)
        dialog = cls(*dialog_id, *addresses, target, made_call_id=False)
        dialog.route_set = route_of_request(request)
        dialog.secure = tls and is_sips(request)
        dialog.remote_cseq = request.cseq.number
        if request.method == "INVITE":
            dialog.invited_cseq = request.cseq.number
        dialog._begin(request.method, response.status)
        return dialog

    @classmethod
    def uac(cls, request: Request, response: Response, *, tls: bool = False) -> Dialog:
        """The dialog that a response to our request establishes (section 12.1.2). ``tls``: it went over TLS.

        A provisional response may lack a Contact; until one comes, the target is what the request was for.

        Raises:
            PeerError: 400 when the response has more than one Contact, or not a SIPS one that it needs.
        """
        target = contact_of(response, secure=is_sips(request)) or request.uri
        dialog_id = DialogId.of_response(response)
        addresses = _without_tag(request.from_), _without_tag(response.to)
        dialog = cls(*dialog_id, *addresses, target, made_call_id=True)
        dialog.route_set = route_of_response(response)
        dialog.secure = tls and is_sips(request)
        dialog.local_cseq = request.cseq.number
        if request.method == "INVITE" and response.status < 200:
            dialog.invite_cseq = request.cseq.number
        dialog._begin(request.method, response.status)
        return dialog

    def _begin(self, method: str, status: int) -> None:
        if not 100 < status < 300:
            raise LocalError(f"a {status} makes no dialog (RFC 3261 section 12.1)")
        if method != "INVITE":
            self.state = State.ESTABLISHED
        elif status >= 200:
            self.state = State.MORATORIUM

    # -- what it is ------------------------------------------------------------------------------------

    @property
    def id(self) -> DialogId:
        """What names it."""
        return DialogId(self.call_id, self.local_tag, self.remote_tag)

    @property
    def early(self) -> bool:
        """Whether no 2xx has confirmed it."""
        return self.state is State.EARLY

    @property
    def confirmed(self) -> bool:
        """Whether a 2xx has confirmed it, and no BYE ended it."""
        return self.state in CONFIRMED

    @property
    def ended(self) -> bool:
        """Whether a BYE, or the failure of the INVITE, has ended it."""
        return self.state in {State.MORTAL, State.MORGUE}

    @property
    def may_invite(self) -> bool:
        """Whether no INVITE is in progress in either direction (RFC 3261 section 14.1)."""
        return self.confirmed and self.invite_cseq is None and self.invited_cseq is None

    @property
    def may_hang_up(self) -> bool:
        """Whether a BYE may be sent: by the callee not before the ACK has come (RFC 3261 section 15)."""
        return not self.ended and (self.made_call_id or self.state is State.ESTABLISHED)

    @property
    def glare_wait(self) -> tuple[float, float]:
        """From how many seconds to how many to wait after a 491 (RFC 3261 section 14.1)."""
        return OWNER_WAIT if self.made_call_id else OTHER_WAIT

    # -- requests of ours (RFC 3261 section 12.2.1) ----------------------------------------------------

    def next_cseq(self) -> int:
        """Take the next local sequence number."""
        self.local_cseq = 1 if self.local_cseq is None else self.local_cseq + 1
        return self.local_cseq

    def request(self, method: str) -> Request:
        """A request in the dialog, complete but for its Via, Contact and body (section 12.2.1.1).

        An INVITE counts as in progress until ``heard`` or ``failed`` is called; a BYE ends the dialog.

        Raises:
            LocalError: when the dialog has ended, or another INVITE is in progress; for ACK and CANCEL.
        """
        if self.state is State.MORGUE or (self.state is State.MORTAL and method != "BYE"):
            raise LocalError(f"the dialog has ended: no {method}")
        if method in {"ACK", "CANCEL"}:
            raise LocalError(f"{method} has the CSeq of its INVITE")
        if method == "INVITE" and (self.invite_cseq is not None or self.invited_cseq is not None):
            raise LocalError("an INVITE is in progress (RFC 3261 section 14.1)")
        number = self.next_cseq()
        if method == "INVITE":
            self.invite_cseq = number
        elif method == "BYE":
            self._happened(Event.BYE)
        return self._write(method, number)

    def ack(self, number: int, invite: Request | None = None) -> Request:
        """The ACK for a 2xx to the INVITE with this CSeq number (section 13.2.2.4).

        With the INVITE, its credentials are repeated, as they must be.
        """
        self._happened(Event.ACK)
        ack = self._write("ACK", number)
        if invite is not None:
            for name in CREDENTIALS:
                for value in invite.headers.all(name):
                    ack.headers.add(name, value)
        return ack

    def prack(self, response: Response) -> Request:
        """The PRACK for a reliable provisional response (RFC 3262 section 4).

        Raises:
            PeerError: 400 when its RSeq is malformed.
        """
        rack = rack_for(response)
        prack = self.request("PRACK")
        prack.headers.add("RAck", rack)
        return prack

    def _write(self, method: str, number: int) -> Request:
        uri, route = next_hop(self.remote_target, self.route_set)
        headers = Headers()
        for value in route:
            headers.add("Route", value)
        headers.add("Max-Forwards", MAX_FORWARDS)
        headers.add("From", _with_tag(self.local_uri, self.local_tag))
        headers.add("To", _with_tag(self.remote_uri, self.remote_tag))
        headers.add("Call-ID", self.call_id)
        headers.add("CSeq", f"{number} {method}")
        headers.add("Content-Length", 0)
        return Request(method, uri, headers)

    def heard(self, response: Response) -> None:
        """Note a response to a request of ours, the one that made the dialog included.

        Raises:
            PeerError: 400 when its Contact or Record-Route is malformed.
        """
        number, method = response.cseq.number, response.cseq.method
        status = response.status
        if method == "INVITE":
            if status >= 200 and number == self.invite_cseq:
                self.invite_cseq = None
            if self.state is State.EARLY and 200 <= status < 300:
                # "RFC 2543 did not mandate mirroring of the Record-Route header field in a 1xx" (13.2.2.4).
                self.route_set = route_of_response(response)
            self._happened(_event(status))
        elif method == "BYE" and status >= 200 and status not in {401, 407}:
            self._happened(Event.BYE_OVER)
        # Nothing but a reliable response refreshes the target (RFC 6141 section 4.7).
        if method in TARGET_REFRESH and (200 <= status < 300 or is_reliable(response)):
            self.refresh(response)

    def failed(self, method: str) -> None:
        """Note that a request of ours got no final response, or none in this dialog.

        So the early dialogs of a fork end, 64*T1 after the 2xx of another one (section 13.2.2.4).
        """
        if method == "INVITE":
            self.invite_cseq = None
            self._happened(Event.FAILURE)
        elif method == "BYE":
            self._happened(Event.BYE_OVER)

    # -- requests of the peer (RFC 3261 section 12.2.2) ------------------------------------------------

    def judge(self, request: Request) -> Refusal | None:
        """Why a request in this dialog cannot be accepted, or None. Changes nothing.

        In order by CSeq (section 12.2.2), not in the way of another INVITE (14.2) or of an offer (RFC 3311
        section 5.2), and the dialog must not have ended (RFC 5407 section 3.2).
        """
        number, method = request.cseq.number, request.cseq.method
        if method in {"ACK", "CANCEL"}:
            return None
        if self.state is State.MORGUE or (self.state is State.MORTAL and method != "BYE"):
            return Refusal(481, "the dialog has ended")
        if self.remote_cseq is not None and number < self.remote_cseq:
            return Refusal(500, f"CSeq {number} comes after {self.remote_cseq}")
        if method == "INVITE":
            if self.invite_cseq is not None or self.offer_sent:
                return Refusal(491, "our own change is in progress")
            if self.invited_cseq is not None:
                return Refusal(500, "the INVITE before it is in progress", retry_after=True)
        if method == "UPDATE":
            if self.updated_cseq is not None:
                return Refusal(500, "the UPDATE before it is in progress", retry_after=True)
            if request.body and self.offer_sent:
                return Refusal(491, "our own offer has no answer yet")
            if request.body and self.offer_received:
                return Refusal(500, "the offer before it has no answer yet", retry_after=True)
        return None

    def receive(self, request: Request) -> None:
        """Take a request of the peer.

        Raises:
            PeerError: what ``judge`` finds, as an answer.
        """
        number, method = request.cseq.number, request.cseq.method
        if method == "ACK":
            if number == self.invited_cseq:
                self.invited_cseq = None
                self._happened(Event.ACK)
            return
        refusal = self.judge(request)
        if method != "CANCEL" and (self.remote_cseq is None or number > self.remote_cseq):
            self.remote_cseq = number
        if refusal is not None:
            raise PeerError(refusal.status, refusal.reason)
        if method == "INVITE":
            self.invited_cseq = number
        elif method == "UPDATE":
            self.updated_cseq = number
        elif method == "BYE":
            self._happened(Event.BYE)

    def answered(self, request: Request, response: Response) -> None:
        """Note a response of ours to a request of the peer, the one that made the dialog included.

        To accept refreshes the target: a 2xx or a reliable provisional response (RFC 6141 section 4.6).

        Raises:
            PeerError: 400 when the Contact of the request is malformed.
        """
        status, method = response.status, request.method
        number = request.cseq.number
        if method == "INVITE" and number == self.invited_cseq:
            if status >= 300:
                self.invited_cseq = None
            self._happened(_event(status))
        elif method == "UPDATE" and status >= 200 and number == self.updated_cseq:
            self.updated_cseq = None
        if method in TARGET_REFRESH and (200 <= status < 300 or is_reliable(response)):
            self.refresh(request)
            if status >= 200:
                # RFC 4916 section 4.4.2: "if the UA sends a 2xx response, the UA MUST update the remote URI".
                self.remote_uri = _without_tag(request.from_)

    def unacknowledged(self) -> None:
        """Note that no ACK for our 2xx came in 64*T1: a BYE is due (RFC 3261 section 14.2)."""
        self.invited_cseq = None
        self._happened(Event.ACK)

    def over(self) -> None:
        """Note that the transaction of a BYE is over."""
        self._happened(Event.BYE_OVER)

    def refresh(self, message: Message) -> None:
        """Take the remote target from a message's Contact, if it has one.

        Raises:
            PeerError: 400 when it has more than one, or not a SIPS one in a secure dialog.
        """
        self.remote_target = contact_of(message, secure=self.secure) or self.remote_target

    def _happened(self, event: Event) -> None:
        row = TABLE.get((self.state, event))
        if row is not None:
            self.state = row[0]

    def __repr__(self) -> str:
        return f"<Dialog {self.call_id} {self.local_tag} {self.remote_tag} {self.state}>"


def _event(status: int) -> Event:
    if status < 200:
        return Event.PROVISIONAL
    return Event.SUCCESS if status < 300 else Event.FAILURE


def _without_tag(address: NameAddr) -> NameAddr:
    return NameAddr(address.uri, address.display, address.params.without("tag"))


def _with_tag(address: NameAddr, tag: str) -> NameAddr:
    return address.with_param("tag", tag) if tag else address
