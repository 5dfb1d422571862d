"""The Date header field: the only clock that a signature over a SIP message has (RFC 3261 section 20.17)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ringfence.message.errors import PeerError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# SIP-date = rfc1123-date = wkday "," SP 2DIGIT SP month SP 4DIGIT SP time SP "GMT". ABNF strings have no
# case.
_DATE = re.compile(
    r"(?:mon|tue|wed|thu|fri|sat|sun), ([0-9]{2}) ([a-z]{3}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) gmt",
    re.IGNORECASE,
).fullmatch


def parse_date(text: str) -> int:
    """Seconds since 1970.

    Raises:
        PeerError: 400 when it is no date in GMT. SIP knows no other time zone.
    """
    match = _DATE(text)
    month = match[2].capitalize() if match else ""
    if match is None or month not in _MONTHS:
        raise PeerError(400, f"not a SIP date: {text[:60]!r}", header="Date")
    day, year, hour, minute, second = (int(match[n]) for n in (1, 3, 4, 5, 6))
    try:
        # A leap second is written as 60; it is the next second for us.
        moment = datetime(year, _MONTHS.index(month) + 1, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError as error:
        raise PeerError(400, f"not a SIP date: {error}", header="Date") from None
    return int(moment.timestamp()) + (1 if second == 60 else 0)


def format_date(seconds: float) -> str:
    """The value of a Date header field, rounded down to the second."""
    moment = datetime.fromtimestamp(int(seconds), UTC)
    return f"{_DAYS[moment.weekday()]}, {moment:%d} {_MONTHS[moment.month - 1]} {moment:%Y %H:%M:%S} GMT"
