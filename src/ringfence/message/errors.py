"""Errors that say who is at fault.

A ``PeerError`` is the other side's fault: it knows the answer that the RFC names for it and, where one
header field is to blame, which. A ``LocalError`` is ours, or our user's. Nothing else leaves these packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringfence.message.message import Request, Response


class RingfenceError(Exception):
    """Root of every error that Ringfence raises on purpose."""


class PeerError(RingfenceError):
    """What the peer sent is wrong.

    ``status`` is the SIP status code to answer with (RFC 3261 section 21), ``reason`` one sentence for a
    person, ``header`` the canonical name of the header field that is to blame, ``message`` the part of the
    message that could be read: enough to answer it when it is a request with Via, From, To, Call-ID and CSeq.
    """

    __slots__ = ("header", "message", "reason", "status")

    def __init__(
        self,
        status: int,
        reason: str,
        *,
        header: str | None = None,
        message: Request | Response | None = None,
    ) -> None:
        super().__init__(status, reason, header)
        self.status = status
        self.reason = reason
        self.header = header
        self.message = message

    def __str__(self) -> str:
        return f"{self.status} {self.header + ': ' if self.header else ''}{self.reason}"


class LocalError(RingfenceError, ValueError):
    """We, or the program that uses us, asked for something that SIP does not allow."""
