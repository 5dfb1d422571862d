"""Reason (RFC 3326)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ringfence.message import grammar
from ringfence.message.fields.field import field
from ringfence.message.fields.valued import decimal, parse_valued
from ringfence.message.params import NO_PARAMS, Params

MAX_CAUSE = 9999
"""SIP status codes have three digits, Q.850 causes at most three; one more for what others registered."""


class Reason(NamedTuple):
    """Why a request was sent: a protocol (``SIP``, ``Q.850``), its cause code, a text for a person."""

    protocol: str
    params: Params = NO_PARAMS

    @property
    def cause(self) -> int | None:
        """The cause code of that protocol."""
        return decimal(self.params, "cause", MAX_CAUSE)

    @property
    def text(self) -> str | None:
        """The text for a person."""
        return self.params.get("text")

    def __str__(self) -> str:
        return f"{self.protocol}{self.params}"


def make_reason(protocol: str, cause: int, text: str | None = None) -> Reason:
    """A Reason to write."""
    params = Params((("cause", str(cause)),))
    return Reason(protocol, params if text is None else params.with_("text", grammar.quote(text)))


def parse_reason(text: str) -> Reason:
    """Read one reason-value.

    Raises:
        PeerError: 400 when it is malformed.
    """
    reason = Reason(*parse_valued(text))
    _ = reason.cause
    return reason


REASON: Final = field("Reason", parse_reason, many=True)
