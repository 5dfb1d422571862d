"""How what a user agent was asked to do fails."""

from __future__ import annotations

from ringfence.message import PeerError, Response, RingfenceError, reason_phrase
from ringfence.message.fields import WARNING


class AgentError(RingfenceError):
    """The user agent can't do what it was asked to."""


class RequestFailed(AgentError):
    """A request was refused, or nobody answered it.

    ``status`` is the SIP status code, ``reason`` the phrase that came with it and what a Warning said more.
    ``response`` is None when none came: then 408 means that nobody answered in time, and 503 that nobody could
    be reached (RFC 3261 section 8.1.3.1).
    """

    __slots__ = ("reason", "response", "status")

    def __init__(self, status: int, reason: str = "", response: Response | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason or reason_phrase(status)
        self.response = response

    @classmethod
    def from_response(cls, response: Response) -> RequestFailed:
        """What a final response other than 2xx says."""
        reason = response.reason or reason_phrase(response.status)
        try:
            warning = response.headers.first(WARNING)
        except PeerError:
            warning = None
        if warning is not None and warning.text:
            reason = f"{reason} ({warning.text})"
        return cls(response.status, reason, response)

    def __str__(self) -> str:
        return f"{self.status} {self.reason}"


class RegistrationError(RequestFailed):
    """The registrar refused, or could not be asked."""


class CallError(RequestFailed):
    """A call did not come about, or a change to it was refused."""


class MessageError(RequestFailed):
    """A text message was not delivered."""
