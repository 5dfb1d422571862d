"""Session timers: Session-Expires and Min-SE (RFC 4028 sections 4 and 5)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.fields.numbers import MAX_DELTA_SECONDS
from ringfence.message.fields.valued import valued
from ringfence.message.params import NO_PARAMS, Params

_seconds = valued("[0-9]+", "a number of seconds")


class SessionInterval(NamedTuple):
    """Seconds, and who refreshes."""

    seconds: int
    params: Params = NO_PARAMS

    @property
    def refresher(self) -> str | None:
        """``uac`` or ``uas``, None when it is not settled."""
        text = self.params.get("refresher")
        return text.lower() if text else None

    def __str__(self) -> str:
        return f"{self.seconds}{self.params}"


def parse_interval(text: str) -> SessionInterval:
    """Read ``delta-seconds *( SEMI se-params )``.

    Raises:
        PeerError: 400 when it is malformed.
    """
    value, params = _seconds(text)
    if len(value) > 64 or int(value) > MAX_DELTA_SECONDS:
        raise PeerError(400, f"{value[:40]} seconds is more than {MAX_DELTA_SECONDS}")
    interval = SessionInterval(int(value), params)
    if interval.refresher not in {None, "uac", "uas"}:
        raise PeerError(400, "the refresher is uac or uas")
    return interval


SESSION_EXPIRES: Final = field("Session-Expires", parse_interval, compact="x")
MIN_SE: Final = field("Min-SE", parse_interval)
