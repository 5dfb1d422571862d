"""Where a request goes next (RFC 3261 section 16.6 step 7): which URI decides, and the places that it leads to."""

from __future__ import annotations

from functools import lru_cache

from ringfence.engine.locate import locate_at_once
from ringfence.engine.places import Destination, Preferences
from ringfence.message import Request, SipUri, sip_uri
from ringfence.message.fields import ROUTE
from ringfence.roles.call import Call, Target
from ringfence.transport.flow import Flow

MAX_DATAGRAM = 1300
"""Octets of a request that may go by UDP where the path MTU is not known (RFC 3261 section 18.1.1)."""

MAX_ADDRESSES = 8192
"""URIs whose place is remembered: to work it out takes 8 us, three times a call."""

ADDED = 400
"""Octets that a request grows by on its way through us: a Via, two Record-Routes, Max-Breadth and a longer URI."""


def next_hop(call: Call, target: Target) -> SipUri:
    """The URI to send to: the topmost Route, or the Request-URI.

    When the request must be kept secure the result is ``sips``: the hop is TLS. For the domain of a peer it has the
    transport that the configuration wants.

    Raises:
        PeerError: 400 or 416 when it is no SIP URI.
    """
    if target.route:
        hop = ROUTE.parse(target.route[0]).sip
    elif call.request.headers.has("Route"):
        hop = call.request.headers.every(ROUTE)[0].sip
    else:
        hop = sip_uri(target.uri)
    if must_be_tls(call, target) and not hop.secure:
        hop = hop.replace(scheme="sips", params=hop.params.without("transport"))
    peers = call.services.policy.peers
    if peers and (peer := peers.at(hop.host)) is not None and peer.transport and hop.transport is None:
        hop = hop.replace(params=hop.params.with_("transport", peer.transport.lower()))
    return hop


def place_of(uri: SipUri) -> str:
    """The host that a URI is sent to."""
    return (uri.params.get("maddr") or "").lower() or uri.address


def must_be_tls(call: Call, target: Target) -> bool:
    """Whether no plaintext hop will do (RFC 5630 section 5.3)."""
    return target.tls or call.uri.secure


def usable_flow(call: Call, target: Target) -> Flow | None:
    """The open flow that the target is reached by, or None."""
    flow = call.services.driver.pool.find(target.flow) if target.flow else None
    return flow if flow is not None and not flow.closed else None


def known_places(call: Call, hop: SipUri) -> list[Destination] | None:
    """The places that a next hop leads to, in the order to be tried; None when the DNS has to be asked."""
    resolver = call.services.resolver
    found = _by_address(str(hop), resolver.preferences) or resolver.known(hop)
    if found and _may_be_large(call.request, found):
        return _large_first(found, resolver.known(hop, large=True) or [])
    return found


@lru_cache(MAX_ADDRESSES)
def _by_address(text: str, preferences: Preferences) -> list[Destination] | None:
    """The one place of a URI with an address for its host, as registered contacts have it. Nobody changes the list."""
    return locate_at_once(sip_uri(text), preferences)


async def look_up(call: Call, hop: SipUri) -> list[Destination]:
    """The same, when the DNS has to be asked."""
    resolver = call.services.resolver
    found = await resolver.locate(hop)
    if _may_be_large(call.request, found):
        return _large_first(found, await resolver.locate(hop, large=True))
    return found


def _large_first(found: list[Destination], large: list[Destination]) -> list[Destination]:
    """18.1.1: a long request goes by TCP, and by UDP when TCP can't be had. A URI that says UDP gives no other."""
    return large + [place for place in found if place.transport == "UDP" and place not in large]


def _may_be_large(request: Request, found: list[Destination]) -> bool:
    """Whether the request is too large for one of the places, which it would reach by UDP."""
    size = len(request.body) + ADDED
    for line in request.headers.lines:
        size += len(line) + 2
    return size > MAX_DATAGRAM and any(place.transport == "UDP" for place in found)
