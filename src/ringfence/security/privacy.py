"""The rules of privacy: what a message may still tell of its sender (RFC 3323, RFC 3325, RFC 5379, RFC 7044).

``TABLE`` is the whole of it: a row for each header field, with the priv-values that it is changed for, how, and why.
docs/privacy.md is made from it. A sender is whoever wrote the message, so the same rows serve a caller's requests, a
callee's responses, and what either sends inside the dialog.

Who asks for ``header``, ``session`` or ``user`` gets a back-to-back user agent (``roles.bridge``): two dialogs, each
with names of its own. So what names a dialog or the way to a party is replaced for any of the three, which is more
than the RFCs ask for. ``id`` and ``history`` need no state, and a proxy does them.

A field that has no row may say anything. For ``user`` it is removed: what nobody here can judge does not pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from ringfence.message.address import NameAddr
from ringfence.message.errors import PeerError
from ringfence.message.fields import DIVERSION, HISTORY_INFO, PRIVACY, PROXY_REQUIRE, REASON, RETRY_AFTER
from ringfence.message.grammar import unescape
from ringfence.message.headers import Headers
from ringfence.message.params import Params
from ringfence.message.uri import SipUri, Uri

ANONYMOUS: Final = '"Anonymous" <sip:anonymous@anonymous.invalid>'
"""The From of nobody (RFC 3323 section 4.1)."""

ANONYMOUS_URI: Final = "sip:anonymous@anonymous.invalid"

OPTION: Final = "privacy"
"""The option tag by which a user agent makes sure that a privacy service takes its request (RFC 3323 section 4.3)."""


class Privacy(StrEnum):
    """The priv-values that are known."""

    HEADER = "header"
    """Header fields that a user agent can't set at will must not lead to it."""
    SESSION = "session"
    """Neither must media."""
    USER = "user"
    """What a user agent could have left out itself is left out for it."""
    ID = "id"
    """The identity that the network asserts stays in the network (RFC 3325)."""
    HISTORY = "history"
    """So does the way that the request has taken (RFC 7044)."""
    NONE = "none"
    """Nothing is to be done, whatever the account or the service would do of itself."""
    CRITICAL = "critical"
    """What can't be done fails the request."""


LEVELS: Final = frozenset({Privacy.HEADER, Privacy.SESSION, Privacy.USER, Privacy.ID, Privacy.HISTORY})
"""The values that ask for something."""

BRIDGED: Final = frozenset({Privacy.HEADER, Privacy.SESSION, Privacy.USER})
"""Those that take a back-to-back user agent."""

NOTHING: Final[frozenset[str]] = frozenset()


class Wish(NamedTuple):
    """What a message asks for."""

    values: frozenset[str] = NOTHING
    """The known ones of ``LEVELS``."""
    critical: bool = False
    none: bool = False
    unknown: tuple[str, ...] = ()
    """Values that nobody here knows, in order."""

    @property
    def bridged(self) -> bool:
        """Whether it takes a back-to-back user agent."""
        return not BRIDGED.isdisjoint(self.values)


NO_WISH: Final = Wish()


def wish_of(headers: Headers, default: frozenset[str] = NOTHING) -> Wish:
    """What a message asks for; ``default`` is what its sender has asked for once and for all.

    Raises:
        PeerError: 400 when the Privacy can't be read, or has ``none`` beside something else: nobody may guess then.
    """
    if "Privacy" not in headers.names:
        return Wish(default) if default else NO_WISH
    words = tuple(dict.fromkeys(word for values in headers.every(PRIVACY) for word in values))
    if Privacy.NONE in words:
        if len(words) > 1:
            raise PeerError(400, "none stands alone (RFC 3323 section 4.2)", header="Privacy")
        return Wish(none=True)
    values = frozenset(word for word in words if word in LEVELS)
    unknown = tuple(word for word in words if word not in LEVELS and word != Privacy.CRITICAL)
    return Wish(values | default, Privacy.CRITICAL in words, unknown=unknown)


