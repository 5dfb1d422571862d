"""May this REGISTER change anything? (RFC 3261 section 10.3 steps 1 to 5)"""

from __future__ import annotations

from ringfence.message.fields import CONTACT, REQUIRE, SUPPORTED, VIA, Star
from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.policy import ChallengeMode

OPTIONS = frozenset({"path", "outbound", "gruu"})
"""Option tags that a REGISTER may require of us."""


def extensions_known(call: Call) -> Verdict:
    """Step 2: refuse a REGISTER that requires what we do not know."""
    if "Require" in call.request.headers:
        unknown = [option for option in call.request.headers.every(REQUIRE) if option not in OPTIONS]
        if unknown:
            return Answer(420, headers=(("Unsupported", ", ".join(unknown)),))
    return CONTINUE


def owner(call: Call) -> Verdict:
    """Steps 4 and 5: only the owner of an address may change where it leads."""
    policy = call.services.policy
    to = call.request.to.sip
    if not to.user or not policy.is_ours(to):
        return Answer(404, "Not Found (To is no address of this domain)")
    if policy.challenge is ChallengeMode.NONE:
        return CONTINUE
    user = call.findings.user
    if user is None or not user.account.owns(policy.canonical(to)):
        return Answer(403, "Forbidden (the address is another account's)")
    return CONTINUE


def first_hop_known(call: Call) -> Verdict:
    """RFC 5626 section 6: 439 when the phone wants Outbound and the proxy before us does not do it."""
    headers = call.request.headers
    if "outbound" not in headers.every(SUPPORTED):
        return CONTINUE
    for contact in headers.every(CONTACT):
        if not isinstance(contact, Star) and "reg-id" in contact.params:
            direct = len(headers.every(VIA)) == 1
            if not direct and not any(";ob" in entry for entry in headers.all("Path")):
                return Answer(439)
    return CONTINUE
