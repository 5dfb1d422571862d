"""A message of one dialog, written anew for the other one."""

from __future__ import annotations

from typing import Final

from ringfence.engine.dialog import TARGET_REFRESH
from ringfence.message import (
    Headers,
    NameAddr,
    Params,
    PeerError,
    Request,
    Response,
    SipUri,
    Uri,
    response_to,
)
from ringfence.message.fields import CONTACT, FROM, RACK, RAck, Star
from ringfence.roles.bridge.bridges import Bridges
from ringfence.roles.bridge.legs import NAME, Bridge, Leg, Pair
from ringfence.roles.bridge.names import translated
from ringfence.roles.hiding import own_contact
from ringfence.roles.media import Party
from ringfence.roles.policy import Policy
from ringfence.security.privacy import ANONYMOUS, BRIDGED, NOTHING, Privacy, passed, settle
from ringfence.transport.flow import Flow

DIALOG_METHODS: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})
"""Requests whose 2xx makes a dialog (RFC 3261, RFC 6665, RFC 3515)."""

_WITH_CONTACT: Final = TARGET_REFRESH | DIALOG_METHODS

FEATURES: Final = frozenset(
    {"audio", "video", "text", "application", "data", "control", "isfocus", "automata", "duplex", "methods"}
)
"""Parameters of a Contact that say what a device can do (RFC 3840), and not which one it is."""

PLACE: Final = "sip:here.invalid"
"""Stands in a Contact of ours until it is known which way the message leaves."""

_ANONYMOUS: Final = FROM.parse(ANONYMOUS)
_ROUTE: Final = frozenset({"Route"})
_CONTACT: Final = frozenset({"Contact"})


def first_request(bridge: Bridge, bridges: Bridges, request: Request) -> Request:
    """The request that began it, as the callee gets it: outside a dialog, from somebody else.

    Raises:
        PeerError: 400 when a field that must be changed can't be read.
    """
    asked = bridge.asked[Party.CALLER]
    headers = Headers()
    _copy(headers, request, "Max-Forwards")
    headers.add("From", bridge.from_.with_param("tag", bridge.tag))
    headers.add("To", str(bridge.to))
    headers.add("Call-ID", bridge.call_id)
    headers.add("CSeq", f"{bridge.cseq} {request.method}")
    if request.method in DIALOG_METHODS:
        _add_contact(headers, request, NAME + bridge.tag)
    _add_passed(headers, request, bridges, asked, _ROUTE, aor_of(request.target))
    return _with_body(Request(request.method, request.uri, headers), request)


def next_request(pair: Pair, sender: Party, bridges: Bridges, request: Request) -> Request:
    """A request inside the dialog of its sender, for the other one, whose state it changes.

    Raises:
        PeerError: 400 when a field that must be changed can't be read.
        LocalError: when the other dialog can't send it now.
    """
    bridge, leg, other = pair.bridge, pair.leg(sender), pair.leg(sender.other)
    asked = bridge.asked[sender]
    dialog = other.dialog
    if request.method == "ACK":
        number = leg.invites.get(request.cseq.number)
        if number is None:
            raise PeerError(481, "it acknowledges no INVITE that is known")
        written = dialog.ack(number)
    else:
        written = dialog.request(request.method)
    headers = written.headers
    written.uri = dialog.remote_target
    headers.remove("Route")  # as a proxy has them: who forwards it sees to strict routers
    for route in reversed(dialog.route_set):
        headers.prepend("Route", route)
    headers.remove("Max-Forwards")
    _copy(headers, request, "Max-Forwards")
    if Privacy.USER not in asked:
        sender_now = request.from_  # it may have changed (RFC 4916)
        params = sender_now.params.without("tag")
        address = NameAddr(sender_now.uri, sender_now.display, params)
        headers.set("From", address.with_param("tag", dialog.local_tag) if dialog.local_tag else address)
    if request.method in _WITH_CONTACT:
        _add_contact(headers, request, other.name)
    if "RAck" in request.headers.names:
        headers.add("RAck", _acknowledged(leg, request))
    headers.remove("Content-Length")
    _add_passed(headers, request, bridges, asked, NOTHING, aor_of(dialog.remote_uri.uri))
    return _with_body(written, request)


