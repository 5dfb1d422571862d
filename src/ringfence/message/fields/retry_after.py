"""Retry-After (RFC 3261 section 20.33)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.fields.numbers import MAX_DELTA_SECONDS
from ringfence.message.fields.valued import decimal
from ringfence.message.params import NO_PARAMS, Params, parse_params

# Retry-After = delta-seconds [ comment ] *( SEMI retry-param )
_SECONDS: Final = re.compile(r"([0-9]+)[ \t]*+").match
_REST: Final = re.compile(r"[ \t]*+(;.*)?", re.DOTALL).fullmatch


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
    match = _SECONDS(text)
    end = _comment_end(text, match.end()) if match is not None else -1
    rest = _REST(text, end) if end >= 0 else None
    if match is None or rest is None:
        raise PeerError(400, f"malformed: {text[:60]!r}")
    if len(match[1]) > 64 or int(match[1]) > MAX_DELTA_SECONDS:
        raise PeerError(400, f"{match[1][:40]} seconds is more than {MAX_DELTA_SECONDS}")
    value = RetryAfter(int(match[1]), text[match.end() : end], parse_params(rest[1] or ""))
    _ = value.duration
    return value


def _comment_end(text: str, start: int) -> int:
    """Behind the comment that begins there, if one does; -1 when it is not closed. A comment may hold comments."""
    if not text.startswith("(", start):
        return start
    depth, at = 0, start
    while at < len(text):
        if text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if not depth:
                return at + 1
        elif text[at] == "\\":
            at += 1  # quoted-pair
        at += 1
    return -1


RETRY_AFTER: Final = field("Retry-After", parse_retry_after)
