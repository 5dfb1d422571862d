"""Where the requests of a dialog go: Contact, Record-Route and Route (RFC 3261 sections 12.1 and
12.2.1.1).
"""

from __future__ import annotations

from ringfence.message import Message, NameAddr, PeerError, Request, Response, SipUri
from ringfence.message.fields import CONTACT, RECORD_ROUTE

Route = tuple[str, ...]
"""A route set: header values as text, in the order in which they are visited."""


def route_of_request(request: Request) -> Route:
    """The route set of the user agent that received the request (section 12.1.1).

    Raises:
        PeerError: 400 when Record-Route is malformed, 416 when it is not of SIP URIs.
    """
    return tuple(str(value) for value in request.headers.every(RECORD_ROUTE) if value.sip)


def route_of_response(response: Response) -> Route:
    """The route set of the user agent that received the response: the same, seen from the other end (12.1.2).

    Raises:
        PeerError: 400 when Record-Route is malformed, 416 when it is not of SIP URIs.
    """
    return tuple(str(value) for value in reversed(response.headers.every(RECORD_ROUTE)) if value.sip)


def next_hop(target: str, route: Route) -> tuple[str, Route]:
    """Request-URI and Route: the target, or before a strict router that router (section 12.2.1.1)."""
    if not route:
        return target, ()
    first = RECORD_ROUTE.parse(route[0]).sip
    if "lr" in first.params:
        return target, route
    return as_request_uri(first), (*route[1:], f"<{target}>")


def contact_of(message: Message, *, secure: bool) -> str | None:
    """The Contact of a message that makes or refreshes a dialog, fit for a Request-URI; None without one.

    Raises:
        PeerError: 400 when it is not one SIP or SIPS URI, or not SIPS where it must be (RFC 5630 section 5.2).
    """
    found = message.headers.every(CONTACT)
    if not found:
        return None
    contact = found[0]
    if len(found) > 1 or not isinstance(contact, NameAddr) or not isinstance(contact.uri, SipUri):
        raise PeerError(400, "a dialog needs one SIP or SIPS URI", header="Contact")
    if secure and not contact.uri.secure:
        raise PeerError(400, "a SIPS dialog needs a SIPS URI", header="Contact")
    return as_request_uri(contact.uri)


def as_request_uri(uri: SipUri) -> str:
    """The URI without header fields and ``method``, which must not stand in a Request-URI (RFC 3261 table 1)."""
    if not uri.headers and "method" not in uri.params:
        return str(uri)
    return str(uri.replace(params=uri.params.without("method"), headers=""))


def is_sips(request: Request) -> bool:
    """Whether the Request-URI is SIPS."""
    return request.uri[:5].lower() == "sips:"


def needs_sips_contact(request: Request) -> bool:
    """Whether the Contact of the response that makes a dialog must be SIPS (RFC 3261 section 12.1.1)."""
    if is_sips(request):
        return True
    route = request.headers.first(RECORD_ROUTE)
    if route is not None:
        return route.uri.scheme == "sips"
    contact = request.headers.first(CONTACT)
    return isinstance(contact, NameAddr) and contact.uri.scheme == "sips"
