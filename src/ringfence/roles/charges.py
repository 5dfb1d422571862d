"""One request on its way, as far as a bill depends on what becomes of it. `roles.forward` tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ringfence.ledger.calls import Dialog, LiveCall, Side
from ringfence.message import Response
from ringfence.roles.hangup import same_target

if TYPE_CHECKING:
    from ringfence.roles.call import Call
    from ringfence.roles.charging import Charging
    from ringfence.transport.flow import Flow

GONE = frozenset({408, 481})
"""What says that the other party has no such dialog any more (RFC 3261 section 15.1.1)."""


class Charge(Protocol):
    """What `roles.forward` informs."""

    def sent(self, flow: Flow) -> None:
        """The request leaves on this flow; once for each branch."""

    def told(self, response: Response) -> None:
        """This final response goes to whoever sent the request."""

    def dropped(self, reason: str, status: int) -> None:
        """The request was not forwarded after all."""


class InviteCharge:
    """The INVITE of a call whose start is in the ledger."""

    __slots__ = ("_call", "_charging", "_live")

    def __init__(self, charging: Charging, live: LiveCall, call: Call) -> None:
        self._charging = charging
        self._live = live
        self._call = call

    def ended_by(self, end: Callable[[str, str], None]) -> None:
        """The call is two dialogs: ``end`` ends both, given the tag of who answered, and why."""
        self._live.end = end

    def sent(self, flow: Flow) -> None:
        """See `Charge.sent`."""
        self._live.callee_hosts.add(flow.remote.host)
        self._live.callee_flow = flow

    def told(self, response: Response) -> None:
        """See `Charge.told`."""
        if response.status < 300:
            self._charging.answered(self._live, self._call, response)
        elif not self._live.answered:
            reason = "the caller gave up" if response.status == 487 else "it was not answered"
            self.dropped(reason, response.status)

    def dropped(self, reason: str, status: int) -> None:
        """See `Charge.dropped`."""
        self._charging.stop(self._live, self._call.services.clock(), reason, status)


class ByeCharge:
    """A BYE in a dialog of a call that goes on."""

    __slots__ = ("_by_caller", "_call", "_charging", "_dialog", "_live", "_on_the_way", "_party")

    def __init__(
        self, charging: Charging, live: LiveCall, dialog: Dialog, call: Call, by_caller: bool, party: bool
    ) -> None:
        self._charging = charging
        self._live = live
        self._dialog = dialog
        self._call = call
        self._by_caller = by_caller
        self._party = party
        self._on_the_way = False

    def sent(self, flow: Flow) -> None:
        """See `Charge.sent`."""
        live, dialog = self._live, self._dialog
        hosts = live.callee_hosts if self._by_caller else live.caller_hosts
        other = dialog.callee if self._by_caller else dialog.caller
        self._on_the_way = live.end is not None or flow.remote.host in hosts or same_target(self._call, other)

    def told(self, response: Response) -> None:
        """See `Charge.told`."""
        now, who = self._call.services.clock(), "caller" if self._by_caller else "callee"
        status = response.status
        if status >= 300 and status not in GONE:
            self._charging.remark(self._live, now, f"a BYE of the {who} was answered {status}")
        elif not self._party:
            self._charging.remark(self._live, now, f"a BYE did not come from the {who}: it does not count")
        elif not self._on_the_way:
            self._charging.remark(
                self._live, now, f"a BYE of the {who} did not go to the other side: it does not count"
            )
        else:
            self._charging.hung_up(self._live, self._dialog, now, f"the {who} hung up")

    def dropped(self, reason: str, status: int) -> None:
        """See `Charge.dropped`."""


class RefreshCharge:
    """A re-INVITE or UPDATE: it may move a party, and says how long the session lives (RFC 4028)."""

    __slots__ = ("_call", "_charging", "_live", "_other", "_party", "_sender")

    def __init__(
        self, charging: Charging, live: LiveCall, call: Call, sender: Side, other: Side, party: bool
    ) -> None:
        self._charging = charging
        self._live = live
        self._call = call
        self._sender = sender
        self._other = other
        self._party = party

    def sent(self, flow: Flow) -> None:
        """See `Charge.sent`."""

    def told(self, response: Response) -> None:
        """See `Charge.told`."""
        if not 200 <= response.status < 300 or not self._party or self._live.over:
            return
        self._sender.contact = self._call.request.headers.get("Contact") or self._sender.contact
        self._other.contact = response.headers.get("Contact") or self._other.contact
        self._charging.refreshed(self._live, self._call.services.clock(), response)

    def dropped(self, reason: str, status: int) -> None:
        """See `Charge.dropped`."""