def response_back(
    bridge: Bridge,
    bridges: Bridges,
    responder: Party,
    asked: Request,
    response: Response,
    *,
    tag: str,
    name: str,
) -> Response:
    """The response for whoever ``asked``, in its own dialog. ``tag``: ours; ``name``: the user part of our Contact.

    Raises:
        PeerError: 400 when a field that must be changed can't be read.
    """
    wishes = _wishes(bridge.asked[responder], response)
    status = response.status
    reason: str | None = response.reason
    private = not BRIDGED.isdisjoint(wishes)
    if private and 300 <= status < 400:
        status, reason = 480, None  # where to call instead would tell who it is
    elif Privacy.USER in wishes:
        reason = None
    written = response_to(asked, status, reason, to_tag=tag)
    headers = written.headers
    method = asked.method
    keep = NOTHING
    if method in _WITH_CONTACT and 100 < status < 300:
        _add_contact(headers, response, name)
    elif not private:
        keep = _CONTACT
    _add_passed(headers, response, bridges, wishes, keep, "")
    settle(headers, BRIDGED)
    written.body = response.body
    headers.set("Content-Length", len(response.body))
    return written


def _wishes(standing: frozenset[str], message: Request | Response) -> frozenset[str]:
    """What the sender asks for: once and for all, and with this message."""
    return standing | wishes_in(message)


def wishes_in(message: Request | Response) -> frozenset[str]:
    """What a message asks for itself, as far as it can be read."""
    if "Privacy" not in message.headers.names:
        return NOTHING
    words = (message.headers.get("Privacy") or "").lower().replace(",", ";").split(";")
    return frozenset(word.strip() for word in words)


def anonymous_from(request: Request, asked: frozenset[str]) -> NameAddr:
    """Who calls, as the callee is told, without a tag."""
    if Privacy.USER in asked:
        return _ANONYMOUS
    sender = request.from_
    return NameAddr(sender.uri, sender.display, sender.params.without("tag"))


def aor_of(uri: Uri) -> str:
    """The address-of-record of a SIP URI; empty for any other."""
    return uri.aor if isinstance(uri, SipUri) else ""


def without_tag(address: NameAddr) -> NameAddr:
    """The address of a To."""
    return NameAddr(address.uri, address.display, address.params.without("tag"))


def _acknowledged(leg: Leg, prack: Request) -> RAck:
    rack = prack.headers.only(RACK)
    number = leg.invites.get(rack.number)
    if number is None:
        raise PeerError(481, "it acknowledges nothing that is known", header="RAck")
    return RAck(rack.rseq, number, rack.method)


def _add_contact(headers: Headers, message: Request | Response, name: str) -> None:
    """Our own Contact; the place is filled in when the message leaves."""
    found = message.headers.first(CONTACT) if "Contact" in message.headers.names else None
    if found is None:
        return
    params = "" if isinstance(found, Star) else _features(found)
    headers.add("Contact", f"<sip:{name}@{PLACE[4:]}>{params}")


def _features(contact: NameAddr) -> str:
    return str(Params(tuple(each for each in contact.params if each[0].lower() in FEATURES)))


def own_place(policy: Policy, flow: Flow, *, secure: bool) -> str:
    """Where whoever is at the other end of a flow reaches us: a URI without a user part."""
    return own_contact(policy.addresses.sent_by(flow), flow.transport, secure) + policy.worker_mark


def place_contact(message: Request | Response, own: str) -> None:
    """Fill in where we are reached: ``own`` is a URI of ours without a user part."""
    headers = message.headers
    if "Contact" not in headers.names:
        return
    value = headers.get("Contact") or ""
    scheme, _, place = own.partition(":")
    if PLACE[4:] in value:
        headers.set("Contact", value.replace("<sip:", f"<{scheme}:", 1).replace(PLACE[4:], place, 1))


def _add_passed(
    headers: Headers,
    message: Request | Response,
    bridges: Bridges,
    asked: frozenset[str],
    keep: frozenset[str],
    receiver: str,
) -> None:
    for name, value in passed(message.headers, asked, keep=keep):
        headers.add(name, value)
    for name, value in translated(message.headers, bridges, receiver):
        headers.add(name, value)


def _with_body(written: Request, request: Request) -> Request:
    written.body = request.body
    written.headers.set("Content-Length", len(request.body))
    return written


def _copy(headers: Headers, request: Request, name: str) -> None:
    value = request.headers.get(name)
    if value is not None:
        headers.add(name, value)
