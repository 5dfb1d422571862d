"""May this REGISTER change anything? (RFC 3261 section 10.3 steps 1 to 5)"""

from __future__ import annotations

from ringfence.message import SipUri
from ringfence.message.fields import CONTACT, PATH, SUPPORTED, Star
from ringfence.roles.call import Call
from ringfence.roles.outgoing import is_first_hop
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.policy import ChallengeMode
from ringfence.roles.steps.domain import unknown_extensions


def extensions_known(call: Call) -> Verdict:
    """Step 2: refuse a REGISTER that requires what we do not know.

    And one with a Path that the phone does not know of: who put it there would get all its calls (RFC 3327 5.3).
    """
    headers = call.request.headers
    if "Path" in headers.names and "path" not in headers.every(SUPPORTED):
        return Answer(420, headers=(("Unsupported", "path"),))
    return unknown_extensions(call) or CONTINUE


def owner(call: Call) -> Verdict:
    """Steps 4 and 5: only the owner of an address may change where it leads."""
    policy = call.services.policy
    to = call.request.to.uri
    if not isinstance(to, SipUri):
        return Answer(400, "Bad Request (To: an address of a user is a SIP URI)")  # RFC 4475 section 3.3.4
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
    if "outbound" not in headers.every(SUPPORTED) or is_first_hop(call):
        return CONTINUE
    if any(isinstance(entry.uri, SipUri) and "ob" in entry.uri.params for entry in headers.every(PATH)):
        return CONTINUE
    wanted = any(not isinstance(each, Star) and "reg-id" in each.params for each in headers.every(CONTACT))
    return Answer(439) if wanted else CONTINUE