def settle(headers: Headers, done: Iterable[str]) -> None:
    """Take the values that have been seen to off a message (RFC 3323 section 5).

    With the last one goes the header field, and with that the ``privacy`` of Proxy-Require.
    """
    if "Privacy" in headers.names:
        words = dict.fromkeys(word for values in headers.every(PRIVACY) for word in values)
        left = [word for word in words if word not in done]
        if left and left != [Privacy.CRITICAL]:
            headers.set("Privacy", ";".join(left))
            return
        headers.remove("Privacy")
    if "Proxy-Require" in headers.names:
        options = [option for option in headers.every(PROXY_REQUIRE) if option.lower() != OPTION]
        headers.remove("Proxy-Require")
        if options:
            headers.add("Proxy-Require", ", ".join(options))


def failure(unmet: Iterable[str]) -> str:
    """The reason phrase of the 500 for a ``critical`` that can't be met: which values (RFC 3323 section 5)."""
    return f"Server Internal Error (privacy that can't be given: {', '.join(unmet)})"


# -- the table -----------------------------------------------------------------------------------------


_PLACE: Final = frozenset({"index", "rc", "mp", "np"})
_NUMBERS: Final = re.compile(r"[0-9.]{1,40}").fullmatch
"""Parameters of History-Info that say where in the tree an entry stands (RFC 7044 section 5.1)."""

_PROTOCOLS: Final = frozenset({"SIP", "Q.850", "PREEMPTION", "RELEASE_CAUSE"})
"""Protocols of Reason (RFC 3326, RFC 4411); another word may be anything."""


class Treatment(StrEnum):
    """What becomes of a header field."""

    KEEP = "kept"
    REMOVE = "removed"
    REPLACE = "replaced by ours"
    """The back-to-back user agent writes its own."""
    ANONYMOUS = "made anonymous"
    TRANSLATE = "translated"
    """It names a dialog: the receiver knows that by other names."""
    TRIM = "reduced to its code"
    """Free text goes, what a machine reads stays."""


class Row(NamedTuple):
    """One header field."""

    name: str
    treatment: Treatment
    values: frozenset[str]
    """The priv-values for which it is treated so; for all others it is kept."""
    why: str


_ANY: Final = BRIDGED
_USER: Final = frozenset({Privacy.USER})
_HEADER: Final = frozenset({Privacy.HEADER, Privacy.USER})
_IDENTITY: Final = frozenset({Privacy.ID, Privacy.HEADER, Privacy.USER})
_HISTORY: Final = frozenset({Privacy.HISTORY, Privacy.HEADER})


def _rows(treatment: Treatment, values: frozenset[str], why: str, *names: str) -> list[Row]:
    return [Row(name, treatment, values, why) for name in names]


