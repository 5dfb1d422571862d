"""Retry-After (RFC 3261 section 20.33)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.fields.numbers import MAX_DELTA_SECONDS
from ringfence.message.fields.valued import decimal
from ringfence.message.params import NO_PARAMS, Params, parse_params

# Retry-After = delta-seconds [ comment ] *( SEMI retry-param ). A comment may hold comments: this one nests twice.
_RETRY: Final = re.compile(
    r"([0-9]+)[ \t]*+(\((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*+\))*+\))?[ \t]*+(;.*)?", re.DOTALL
).fullmatch


class RetryAfter(NamedTuple):
    """Seconds to wait, a remark, and parameters; ``duration`` says how long the other side is there after."""

    seconds: int
    comment: str = ""
    params: Params = NO_PARAMS

    @property
    def duration(self) -> int | None:
        """The ``duration`` parameter in seconds."""
        return decimal(self.params, "duration", MAX_DELTA_SECONDS)

    def __str__(self) -> str:
        return f"{self.seconds}{' ' + self.comment if self.comment else ''}{self.params}"


def parse_retry_after(text: str) -> RetryAfter:
    """Read a Retry-After.

    Raises:
        PeerError: 400 when it is malformed or the number is out of range.
    """
    match = _RETRY(text)
    if match is None:
        raise PeerError(400, f"malformed: {text[:60]!r}")
    if len(match[1]) > 64 or int(match[1]) > MAX_DELTA_SECONDS:
        raise PeerError(400, f"{match[1][:40]} seconds is more than {MAX_DELTA_SECONDS}")
    value = RetryAfter(int(match[1]), match[2] or "", parse_params(match[3] or ""))
    _ = value.duration
    return value


RETRY_AFTER: Final = field("Retry-After", parse_retry_after)
