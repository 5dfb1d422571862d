"""Does the request only claim what its sender has proved? (DESIGN: identity; RFC 3325, RFC 3261 section 22)"""

from __future__ import annotations

from ringfence.message import PeerError, Uri
from ringfence.message.grammar import unescape
from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.security.asserted import ANONYMOUS_HOST
from ringfence.security.canonical import telephone_number
from ringfence.security.credentials import parse_credentials


def is_anonymous(uri: Uri) -> bool:
    """Whether an address names nobody (RFC 3323 section 4.1.1.3), so that anybody may use it."""
    return getattr(uri, "host", "") == ANONYMOUS_HOST


def withholds_name(uri: Uri) -> bool:
    """Whether a From names nobody, by the RFC or as networks write it (3GPP TS 24.229 has ``unknown.invalid``)."""
    if is_anonymous(uri) or getattr(uri, "host", "") == "unknown.invalid":
        return True
    return (getattr(uri, "user", None) or "").lower() == "anonymous"


def honest_from(call: Call) -> Verdict:
    """From must be an address of the account that authenticated, or anonymous; else 403."""
    user = call.findings.user
    if user is None or call.request.method == "REGISTER":
        return CONTINUE  # a REGISTER is judged by its To (RFC 3261 section 10.3 step 4)
    uri = call.request.from_.uri
    if user.account.owns(call.services.policy.address_of(uri)) or is_anonymous(uri):
        return CONTINUE
    return Answer(403, "Forbidden (From is not an address of the account)")


def permitted(call: Call) -> Verdict:
    """The account's rights: which methods, to which destinations; else 403.

    A telephone number of somewhere else may cost money, however it is written: it needs the right to ``tel:`` too.
    Inside a dialog the destination is a phone's own address, which nobody has listed: it must only not be denied.
    """
    findings = call.findings
    if findings.user is None or call.request.method == "REGISTER":
        return CONTINUE
    rights = findings.user.account.rights
    if call.request.method not in rights.methods:
        return Answer(403, f"Forbidden (the account may not send {call.request.method})")
    if findings.in_dialog:
        denied = findings.watched and rights.denies(call.services.policy.address_of(call.uri))
        return Answer(403, "Forbidden (the account may not call this destination)") if denied else CONTINUE
    allowed = rights.permits(call.services.policy.address_of(call.uri))
    if allowed and not findings.for_us and (number := telephone_number(call.uri)) is not None:
        plus = "+" if unescape(call.uri.user or "").startswith("+") else ""
        allowed = rights.permits(f"tel:{plus}{number}")
    return CONTINUE if allowed else Answer(403, "Forbidden (the account may not call this destination)")


def strip_own_credentials(call: Call) -> Verdict:
    """Take the credentials for our realm off: the next element has no use for them (RFC 3261 section 22.3).

    Those for our registrar too, which a phone may add to any request (section 22.2): whom it calls could try passwords
    against them.
    """
    headers = call.request.headers
    if headers.has("Proxy-Authorization"):
        if headers.names.count("Proxy-Authorization") == 1 and call.findings.credentials is not None:
            headers.remove("Proxy-Authorization")
        else:
            strip_realm(call, "Proxy-Authorization")
    if headers.has("Authorization") and call.request.method != "REGISTER":
        strip_realm(call, "Authorization")
    return CONTINUE


def strip_realm(call: Call, name: str) -> None:
    """Take the credentials for our realm out of the header fields of this name."""
    headers = call.request.headers
    for value in headers.all(name):
        if _realm_of(value) == call.services.policy.realm:
            headers.remove_line(name, value)


def _realm_of(value: str) -> str | None:
    """The realm of credentials. What we can't read is somebody else's (RFC 3261 section 16.3 step 1)."""
    try:
        credentials = parse_credentials(value, "Proxy-Authorization")
    except PeerError:
        return None
    return credentials.realm if credentials is not None else None