_ROWS: Final = [
    # The dialog and the way to the party: RFC 3323 section 5.1.
    *_rows(Treatment.REPLACE, _ANY, "names the hosts that the message came by", "Via"),
    *_rows(Treatment.REPLACE, _ANY, "leads to the party's own device", "Contact"),
    *_rows(Treatment.REPLACE, _ANY, "names the proxies on the party's side", "Record-Route", "Route", "Path"),
    *_rows(Treatment.REPLACE, _ANY, "phones write their address into it", "Call-ID"),
    *_rows(Treatment.REPLACE, _ANY, "counts what the party has sent", "CSeq", "RAck"),
    *_rows(Treatment.REPLACE, _ANY, "is that of the other dialog; one hop less", "Max-Forwards"),
    *_rows(Treatment.REPLACE, _ANY, "the tag is replaced; the address is what the receiver knows already", "To"),
    *_rows(Treatment.REPLACE, _ANY, "is that of the new body", "Content-Length"),
    *_rows(Treatment.ANONYMOUS, _USER, "names the user; its tag is replaced in any case", "From"),
    *_rows(
        Treatment.TRANSLATE,
        _ANY,
        "names a dialog, by the address in its Call-ID",
        *("Replaces", "Join", "Target-Dialog", "Refer-To"),
    ),
    # Who it is, by the word of somebody else: RFC 3325, RFC 8224, RFC 3892.
    *_rows(
        Treatment.REMOVE,
        _IDENTITY,
        "names the user; trusted peers are told, and asked to keep it (RFC 3325 section 7)",
        *("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID"),
    ),
    *_rows(Treatment.REMOVE, _USER, "is signed for the user's own address", "Identity", "Identity-Info"),
    *_rows(Treatment.REMOVE, _USER, "names the user in its credentials", "Authorization", "Proxy-Authorization"),
    *_rows(Treatment.REMOVE, _USER, "names who refers", "Referred-By"),
    *_rows(Treatment.ANONYMOUS, _HISTORY, "names whom the request was for before (RFC 7044 10.1.2)", "History-Info"),
    *_rows(
        Treatment.REMOVE,
        _HISTORY | _USER,
        "the same, as it was done before RFC 7044",
        *("Diversion", "P-Served-User"),
    ),
    # What a user agent tells of itself: RFC 3323 section 5.3.
    *_rows(
        Treatment.REMOVE,
        _USER,
        "is not needed, and tells of the user (RFC 3323 section 5.3)",
        *("Subject", "Call-Info", "Organization", "User-Agent", "Reply-To", "In-Reply-To", "Server"),
    ),
    *_rows(Treatment.REMOVE, _USER, "names the host that warns", "Warning"),
    *_rows(Treatment.REMOVE, _USER, "leads to a server of the user's choice", "Alert-Info", "Error-Info"),
    *_rows(Treatment.REMOVE, _USER, "is any text of the user's choice", "User-to-User"),
    *_rows(
        Treatment.REMOVE,
        _HEADER,
        "tells where the user is",
        *("Geolocation", "Geolocation-Routing", "Geolocation-Error", "P-Access-Network-Info"),
        *("P-Visited-Network-ID",),
    ),
    *_rows(
        Treatment.REMOVE,
        _HEADER,
        "is for the network of the user",
        *("P-Charging-Vector", "P-Charging-Function-Addresses", "P-Charge-Info", "P-User-Database"),
        *("P-Associated-URI", "P-Profile-Key", "Policy-Contact", "Policy-ID"),
        *("Security-Client", "Security-Server", "Security-Verify"),
    ),
    *_rows(Treatment.REMOVE, _HEADER, "is the same on both sides, and ties them together", "Session-ID"),
    *_rows(Treatment.REMOVE, _HEADER, "leads to the party's own device", "Refer-Events-At"),
    *_rows(
        Treatment.REMOVE, _USER, "names addresses of the user", *("Trigger-Consent", "Permission-Missing"),
        "P-Refused-URI-List",
    ),
    *_rows(Treatment.TRIM, _USER, "its text may say anything", "Reason", "Retry-After"),
]  # fmt: skip

