"""The edge: where phones and other domains meet ours. Everything that enters is judged here, in this order.

Alone it is the whole network. In front of a core (``[proxy] core``) it judges all the same, and leaves to the core
where users are: two steps of the list are others then.
"""

from __future__ import annotations

from ringfence.roles.pipeline import Step
from ringfence.roles.registrar import register
from ringfence.roles.steps.account import account
from ringfence.roles.steps.agreement import keep_agreement, open_agreement
from ringfence.roles.steps.authenticate import authenticate
from ringfence.roles.steps.bodies import protected_bodies
from ringfence.roles.steps.certificates import tell_certificate
from ringfence.roles.steps.claims import honest_from, permitted, strip_own_credentials
from ringfence.roles.steps.connected import connected_identity
from ringfence.roles.steps.domain import answer_for_domain
from ringfence.roles.steps.hops import not_looping, within_breadth, within_hops
from ringfence.roles.steps.locate import locate_user
from ringfence.roles.steps.malware import scanned
from ringfence.roles.steps.media import anchor_media
from ringfence.roles.steps.network import admit_registration, by_border, to_core
from ringfence.roles.steps.priority import judge_priority
from ringfence.roles.steps.privacy import ask_privacy, keep_private, to_anonymous, within_private
from ringfence.roles.steps.rates import within_rates
from ringfence.roles.steps.reveal import reveal
from ringfence.roles.steps.routes import follow_routes
from ringfence.roles.steps.sane import sane
from ringfence.roles.steps.send import forward
from ringfence.roles.steps.shed import shed
from ringfence.roles.steps.sign import sign_identity
from ringfence.roles.steps.strangers import known_caller
from ringfence.roles.steps.trust import know_peer, take_identity
from ringfence.roles.steps.verify import strip_marks, verify_identity

STEPS: tuple[Step, ...] = (
    sane,
    reveal,
    follow_routes,
    within_hops,
    within_private,
    not_looping,
    know_peer,
    shed,
    open_agreement,
    authenticate,
    keep_agreement,
    honest_from,
    permitted,
    within_rates,
    take_identity,
    connected_identity,
    strip_marks,
    strip_own_credentials,
    protected_bodies,
    scanned,
    answer_for_domain,
    tell_certificate,
    register,
    verify_identity,
    judge_priority,
    known_caller,
    to_anonymous,
    locate_user,
    by_border,
    ask_privacy,
    within_breadth,
    anchor_media,
    sign_identity,
    account,
    keep_private,
    forward,
)

AT_CORE: dict[Step, Step] = {register: admit_registration, locate_user: to_core}
"""What a core does for its edges, and what an edge does in its place."""

STEPS_BEFORE_CORE: tuple[Step, ...] = tuple(AT_CORE.get(step, step) for step in STEPS)
