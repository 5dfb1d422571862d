"""Tunnelled header fields: a signed copy inside, what arrived outside, one verdict for each (RFC 3261 23.4).

A proxy has to change some header fields, so a signature over all of them would always break. The sender
signs a copy instead, as ``message/sip`` or ``message/sipfrag``, and the receiver compares. Two tables say
what a difference means: ``MODIFIABLE`` (section 23.4.1.1 and what later RFCs let proxies do) and
``CONFIDENTIAL`` (section 23.4.1.2). Whatever is in neither and differs has been tampered with, and is
named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from ringfence.message.address import NameAddr
from ringfence.message.errors import PeerError
from ringfence.message.fields import DATE, FROM, REGISTRY, TO
from ringfence.message.headers import Headers, read
from ringfence.message.message import Message, Request, Response
from ringfence.message.multipart import Entity, make_entity
from ringfence.message.sipfrag import Fragment, RequestLine, StatusLine, parse_fragment
from ringfence.security.agreement import OPTION as AGREEMENT

MAX_AGE = 3600.0
"""Seconds that a signed Date may differ from now (RFC 3261 section 23.4.2: "on the order of an hour")."""

REQUEST_URI = "Request-URI"
"""The name under which the start line is compared; the method and the status code are compared as
``Start-Line``."""
START_LINE = "Start-Line"


class Compared(StrEnum):
    """What became of a header field on its way."""

    SAME = "same"
    ALLOWED = "allowed to differ"
    CHANGED = "changed"
    MISSING = "missing"
    HIDDEN = "hidden"


class Line(NamedTuple):
    """The verdict on one header field, with both values as text."""

    name: str
    compared: Compared
    reason: str
    inner: tuple[str, ...]
    outer: tuple[str, ...]


class Comparison(NamedTuple):
    """Every verdict, in the order of the inner message, then of what the outer one adds."""

    lines: tuple[Line, ...]

    @property
    def violations(self) -> tuple[Line, ...]:
        """What has been tampered with: to be told to the user, or a 403 (RFC 3261 section 23.4.2)."""
        return tuple(line for line in self.lines if line.compared in (Compared.CHANGED, Compared.MISSING))

    def shown(self, name: str) -> tuple[str, ...]:
        """The values to show or use: what was signed or encrypted, else what arrived."""
        for line in self.lines:
            if line.name == name:
                return line.inner or line.outer
        return ()


_PROXY = "RFC 3261 section 23.4.1.1"
MODIFIABLE: dict[str, str] = {
    "Via": _PROXY,
    "Record-Route": _PROXY,
    "Route": _PROXY,
    "Max-Forwards": _PROXY,
    "Proxy-Authorization": _PROXY,
    "Max-Breadth": "RFC 5393 section 5.3.3",
    "Path": "RFC 3327 section 5.2",
    "Service-Route": "RFC 3608 section 6.3",
    "History-Info": "RFC 7044 section 9",
    "Diversion": "RFC 5806",
    "P-Asserted-Identity": "RFC 3325 section 5",
    "P-Preferred-Identity": "RFC 3325 section 6",
    "Privacy": "RFC 3323 section 5",
    "Identity": "RFC 8224 section 6.1",
    "Identity-Info": "RFC 4474 section 6",
    "Session-Expires": "RFC 4028 section 8.1",
    "Min-SE": "RFC 4028 section 8.1",
    "Security-Client": "RFC 3329 section 2.3.1",
    "Security-Verify": "RFC 3329 section 2.3.1",
    "Security-Server": "RFC 3329 section 2.3.1",
    "WWW-Authenticate": "RFC 3261 section 16.7 step 7",
    "Proxy-Authenticate": "RFC 3261 section 16.7 step 7",
    "Proxy-Authentication-Info": "RFC 7615 section 4",
    "Feature-Caps": "RFC 6809 section 4.3",
    "P-Access-Network-Info": "RFC 7315 section 4.4",
    "P-Visited-Network-ID": "RFC 7315 section 4.3",
    "P-Charging-Vector": "RFC 7315 section 4.6",
    "P-Charging-Function-Addresses": "RFC 7315 section 4.5",
    "P-Called-Party-ID": "RFC 7315 section 4.2",
    "P-Served-User": "RFC 5502 section 6",
}
"""What a proxy may change, add or remove, and the RFC that lets it."""

ADDABLE = {
    "Date": "RFC 8224 section 6.1",
    "Reason": "RFC 3326 section 2",
    "Warning": "RFC 3261 section 20.43",
}
"""What a proxy may add where the sender had none, but never change."""

DESCRIPTIVE = frozenset(
    {
        "MIME-Version",
        "Content-Type",
        "Content-Length",
        "Content-Language",
        "Content-Encoding",
        "Content-Disposition",
        "Content-Transfer-Encoding",
        "Content-ID",
    }
)
"""They describe the body next to them: the inner ones the inner body, the outer ones the S/MIME around it."""

CONFIDENTIAL = frozenset(
    {
        "Subject",
        "Reply-To",
        "Organization",
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Alert-Info",
        "Error-Info",
        "Authentication-Info",
        "Expires",
        "In-Reply-To",
        "Require",
        "Supported",
        "Unsupported",
        "Retry-After",
        "User-Agent",
        "Server",
        "Warning",
    }
)
"""End to end by meaning: an encrypted one takes the place of what is outside (RFC 3261 section 23.4.1.2)."""

USELESS = frozenset({"Min-Expires", "Timestamp", "Authorization", "Priority"})
"""Encrypting these says nothing; the inner value is ignored (RFC 3261 section 23.4.1.2)."""

_REQUIRING = frozenset({"Require", "Proxy-Require"})

# Free text and opaque values have a case; everything else is compared without (RFC 3261 section 7.3.1).
_CASED = frozenset(
    {
        "Call-ID",
        "In-Reply-To",
        "Subject",
        "Organization",
        "Server",
        "User-Agent",
        "Warning",
        "Identity",
        "Timestamp",
    }
)
_SPACES = re.compile(r"[ \t]*([;,=<>])[ \t]*|[ \t]+")


def compare(inner: Fragment, outer: Message, *, encrypted: bool = False, whole: bool = True) -> Comparison:
    """Compare a tunnelled copy with the message that carried it.

    ``encrypted`` says that the copy could be read by the recipient alone, so that header fields may be
    hidden in it. ``whole`` says that it is a ``message/sip`` with all header fields of the sender; in a
    fragment, what is not there was not signed and gets no verdict.
    """
    lines = list(_start_lines(inner, outer, whole))
    lines += [
        _line(name, inner.headers, outer.headers, encrypted) for name in dict.fromkeys(inner.headers.names)
    ]
    if whole:
        known = set(inner.headers.names)
        lines += [
            _added(name, outer.headers) for name in dict.fromkeys(outer.headers.names) if name not in known
        ]
    return Comparison(tuple(lines))


def _start_lines(inner: Fragment, outer: Message, whole: bool) -> Iterable[Line]:
    if inner.start is None:
        if whole:
            yield Line(START_LINE, Compared.CHANGED, "the copy has no start line", (), ())
        return
    if isinstance(inner.start, RequestLine) and isinstance(outer, Request):
        yield _plain(START_LINE, inner.start.method, outer.method)
        same = inner.start.uri == outer.uri
        compared = Compared.SAME if same else Compared.ALLOWED
        yield Line(REQUEST_URI, compared, "" if same else _PROXY, (inner.start.uri,), (outer.uri,))
    elif isinstance(inner.start, StatusLine) and isinstance(outer, Response):
        yield _plain(START_LINE, str(inner.start.status), str(outer.status))
    else:
        yield Line(
            START_LINE, Compared.CHANGED, "one is a request, the other a response", (str(inner.start),), ()
        )


def _plain(name: str, inner: str, outer: str) -> Line:
    if inner == outer:
        return Line(name, Compared.SAME, "", (inner,), (outer,))
    return Line(name, Compared.CHANGED, f"{inner:.40} was sent, {outer:.40} arrived", (inner,), (outer,))


def _line(name: str, inner: Headers, outer: Headers, encrypted: bool) -> Line:
    mine, theirs = tuple(inner.all(name)), tuple(outer.all(name))
    compared, reason = _judge(name, inner, outer, encrypted)
    return Line(name, compared, reason, mine, theirs)


def _judge(name: str, inner: Headers, outer: Headers, encrypted: bool) -> tuple[Compared, str]:
    if _equal(name, inner, outer):
        return _same_but_for_the_name(name, inner, outer)
    if name in DESCRIPTIVE:
        return Compared.ALLOWED, "describes another body"
    if name in MODIFIABLE:
        return Compared.ALLOWED, MODIFIABLE[name]
    if name in _REQUIRING and _without_agreement(name, inner) == _without_agreement(name, outer):
        return Compared.ALLOWED, "RFC 3329 section 2.3.1"
    there = name in outer
    if encrypted and name in USELESS:
        return Compared.ALLOWED, "an encrypted one is ignored (RFC 3261 section 23.4.1.2)"
    if encrypted and (name in CONFIDENTIAL or name not in REGISTRY):
        return Compared.HIDDEN, "the outer one is not used" if there else "only the recipient can read it"
    if encrypted and name in ("From", "To") and there:
        return (
            Compared.HIDDEN,
            "the encrypted one is shown, never used in messages (RFC 3261 section 23.4.1.2)",
        )
    if not there:
        return Compared.MISSING, "was removed on the way"
    if name not in REGISTRY:
        return Compared.CHANGED, "unknown and not as it was sent: to be ignored (RFC 3261 section 23.4.1.2)"
    return Compared.CHANGED, "is not as it was sent"


def _added(name: str, outer: Headers) -> Line:
    theirs = tuple(outer.all(name))
    if name in DESCRIPTIVE:
        return Line(name, Compared.ALLOWED, "describes another body", (), theirs)
    allowed = MODIFIABLE.get(name) or ADDABLE.get(name)
    if allowed is not None:
        return Line(name, Compared.ALLOWED, allowed, (), theirs)
    return Line(name, Compared.CHANGED, "was added on the way", (), theirs)


# ---- comparing values (RFC 3261 section 20, 19.1.4 and 7.3.1) ----


def _equal(name: str, inner: Headers, outer: Headers) -> bool:
    mine, theirs = _values(name, inner), _values(name, outer)
    if len(mine) != len(theirs):
        return False
    return all(_equal_value(name, one, other) for one, other in zip(mine, theirs, strict=True))


def _values(name: str, headers: Headers) -> list[str]:
    field = REGISTRY.get(name)
    try:
        # One line with a comma list and several lines say the same (section 7.3.1).
        return headers.values(name) if field is not None and field.many else headers.all(name)
    except PeerError:
        return headers.all(name)


def _without_agreement(name: str, headers: Headers) -> list[str]:
    """The option tags that no proxy may take away."""
    return sorted(value.lower() for value in _values(name, headers) if value.lower() != AGREEMENT)


def _equal_value(name: str, mine: str, theirs: str) -> bool:
    if mine == theirs:
        return True
    field = REGISTRY.get(name)
    if field is not None:
        try:
            one, other = read(field, mine), read(field, theirs)
        except PeerError:
            return False
        if isinstance(one, NameAddr) and isinstance(other, NameAddr):
            return _equal_address(name, one, other)
        if name == "Date":
            return one == other
    mine, theirs = _normal(mine), _normal(theirs)
    return mine == theirs if name in _CASED or field is None else mine.lower() == theirs.lower()


def _equal_address(name: str, one: NameAddr, other: NameAddr) -> bool:
    """URIs match (19.1.4), and so do the parameters. A From or To may have more outside: a fragment often is
    signed before there is a tag (RFC 3893 section 3)."""
    if one.uri != other.uri:
        return False
    mine, theirs = _folded(one), _folded(other)
    return mine == theirs if name not in ("From", "To") else mine.items() <= theirs.items()


def _folded(address: NameAddr) -> dict[str, str]:
    return {key.lower(): (value or "").lower() for key, value in address.params}


def _normal(text: str) -> str:
    """The text with the white space that no grammar cares for taken out, outside of quoted strings."""
    pieces = text.split('"')
    pieces[::2] = [_SPACES.sub(lambda match: match[1] or " ", piece) for piece in pieces[::2]]
    return '"'.join(pieces).strip()


def _same_but_for_the_name(name: str, inner: Headers, outer: Headers) -> tuple[Compared, str]:
    """A display name does not count when header fields are compared (20.20), yet it is what people see."""
    if name not in ("From", "To"):
        return Compared.SAME, ""
    field = FROM if name == "From" else TO
    try:
        mine, theirs = inner.first(field), outer.first(field)
    except PeerError:
        return Compared.SAME, ""  # both are malformed in the same way
    if mine is None or theirs is None or mine.display == theirs.display:
        return Compared.SAME, ""
    return Compared.ALLOWED, f"the display name {theirs.display!r:.60} is not signed, {mine.display!r:.60} is"


def age_flaw(inner: Headers, now: float, limit: float = MAX_AGE) -> str | None:
    """Why the signed Date is no proof that this message is new (RFC 3261 section 23.4.2), or None.

    Raises:
        PeerError: 400 when the Date is malformed.
    """
    date = inner.first(DATE)
    if date is None:
        return "no Date is signed"
    age = now - date.timestamp()
    return (
        f"the signed Date is {abs(age):.0f} s {'old' if age > 0 else 'ahead'}" if abs(age) > limit else None
    )


# ---- tunnelling ----


def tunnelled(message: Message) -> Entity:
    """A ``message/sip`` copy of a message, with its body: to be signed or encrypted."""
    return make_entity("message/sip", message.to_bytes())


def read_tunnelled(entity: Entity) -> tuple[Fragment, bool] | None:
    """The copy in a ``message/sip`` or ``message/sipfrag`` body, and whether it is a whole message; else
    None.

    Raises:
        PeerError: 400 when its lines are no header fields.
    """
    essence = entity.media_type.essence
    if essence not in ("message/sip", "message/sipfrag"):
        return None
    return parse_fragment(entity.content(), strict=False), essence == "message/sip"
