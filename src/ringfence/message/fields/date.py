"""Date (RFC 3261 section 20.17)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# rfc1123-date = wkday "," SP date1 SP time SP "GMT". It has case, and "GMT" is the only zone (section 20.17).
_DATE: Final = re.compile(
    rf"(?:{'|'.join(_DAYS)}), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
).fullmatch


@lru_cache(64)
def parse_date(text: str) -> datetime:
    """Read an RFC 1123 date in GMT; the name of the weekday is not compared with the date. Many calls have one second.

    Raises:
        PeerError: 400 when it is another format, another zone, or no day of the calendar.
    """
    match = _DATE(text)
    if match is None:
        raise PeerError(400, f"{text[:40]!r} is no RFC 1123 date in GMT")
    day, month, year, hour, minute, second = match.groups()
    try:
        return datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC
        )
    except ValueError:
        raise PeerError(400, f"there is no {text[:40]!r}") from None


@lru_cache(8)
def format_date(when: datetime) -> str:
    """The text of a Date for a time that knows its zone."""
    utc = when.astimezone(UTC)
    return f"{_DAYS[utc.weekday()]}, {utc.day:02} {_MONTHS[utc.month - 1]} {utc.year:04} {utc:%H:%M:%S} GMT"


DATE: Final = field("Date", parse_date)