HARMLESS: Final = (
    *("Accept", "Accept-Contact", "Accept-Encoding", "Accept-Language", "Accept-Resource-Priority"),
    *("Allow", "Allow-Events", "Answer-Mode", "Authentication-Info", "Content-Disposition"),
    *("Content-Encoding", "Content-Language", "Content-Transfer-Encoding", "Content-Type", "Date"),
    *("Event", "Expires", "Feature-Caps", "Flow-Timer", "Info-Package", "Max-Breadth", "MIME-Version"),
    *("Min-Expires", "Min-SE", "P-Answer-State", "P-Called-Party-ID", "P-Early-Media", "Priority"),
    *("Priv-Answer-Mode", "Privacy", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Require"),
    *("RSeq", "Recv-Info", "Refer-Sub", "Reject-Contact", "Request-Disposition", "Require"),
    *("Resource-Priority", "SIP-ETag", "SIP-If-Match", "Session-Expires", "Subscription-State"),
    *("Supported", "Suppress-If-Match", "Timestamp", "Unsupported", "WWW-Authenticate"),
)
"""What the other side needs to understand the message, and what tells of no user. A challenge names a realm; without it
nobody could answer it."""

TABLE: Final[dict[str, Row]] = {
    row.name: row
    for row in (*_ROWS, *_rows(Treatment.KEEP, NOTHING, "says what is wanted, not by whom", *HARMLESS))
}

OTHERS: Final = Row(
    "any other", Treatment.REMOVE, _USER, "what nobody here can judge might say anything of the user"
)
"""The row for fields that have none."""

ON_A_REGISTRATION: Final = frozenset({"From", "Authorization", "Proxy-Authorization"})
"""What a REGISTER keeps for any value: the registrar has to know whose it is."""


def treatment_of(name: str, asked: frozenset[str]) -> Treatment:
    """What becomes of a field (canonical name) in a message whose sender has asked for these values."""
    row = TABLE.get(name, OTHERS)
    return Treatment.KEEP if row.values.isdisjoint(asked) else row.treatment


def passed(
    headers: Headers, asked: frozenset[str], *, keep: frozenset[str] = NOTHING
) -> list[tuple[str, str]]:
    """The fields that a back-to-back user agent copies from one dialog to the other: names and values, in order.

    Those that it has to write itself are left out. ``keep``: fields that are kept whatever the table says.

    Raises:
        PeerError: 400 when one that must be changed can't be read.
    """
    kept: list[tuple[str, str]] = []
    for name, value in headers:
        row = TABLE.get(name, OTHERS)
        treatment = row.treatment
        if treatment is Treatment.REPLACE or treatment is Treatment.TRANSLATE or name == "From":
            if name in keep:
                kept.append((name, value))
        elif row.values.isdisjoint(asked) or name in keep:
            kept.append((name, value))
        elif treatment is Treatment.TRIM:
            if code := trimmed(name, value):
                kept.append((name, code))
        elif name == "History-Info":
            kept += [(name, each) for each in _history(value)]
    return kept


def without_history(headers: Headers, *, all_of_it: bool) -> None:
    """``history`` alone, which a proxy can do: entries keep their place and name nobody (RFC 7044 section 10.1.2).

    ``all_of_it``: every entry, and what was said before RFC 7044. Else those that ask for it themselves, and in
    Diversion the same addresses; the others stay as they were received.

    Raises:
        PeerError: 400 when an entry can't be read.
    """
    values = headers.values("History-Info")
    read = headers.every(HISTORY_INFO)
    private = [all_of_it or _is_private(entry) for entry in read]
    named = {_whom(entry.uri) for entry, hidden in zip(read, private, strict=True) if hidden}
    headers.remove("History-Info")
    for value, hidden in zip(values, private, strict=True):
        headers.add("History-Info", _history(value)[0] if hidden else value)
    if not headers.has("Diversion"):
        return
    values = [] if all_of_it else headers.values("Diversion")
    diverted = [] if all_of_it else headers.every(DIVERSION)
    headers.remove("Diversion")
    for value, address in zip(values, diverted, strict=True):
        if _whom(address.uri) not in named:
            headers.add("Diversion", value)


def _whom(uri: Uri) -> str:
    """Whom an address names, however it is written; for a comparison in which too much may be equal."""
    if isinstance(uri, SipUri):
        return f"{unescape(uri.user or '')}@{uri.host}".lower()
    return str(uri).lower()


def _history(value: str) -> list[str]:
    """The entries of one line, anonymous, each with its place in the tree (``index``) and how it got there."""
    entries = Headers([("History-Info", value)]).every(HISTORY_INFO)
    kept = []
    for entry in entries:
        places = [each for each in entry.params if each[0].lower() in _PLACE and _NUMBERS(each[1] or "")]
        params = Params(tuple(places))
        kept.append(f"<{ANONYMOUS_URI}>{params}")
    return kept


def private_entries(headers: Headers) -> bool:
    """Whether an entry of History-Info asks for its own privacy (``?Privacy=history``, RFC 7044 section 10.1.2)."""
    return any(_is_private(entry) for entry in headers.every(HISTORY_INFO))


def _is_private(entry: NameAddr) -> bool:
    return isinstance(entry.uri, SipUri) and "privacy=history" in entry.uri.headers.lower()


def trimmed(name: str, value: str) -> str:
    """A Reason or Retry-After without its texts; empty when nothing is left."""
    if name == "Retry-After":
        after = Headers([(name, value)]).first(RETRY_AFTER)
        return str(after.seconds) if after is not None else "0"
    reasons = Headers([(name, value)]).every(REASON)
    return ", ".join(
        f"{each.protocol};cause={each.cause}" if each.cause is not None else each.protocol
        for each in reasons
        if each.protocol.upper() in _PROTOCOLS
    )
