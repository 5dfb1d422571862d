"""The last step of a proxy: what has come this far is forwarded."""

from __future__ import annotations

from ringfence.roles.call import Call
from ringfence.roles.pipeline import Forward, Verdict


def forward(call: Call) -> Verdict:
    """Forward to the targets that the steps before have chosen."""
    return Forward(call.targets)
