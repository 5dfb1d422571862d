"""Is the request one that we can work on at all? (RFC 3261 section 16.3 steps 1, 2 and 5)"""

from __future__ import annotations

from ringfence.message.fields import PROXY_REQUIRE
from ringfence.message.fields.via import MAGIC_COOKIE
from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.policy import AgreementMode
from ringfence.security.agreement import OPTION

PROXY_OPTIONS = frozenset({"path", "outbound", "gruu", "privacy"})
"""Option tags that a proxy of ours does what they ask for (Proxy-Require, RFC 3261 section 20.29)."""


def sane(call: Call) -> Verdict:
    """Read From, To and Call-ID, and refuse extensions that this proxy does not know.

    Other header fields are left unread: "any other components, well-formed or not, SHOULD be ignored and remain
    unchanged when the message is forwarded".
    """
    request = call.request
    if request.from_.tag is None and request.via.branch.startswith(MAGIC_COOKIE):
        # RFC 3261 section 8.1.1.3: "The From field MUST contain a new tag parameter". RFC 2543 had none, and such a
        # request is no reason for a refusal (section 12.1.1); its branch lacks the magic cookie.
        return Answer(400, "Bad Request (From: the tag is missing)")
    request.to  # noqa: B018  (read for its errors)
    request.call_id  # noqa: B018
    if "Proxy-Require" in request.headers and request.method not in {"ACK", "CANCEL"}:
        unknown = [each for each in request.headers.every(PROXY_REQUIRE) if not _known(call, each)]
        if unknown:
            return Answer(420, headers=(("Unsupported", ", ".join(unknown)),))
    return CONTINUE


def _known(call: Call, option: str) -> bool:
    option = option.lower()  # RFC 3261 section 7.3.1
    if option == OPTION:
        return call.services.policy.agreement is not AgreementMode.OFF
    return option in PROXY_OPTIONS
