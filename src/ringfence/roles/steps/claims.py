"""Does the request only claim what its sender has proved? (DESIGN: identity; RFC 3325, RFC 3261 section 22)"""

from __future__ import annotations

from ringfence.message import SipUri
from ringfence.message.fields import FROM
from ringfence.roles.call import Call, Trust
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.security.credentials import parse_credentials

ANONYMOUS_HOST = "anonymous.invalid"
"""RFC 3323 section 4.1.1.3: the host of a From that tells nobody."""


def honest_from(call: Call) -> Verdict:
    """From must be an address of the account that authenticated, or anonymous; else 403."""
    findings = call.findings
    if findings.in_dialog or findings.user is None or call.request.method in {"ACK", "REGISTER"}:
        return CONTINUE  # a REGISTER is judged by its To (RFC 3261 section 10.3 step 4)
    uri = call.request.headers.only(FROM).uri
    address = uri.aor if isinstance(uri, SipUri) else str(uri)
    if isinstance(uri, SipUri) and uri.host == ANONYMOUS_HOST:
        return CONTINUE
    if findings.user.account.owns(address):
        return CONTINUE
    return Answer(403, "Forbidden (From is not an address of the account)")


def permitted(call: Call) -> Verdict:
    """The account's rights: which methods, to which destinations; else 403."""
    findings = call.findings
    if findings.user is None or findings.in_dialog or call.request.method in {"ACK", "REGISTER"}:
        return CONTINUE
    rights = findings.user.account.rights
    if call.request.method not in rights.methods:
        return Answer(403, f"Forbidden (the account may not send {call.request.method})")
    if not rights.permits(call.uri.aor):
        return Answer(403, "Forbidden (the account may not call this destination)")
    return CONTINUE


def strip_strangers_claims(call: Call) -> Verdict:
    """Take identities off that only a trusted element may assert (RFC 3325 section 5)."""
    if call.findings.peer is not Trust.PEER:
        for name in ("P-Asserted-Identity", "P-Preferred-Identity"):
            if name in call.request.headers:
                call.request.headers.remove(name)
    return CONTINUE


def strip_own_credentials(call: Call) -> Verdict:
    """Take the credentials for our realm off: the next element has no use for them (RFC 3261 section 22.3)."""
    headers = call.request.headers
    if "Proxy-Authorization" in headers:
        realm = call.services.policy.realm
        for value in headers.all("Proxy-Authorization"):
            credentials = parse_credentials(value, "Proxy-Authorization")
            if credentials is not None and credentials.realm == realm:
                headers.remove_line("Proxy-Authorization", value)
    return CONTINUE
