"""The fields that are a name-addr with parameters and nothing else.

RFC 3261 section 20 (From, To, Contact, Route, Record-Route, Reply-To), RFC 3327 (Path), RFC 3608
(Service-Route), RFC 3325 (P-Asserted-Identity, P-Preferred-Identity), RFC 7315 (P-Associated-URI,
P-Called-Party-ID), RFC 3515 (Refer-To), RFC 3892 (Referred-By), RFC 7044 (History-Info).
"""

from __future__ import annotations

from typing import Final

from ringfence.message import grammar
from ringfence.message.address import NameAddr, parse_address
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.params import Params


class Star:
    """The ``*`` of ``Contact: *``, which removes every binding (RFC 3261 section 10.2.2)."""

    __slots__ = ()

    def __str__(self) -> str:
        return "*"


STAR = Star()


def parse_contact(text: str) -> NameAddr | Star:
    """Read one contact-param or the lone ``*``."""
    return STAR if text == "*" else parse_address(text)


def parse_tagged(text: str) -> NameAddr:
    """Read a From or To; a tag must be a token (RFC 3261 section 25.1).

    Raises:
        PeerError: 400 when the address or its tag is malformed.
    """
    head, mark, tag = text.rpartition(">;tag=")
    if mark and grammar.token(tag):
        return plain_tagged(text, head + ">", tag)
    address = parse_address(text)
    if "tag" in address.params and not grammar.token(address.params.raw("tag") or ""):
        raise PeerError(400, "the tag is not a token")
    return address


def plain_tagged(text: str, address: str, tag: str | None) -> NameAddr:
    """Read the usual form from its parts: the tag is new with each call, the address has mostly been read before.

    ``address`` ends with its bracket.

    Raises:
        PeerError: 400 when the address is malformed.
    """
    known = parse_address(address)
    return known if tag is None else NameAddr(known.uri, known.display, Params((("tag", tag),)), text)


def parse_route(text: str) -> NameAddr:
    """Read one name-addr that must have its angle brackets (Route, Record-Route, Path, Service-Route).

    Raises:
        PeerError: 400 when it is malformed or has no angle brackets.
    """
    address = parse_address(text)
    if "<" not in text:
        raise PeerError(400, f"{text[:60]!r} needs angle brackets")
    return address


FROM: Final = field("From", parse_tagged, compact="f")
TO: Final = field("To", parse_tagged, compact="t")
CONTACT: Final = field("Contact", parse_contact, compact="m", many=True)
ROUTE: Final = field("Route", parse_route, many=True)
RECORD_ROUTE: Final = field("Record-Route", parse_route, many=True)
PATH: Final = field("Path", parse_route, many=True)
SERVICE_ROUTE: Final = field("Service-Route", parse_route, many=True)
REPLY_TO: Final = field("Reply-To", parse_address)
REFER_TO: Final = field("Refer-To", parse_address, compact="r")
REFERRED_BY: Final = field("Referred-By", parse_address, compact="b")
HISTORY_INFO: Final = field("History-Info", parse_route, many=True)
P_ASSERTED_IDENTITY: Final = field("P-Asserted-Identity", parse_address, many=True)
P_PREFERRED_IDENTITY: Final = field("P-Preferred-Identity", parse_address, many=True)
P_ASSOCIATED_URI: Final = field("P-Associated-URI", parse_route, many=True, empty=True)
P_CALLED_PARTY_ID: Final = field("P-Called-Party-ID", parse_route)
