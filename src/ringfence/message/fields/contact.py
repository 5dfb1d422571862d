"""What the parameters of a Contact say.

RFC 3261 section 20.10 (q, expires), RFC 3840 (features), RFC 5626 (+sip.instance, reg-id), RFC 5627 (GRUUs).
"""

from __future__ import annotations

import re
from typing import Final

from ringfence.message import grammar
from ringfence.message.address import NameAddr
from ringfence.message.errors import PeerError
from ringfence.message.fields.numbers import MAX_DELTA_SECONDS
from ringfence.message.fields.valued import decimal
from ringfence.message.params import Params

# qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
_qvalue = re.compile(r"0(?:\.([0-9]{0,3}))?|1(?:\.0{0,3})?").fullmatch
# base-tags of RFC 3840 section 9; other feature tags begin with "+"
BASE_TAGS: Final = frozenset(
    {"actor", "application", "audio", "automata", "class", "control", "data", "description", "duplex", "events",
     "extensions", "isfocus", "language", "methods", "mobility", "priority", "schemes", "text", "type", "video"}
)  # fmt: skip


def thousandths(params: Params, header: str | None = None) -> int:
    """The ``q`` parameter of a value of that header, in thousandths; 1000 when there is none.

    Raises:
        PeerError: 400 when it is no qvalue.
    """
    text = params.get("q")
    if text is None:
        return 1000
    match = _qvalue(text)
    if match is None:
        raise PeerError(400, f"q={text[:20]} is no value from 0 to 1 with three decimals", header=header)
    return 1000 if text[0] == "1" else int((match[1] or "").ljust(3, "0"))


def expires(contact: NameAddr) -> int | None:
    """The ``expires`` parameter in seconds, None when there is none or it can't be read.

    "Malformed values SHOULD be treated as equivalent to 3600" (RFC 3261 section 20.10): the caller has the
    default, so it gets None. A larger number than a delta-seconds may be is malformed too.
    """
    try:
        return decimal(contact.params, "expires", MAX_DELTA_SECONDS)
    except PeerError:
        return None


def instance(contact: NameAddr) -> str | None:
    """The instance identifier without its angle brackets (RFC 5626 section 4.1).

    Raises:
        PeerError: 400 when it is not ``"<urn>"``.
    """
    text = contact.params.get("+sip.instance")
    if text is None:
        return None
    if len(text) < 3 or text[0] != "<" or text[-1] != ">":
        raise PeerError(400, "+sip.instance is no identifier in angle brackets", header="Contact")
    return text[1:-1]


def reg_id(contact: NameAddr) -> int | None:
    """Which flow of an instance this is, 1 to 2**31 - 1 (RFC 5626 section 4.2).

    Raises:
        PeerError: 400 when it is no such number.
    """
    try:
        number = decimal(contact.params, "reg-id", 2**31 - 1)
    except PeerError as error:
        raise PeerError(error.status, error.reason, header="Contact") from None
    if number == 0:
        raise PeerError(400, "a reg-id begins at 1", header="Contact")
    return number


def features(params: Params) -> dict[str, tuple[str, ...]]:
    """The feature parameters by name in lower case, each with its values; ``("TRUE",)`` for one without (RFC 3840)."""
    found: dict[str, tuple[str, ...]] = {}
    for name, raw in params:
        lower = name.lower()
        if lower in BASE_TAGS or lower.startswith("+"):
            text = grammar.unquote(raw) if raw else "TRUE"
            found[lower] = (
                (text,) if text.startswith("<") else tuple(part.strip() for part in text.split(","))
            )
    return found
