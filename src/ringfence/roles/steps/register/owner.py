"""May this REGISTER change anything? (RFC 3261 section 10.3 steps 1 to 5)"""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import isawaitable

from ringfence.message import SipUri
from ringfence.message.fields import CONTACT, PATH, SUPPORTED, Star
from ringfence.roles.call import Authenticated, Call
from ringfence.roles.outgoing import is_first_hop
from ringfence.roles.peers import PeerRole
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.policy import ChallengeMode
from ringfence.roles.steps.domain import unknown_extensions
from ringfence.store.records import Account


def extensions_known(call: Call) -> Verdict:
    """Step 2: refuse a REGISTER that requires what we do not know.

    And one with a Path that the phone does not know of: who put it there would get all its calls (RFC 3327 5.3). An
    edge of ours may.
    """
    headers = call.request.headers
    if call.findings.role != PeerRole.EDGE and headers.has("Path") and "path" not in headers.every(SUPPORTED):
        return Answer(420, headers=(("Unsupported", "path"),))
    return unknown_extensions(call) or CONTINUE


def owner(call: Call) -> Verdict | Awaitable[Verdict]:
    """Steps 4 and 5: only the owner of an address may change where it leads."""
    policy = call.services.policy
    to = call.request.to.uri
    if not isinstance(to, SipUri):
        return Answer(400, "Bad Request (To: an address of a user is a SIP URI)")  # RFC 4475 section 3.3.4
    if not to.user or not policy.is_ours(to):
        return Answer(404, "Not Found (To is no address of this domain)")
    if policy.challenge is ChallengeMode.NONE:
        return CONTINUE
    if call.findings.role == PeerRole.EDGE:
        return _vouched(call, policy.canonical(to))
    user = call.findings.user
    if user is None or not user.account.owns(policy.canonical(to)):
        return Answer(403, "Forbidden (the address is another account's)")
    return CONTINUE


def _vouched(call: Call, address: str) -> Verdict | Awaitable[Verdict]:
    """An edge of ours has authenticated the owner, and says so by asserting the address (RFC 3325, RFC 5876)."""
    policy = call.services.policy
    asserted = {policy.address_of(each.uri) for each in call.findings.asserted}
    if address not in asserted:
        return Answer(403, "Forbidden (the edge does not vouch for the address)")
    found = call.services.accounts.by_aor(address)
    return _vouched_later(call, found) if isawaitable(found) else _known(call, found)


async def _vouched_later(call: Call, found: Awaitable[Account | None]) -> Verdict:
    return _known(call, await found)


def _known(call: Call, account: Account | None) -> Verdict:
    """Whose rights bound the registration, where the core has the accounts, too."""
    if account is not None:
        if account.disabled:
            return Answer(403, "Forbidden (the account is disabled)")
        call.findings.user = Authenticated(account, f"asserted by {call.findings.peer_name}")
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
