"""Nothing is connected that is not recorded (DESIGN section 3, ledger). The last step before a request is forwarded."""

from __future__ import annotations

from collections.abc import Awaitable

from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Verdict

IN_DIALOG = frozenset({"BYE", "INVITE", "UPDATE", "PRACK", "INFO", "REFER", "MESSAGE"})
"""Methods of a party in a call, whose CSeq we have to know to end the call, or which end it themselves."""


def account(call: Call) -> Verdict | Awaitable[Verdict]:
    """Record that a call begins, before it is forwarded; and follow what its parties do."""
    charging = call.services.charging
    if charging is None:
        return CONTINUE
    method = call.request.method
    within = call.findings.in_dialog or call.request.to.tag is not None  # who has moved is still in its call
    if within:
        return charging.follow(call) if method in IN_DIALOG else CONTINUE
    return charging.begin(call) if method == "INVITE" else CONTINUE
