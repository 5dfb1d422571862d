"""Events: Event and Subscription-State (RFC 6665 section 8.2)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.fields.numbers import MAX_DELTA_SECONDS
from ringfence.message.fields.valued import decimal, parse_valued
from ringfence.message.params import NO_PARAMS, Params


class Event(NamedTuple):
    """An event package with its templates (``presence.winfo``), and parameters."""

    package: str
    params: Params = NO_PARAMS

    @property
    def id(self) -> str | None:
        """What tells two subscriptions of one dialog apart."""
        return self.params.get("id")

    def __str__(self) -> str:
        return f"{self.package}{self.params}"


class SubscriptionState(NamedTuple):
    """``active``, ``pending`` or ``terminated``, in lower case, and why and how long."""

    state: str
    params: Params = NO_PARAMS

    @property
    def reason(self) -> str | None:
        """Why it ended."""
        return self.params.get("reason")

    @property
    def expires(self) -> int | None:
        """Seconds until it ends by itself."""
        return decimal(self.params, "expires", MAX_DELTA_SECONDS)

    @property
    def retry_after(self) -> int | None:
        """Seconds to wait before another try."""
        return decimal(self.params, "retry-after", MAX_DELTA_SECONDS)

    def __str__(self) -> str:
        return f"{self.state}{self.params}"


def parse_event(text: str) -> Event:
    """Read ``event-package *( "." event-template ) *( SEMI event-param )``.

    Raises:
        PeerError: 400 when it is malformed.
    """
    value, params = parse_valued(text)
    if not all(value.split(".")):  # token-nodot on each side of a dot
        raise PeerError(400, f"not an event package: {value[:40]!r}")
    return Event(value, params)


def parse_subscription_state(text: str) -> SubscriptionState:
    """Read a Subscription-State.

    Raises:
        PeerError: 400 when it is malformed.
    """
    value, params = parse_valued(text)
    state = SubscriptionState(value.lower(), params)
    _ = state.expires, state.retry_after
    return state


EVENT: Final = field("Event", parse_event, compact="o")
SUBSCRIPTION_STATE: Final = field("Subscription-State", parse_subscription_state)
