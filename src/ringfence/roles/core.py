"""The core: the inside of a network whose edges have judged everything (docs/roles.md). It routes, and nothing else.

It authenticates nobody and has no phones: whoever has not proved by a certificate to be an edge, or the border proxy,
of this network is refused at once. Who calls, it reads from P-Asserted-Identity, which only those can have written.
"""

from __future__ import annotations

from ringfence.roles.pipeline import Step
from ringfence.roles.registrar import register
from ringfence.roles.steps.certificates import tell_certificate
from ringfence.roles.steps.domain import answer_for_domain
from ringfence.roles.steps.hops import not_looping, within_breadth, within_hops
from ringfence.roles.steps.locate import locate_user
from ringfence.roles.steps.network import by_border, from_network
from ringfence.roles.steps.routes import follow_routes
from ringfence.roles.steps.sane import sane
from ringfence.roles.steps.send import forward
from ringfence.roles.steps.shed import shed
from ringfence.roles.steps.trust import know_peer, take_identity

STEPS: tuple[Step, ...] = (
    know_peer,
    shed,
    from_network,
    sane,
    follow_routes,
    within_hops,
    not_looping,
    take_identity,
    answer_for_domain,
    tell_certificate,
    register,
    locate_user,
    by_border,
    within_breadth,
    forward,
)
