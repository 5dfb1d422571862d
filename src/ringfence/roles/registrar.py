"""The registrar: what a REGISTER does to the location service (RFC 3261 section 10.3).

With Path (RFC 3327), Service-Route (RFC 3608), Outbound (RFC 5626) and GRUU (RFC 5627).
"""

from __future__ import annotations

from collections.abc import Awaitable

from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Step, Verdict, run
from ringfence.roles.steps.register.owner import extensions_known, first_hop_known, owner
from ringfence.roles.steps.register.save import save

STEPS: tuple[Step, ...] = (
    extensions_known,
    owner,
    first_hop_known,
    save,
)


def register(call: Call) -> Verdict | Awaitable[Verdict]:
    """Let the registrar's own steps decide on a REGISTER for our domain."""
    if call.request.method != "REGISTER" or not call.findings.for_us:
        return CONTINUE
    return run(STEPS, call)
