"""Who sends a request inside a dialog, where it may say so anew (RFC 4916): asserted as outside of one."""

from __future__ import annotations

from ringfence.message import NameAddr, parse_uri
from ringfence.roles.bound import bound_user
from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Verdict
from ringfence.roles.steps.claims import is_anonymous

TELLS = frozenset({"INVITE", "UPDATE"})
"""Methods whose From may tell who is there now (RFC 4916 sections 4.2 and 4.3)."""


def connected_identity(call: Call) -> Verdict:
    """Take note of which user of ours it is, whose connection has proved it, so that the other side can be told.

    Inside a dialog nobody is challenged for that: what nobody has proved is passed on and not asserted.
    """
    findings = call.findings
    if not findings.in_dialog or call.flow.user is None or call.request.method not in TELLS:
        return CONTINUE
    source = call.request.from_
    user = None if findings.asserted or is_anonymous(source.uri) else bound_user(call, source)
    if user is not None:
        address = call.services.policy.address_of(source.uri)
        findings.asserted = (NameAddr(parse_uri(address), user.account.display_name),)
    return CONTINUE
