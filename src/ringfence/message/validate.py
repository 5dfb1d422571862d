"""Everything that RFC 3261 wants of a message, beyond what ``parse`` needs to route it.

``parse`` reads what every element must; a proxy forwards the rest unread (RFC 3261 section 16.3). Who answers a
request, or judges one, wants to know all that is wrong with it: every known field is read, and each fault is a
``PeerError`` with its header field. Nothing here is policy: an unknown scheme, option or body is well-formed.
"""

from __future__ import annotations

from collections.abc import Iterator

from ringfence.message.errors import PeerError
from ringfence.message.fields import (
    CONTACT,
    EXPIRES,
    MAGIC_COOKIE,
    REGISTRY,
    RSEQ,
    Star,
)
from ringfence.message.fields.contact import instance, reg_id, thousandths
from ringfence.message.fields.text import parse_text
from ringfence.message.headers import read
from ringfence.message.message import Message, Request, Response
from ringfence.message.uri import SipUri

# Fields without a comma list that may stand again all the same: one for each realm (RFC 3261 section 20.7) or for
# each signer (RFC 8224 section 4.1). In-Reply-To is a list that reads its own lines. Those fields that we do not
# read are nobody's to restrict.
_MAY_REPEAT = frozenset(
    {
        "Authorization",
        "Proxy-Authorization",
        "WWW-Authenticate",
        "Proxy-Authenticate",
        "Identity",
        "In-Reply-To",
    }
    | {name for name, field in REGISTRY.items() if field.parse is parse_text}
) - {"Organization", "Server", "Subject", "User-Agent"}

# RFC 3261 8.1.1.8 (INVITE), RFC 6665 8.1.1 (SUBSCRIBE, NOTIFY), RFC 3515 2.2 (REFER), RFC 3311 5.1 (UPDATE)
_NEEDS_CONTACT = frozenset({"INVITE", "SUBSCRIBE", "NOTIFY", "REFER", "UPDATE"})
# RFC 3262 7.2, RFC 6665 8.2, RFC 3903 4, RFC 3515 2.1
_NEEDS: dict[str, tuple[str, ...]] = {
    "PRACK": ("RAck",),
    "SUBSCRIBE": ("Event",),
    "NOTIFY": ("Event", "Subscription-State"),
    "PUBLISH": ("Event",),
    "REFER": ("Refer-To",),
}


def validate(message: Message) -> list[PeerError]:
    """All that is wrong with a message that was parsed, in the order of its lines; empty when it is well-formed."""
    faults: list[PeerError] = []
    if isinstance(message, Request):
        faults += _request_uri(message)
    elif isinstance(message, Response):
        faults += _text("the reason phrase", message.reason)
    broken = set()
    for name in dict.fromkeys(message.headers.names):
        found = list(_field(message, name))
        faults += found
        if found:
            broken.add(name)
    faults += _body(message)
    if "Via" not in broken and "CSeq" not in broken:
        faults += _needed(message)
    if "Contact" not in broken:
        faults += _contacts(message)
    return faults


def _request_uri(request: Request) -> Iterator[PeerError]:
    try:
        target = request.target
    except PeerError as error:
        yield PeerError(error.status, f"Request-URI: {error.reason}")
        return
    if isinstance(target, SipUri):
        # RFC 3261 section 19.1.1, table 1: neither may stand in a Request-URI.
        if target.headers:
            yield PeerError(400, "Request-URI: has header fields in it")
        if "method" in target.params:
            yield PeerError(400, "Request-URI: has a method parameter")


def _text(what: str, text: str, header: str | None = None) -> Iterator[PeerError]:
    try:
        parse_text(text)
    except PeerError as error:
        yield PeerError(error.status, f"{what} is {error.reason}", header=header)


def _field(message: Message, name: str) -> Iterator[PeerError]:
    """What is wrong with the lines of one name; at most one fault of each kind."""
    headers = message.headers
    field = REGISTRY.get(name)
    texts = headers.all(name)
    for text in texts:
        faults = list(_text("the value", text, name))
        if faults:
            yield faults[0]
            return
    if field is None:
        return
    try:
        if field.many:
            headers.every(field)
        else:
            for text in texts:
                read(field, text)
    except PeerError as error:
        yield error
    if len(texts) > 1 and not field.many and name not in _MAY_REPEAT:
        yield PeerError(400, "stands more than once", header=name)


def _body(message: Message) -> Iterator[PeerError]:
    if message.body and "Content-Type" not in message.headers:
        # "The Content-Type header field MUST be present if the body is not empty" (RFC 3261 section 20.15).
        yield PeerError(400, "missing, and there is a body", header="Content-Type")


def _needed(message: Message) -> Iterator[PeerError]:
    """Fields that a method must have. A request of RFC 2543, which its branch tells, is taken as it is."""
    if not message.via.branch.startswith(MAGIC_COOKIE):
        return
    method = message.cseq.method
    wanted: list[str] = []
    if isinstance(message, Request):
        wanted += _NEEDS.get(method, ())
        wanted += ["Contact"] if method in _NEEDS_CONTACT else []
    elif isinstance(message, Response) and 200 <= message.status < 300 and method in {"INVITE", "SUBSCRIBE"}:
        wanted.append("Contact")  # RFC 3261 section 12.1.1
    for name in wanted:
        if name not in message.headers:
            yield PeerError(400, f"missing, and {method} needs it", header=name)
    if RSEQ.name in message.headers and not (isinstance(message, Response) and 100 < message.status < 200):
        yield PeerError(400, "stands in what is no provisional response", header=RSEQ.name)


def _contacts(message: Message) -> Iterator[PeerError]:
    contacts = message.headers.every(CONTACT)
    method = message.headers.get("CSeq") or ""
    for contact in contacts:
        if isinstance(contact, Star):
            if not method.endswith(" REGISTER") or not isinstance(message, Request):
                yield PeerError(400, "* stands in what is no REGISTER", header="Contact")
            elif len(contacts) > 1 or message.headers.get(EXPIRES.name) != "0":
                # RFC 3261 section 10.2.2: alone, and with "Expires: 0"
                yield PeerError(400, "* stands with other addresses or without Expires: 0", header="Contact")
            return
        try:
            thousandths(contact.params, "Contact")
            instance(contact)
            reg_id(contact)
        except PeerError as error:
            yield PeerError(error.status, error.reason, header="Contact")
            return
    if len(contacts) > 1 and isinstance(message, Request) and message.method in _NEEDS_CONTACT:
        # "exactly one SIP or SIPS URI" (RFC 3261 section 8.1.1.8)
        yield PeerError(400, f"{message.method} has one address", header="Contact")
