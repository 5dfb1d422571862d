"""The privacy service as a node of its own: between whoever wants to be anonymous and the rest of the world.

Its own users, the edges of our network and other peers send their requests by it (a Route, or ``[proxy] border`` of an
edge). It has accounts and no registrar: what is for a user of the domain goes on to the core, everything else where it
says. What asks for no privacy is forwarded like by any proxy.
"""

from __future__ import annotations

from ringfence.roles.pipeline import Step
from ringfence.roles.steps.account import account
from ringfence.roles.steps.authenticate import authenticate
from ringfence.roles.steps.claims import honest_from, permitted, strip_own_credentials
from ringfence.roles.steps.domain import answer_for_domain
from ringfence.roles.steps.hops import not_looping, within_breadth, within_hops
from ringfence.roles.steps.media import anchor_media
from ringfence.roles.steps.network import to_next
from ringfence.roles.steps.privacy import ask_privacy, keep_private, to_anonymous, within_private
from ringfence.roles.steps.routes import follow_routes
from ringfence.roles.steps.sane import sane
from ringfence.roles.steps.send import forward
from ringfence.roles.steps.trust import know_peer, take_identity
from ringfence.roles.steps.verify import strip_marks

STEPS: tuple[Step, ...] = (
    sane,
    follow_routes,
    within_hops,
    within_private,
    not_looping,
    know_peer,
    authenticate,
    honest_from,
    permitted,
    take_identity,
    strip_marks,
    strip_own_credentials,
    answer_for_domain,
    to_anonymous,
    to_next,
    ask_privacy,
    within_breadth,
    anchor_media,
    account,
    keep_private,
    forward,
)
