"""The border proxy: what leaves the domain goes through it, and nothing comes in by it (docs/roles.md).

It believes the nodes of its own network and nobody else. Here the asserted identity is taken off, and the call is
signed for its caller (RFC 8224), so the key that signs is on one machine. Of the other side it takes what belongs to
a dialog that went out.
"""

from __future__ import annotations

from ringfence.roles.pipeline import Step
from ringfence.roles.steps.hops import not_looping, within_breadth, within_hops
from ringfence.roles.steps.network import from_network_or_dialog, to_destination
from ringfence.roles.steps.reveal import reveal
from ringfence.roles.steps.routes import follow_routes
from ringfence.roles.steps.sane import sane
from ringfence.roles.steps.send import forward
from ringfence.roles.steps.shed import shed
from ringfence.roles.steps.sign import sign_identity
from ringfence.roles.steps.trust import know_peer, take_identity
from ringfence.roles.steps.verify import strip_marks, verify_identity

STEPS: tuple[Step, ...] = (
    know_peer,
    shed,
    sane,
    reveal,
    follow_routes,
    from_network_or_dialog,
    within_hops,
    not_looping,
    take_identity,
    strip_marks,
    verify_identity,
    to_destination,
    within_breadth,
    sign_identity,
    forward,
)
