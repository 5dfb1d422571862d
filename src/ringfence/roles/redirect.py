"""The redirect server (RFC 3261 section 8.3): it tells where the user is, and forwards nothing."""

from __future__ import annotations

from ringfence.roles.call import Call, Target
from ringfence.roles.pipeline import Answer, Drop, Step, Verdict
from ringfence.roles.registrar import register
from ringfence.roles.steps.authenticate import authenticate
from ringfence.roles.steps.claims import honest_from, permitted
from ringfence.roles.steps.domain import answer_for_domain
from ringfence.roles.steps.locate import locate_user
from ringfence.roles.steps.rates import within_rates
from ringfence.roles.steps.routes import follow_routes
from ringfence.roles.steps.sane import sane
from ringfence.roles.steps.shed import shed
from ringfence.roles.steps.trust import know_peer, take_identity


def redirect(call: Call) -> Verdict:
    """302 with every contact of the user, best first; never one that leads back to the same URI."""
    if call.request.method == "ACK":
        return Drop("an ACK is not redirected")
    if not call.findings.for_us:
        return Answer(404, "Not Found (this server redirects only for its own domain)")
    contacts = [target for target in call.targets if target.uri != call.request.uri]
    if not contacts:
        return Answer(480)
    return Answer(302, headers=tuple(("Contact", _contact(target)) for target in contacts))


def _contact(target: Target) -> str:
    """The contact as it was registered: ``sips`` stays ``sips`` (RFC 5630 section 5.4)."""
    uri = f"sips{target.uri[3:]}" if target.tls else target.uri
    return f"<{uri}>;q={target.q:g}"


STEPS: tuple[Step, ...] = (
    sane,
    follow_routes,
    know_peer,
    shed,
    authenticate,
    honest_from,
    permitted,
    within_rates,
    take_identity,
    answer_for_domain,
    register,
    locate_user,
    redirect,
)
