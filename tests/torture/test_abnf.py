"""Messages made by chance from the grammar of RFC 3261 section 25, and of later header fields: all have to be read."""

from __future__ import annotations

from random import Random

import pytest

from ringfence.message import PeerError, Request, parse, response_to
from ringfence.message.fields import REGISTRY
from ringfence.message.uri import parse_uri
from ringfence.message.validate import validate
from tests.message.samples import invite_bytes, status_of
from tests.torture.abnf import Grammar
from tests.torture.judge import HERE

INSTEAD = {
    # What the grammar lets through and the text forbids, or other documents do.
    "UTF8-NONASCII": "%xC3.A9 / %xE9.9B.BB / %xF0.9F.98.80",  # RFC 3629
    "UTF8-CONT": "%xC3.A9",
    "IPv4address": '"192.0.2." DIGIT / "0.0.0.0" / "255.255.255.255"',
    "IPv6address": '"::" / "::1" / "2001:DB8::" 1*4HEXDIG / "1:2:3:4:5:6:7:8" / "::ffff:192.0.2.1"',  # RFC 5954
    "port": '"1" / "5060" / "05061" / "65535"',
    "Contact": '("Contact" / "m" ) HCOLON name-addr *(SEMI contact-params)',  # one, and "*" is for REGISTER
    "CSeq": '"CSeq" HCOLON 1*DIGIT LWS INVITEm',  # section 8.1.1.5
    "Max-Forwards": '"Max-Forwards" HCOLON 1*2DIGIT',  # section 20.22: up to 255
    # An RFC 1123 date is case-sensitive (section 20.17).
    "SIP-date": "%x53.61.74.2C.20.31.33.20.4E.6F.76.20.32.30.31.30.20.32.33.3A.32.39.3A.30.30.20.47.4D.54",
    "protocol-name": '"SIP"',
    "protocol-version": '"2.0"',
    # A URI with a comma, a question mark or a semicolon needs brackets there (section 20).
    "from-spec": "name-addr",
    "rplyto-spec": "name-addr *( SEMI rplyto-param )",
    "To": '( "To" / "t" ) HCOLON name-addr *( SEMI to-param )',
    # What stands in other documents.
    "telephone-subscriber": '"+" 1*DIGIT',
    "rquest-uri": "Request-URI",
}
RULES = [(HERE / each).read_text() for each in ("rfc3261/section25.abnf", "extensions.abnf")]
GRAMMAR = Grammar("".join(RULES), INSTEAD)
FIELDS = (
    *(
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Alert-Info",
        "Allow",
        "Authentication-Info",
        "Authorization",
    ),
    *(
        "Call-ID",
        "Call-Info",
        "Contact",
        "Content-Disposition",
        "Content-Encoding",
        "Content-Language",
        "Content-Type",
    ),
    *(
        "CSeq",
        "Date",
        "Error-Info",
        "Expires",
        "From",
        "In-Reply-To",
        "Max-Forwards",
        "MIME-Version",
        "Min-Expires",
    ),
    *(
        "Organization",
        "Priority",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Require",
        "Record-Route",
    ),
    *("Reply-To", "Require", "Retry-After", "Route", "Server", "Subject", "Supported", "Timestamp", "To"),
    *("Unsupported", "User-Agent", "Via", "Warning", "WWW-Authenticate"),
)
LATER = (
    *("RAck", "Privacy", "P-Asserted-Identity", "Reason", "Path", "Service-Route", "Security-Client"),
    *("Request-Disposition", "Accept-Contact", "Reject-Contact", "Session-Expires", "Min-SE", "Info-Package"),
    *("Recv-Info", "Event", "Allow-Events", "Subscription-State", "History-Info", "P-Associated-URI"),
    *("P-Called-Party-ID", "P-Visited-Network-ID"),
)
ONCE = "a parameter stands twice"
"""Section 7.3.1 forbids what the grammar can't."""

EACH = 60
"""Lines of each field: three thousand in all take two seconds."""


def faults(data: bytes, name: str = "Via") -> list[PeerError]:
    """What is wrong with it, or with an answer to it, apart from parameters that chance has made twice. The field
    is asked for its first value, too, and then for all of them."""
    try:
        message = parse(data)
        message.headers.first(REGISTRY[name])
        found = validate(message)
        if isinstance(message, Request) and not found:
            parse(response_to(message, 200, to_tag="1").to_bytes())
    except PeerError as error:
        found = [error]
    return [each for each in found if each.reason != ONCE]


def with_line(name: str, line: bytes) -> bytes:
    """A good INVITE with this line for one field."""
    return invite_bytes({name: None}, length=None, extra=("X-Here: 1",)).replace(b"X-Here: 1", line)


def why(uri: str) -> str:
    """Why that URI is refused."""
    with pytest.raises(PeerError) as caught:
        parse_uri(uri)
    return caught.value.reason


@pytest.mark.rfc("3261", "25.1")
@pytest.mark.parametrize("name", FIELDS + LATER)
def test_a_header_field_of_the_grammar(name: str) -> None:
    chance = Random(name)
    for _ in range(EACH):
        line = GRAMMAR.make(name, chance)
        assert not faults(with_line(name, line), name), line


@pytest.mark.rfc("3261", "7.3.1")
@pytest.mark.parametrize("name", ["Via", "Route", "Record-Route"])
def test_the_top_value_of_a_list_is_taken_off_and_put_back(name: str) -> None:
    chance, field = Random(name), REGISTRY[name]
    for _ in range(EACH):
        data = with_line(name, GRAMMAR.make(name, chance) + b"\r\n" + GRAMMAR.make(name, chance))
        headers = parse(data).headers if not faults(data, name) else None
        try:
            values = headers.every(field) if headers is not None else []
        except PeerError:
            continue  # a parameter that stands twice
        if headers is None or not values:
            continue
        top = headers.first(field)
        headers.remove_top(name)
        assert headers.every(field) == values[1:], data
        headers.prepend(name, top)
        headers.set_top(name, top)
        assert headers.every(field) == values, data


@pytest.mark.rfc("3261", "25.1")
def test_a_request_line_and_a_status_line_of_the_grammar() -> None:
    chance = Random(1)
    for _ in range(10 * EACH):
        uri = GRAMMAR.make("Request-URI", chance).decode()
        assert status_of(parse_uri, uri) == 0 or why(uri) == ONCE, uri
        status = b"SIP/2.0 299 " + GRAMMAR.make("Reason-Phrase", chance)
        data = invite_bytes(start="SIP/2.0 200 OK").replace(b"SIP/2.0 200 OK", status)
        assert not faults(data), status
