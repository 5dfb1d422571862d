"""How a request that we can't accept is answered: the header fields that its status wants (RFC 3261 section 21)."""

from __future__ import annotations

from ringfence.client.body import MULTIPART, SDP
from ringfence.client.desk import ALLOW
from ringfence.client.session_timer import LEAST_INTERVAL
from ringfence.message import PeerError, Request, Response, reason_phrase, response_to
from ringfence.message.fields import WarningValue

TEXT_TYPES = frozenset({"text/plain", "text/html"})
SDP_TYPES = frozenset({SDP, *MULTIPART})

SECURED = ("application/pkcs7-mime", "multipart/signed", "message/sip")
"""What may be around any of them: it is opened before."""

ACCEPTED = {
    "INVITE": SDP_TYPES,
    "UPDATE": SDP_TYPES,
    "PRACK": SDP_TYPES,
    "MESSAGE": TEXT_TYPES | MULTIPART,
    "NOTIFY": frozenset({"message/sipfrag"}),
    "INFO": frozenset({"application/dtmf-relay", "application/dtmf"}),
}
"""Bodies that are understood; those of other methods are passed over."""

AGENT = "ringfence"
"""The warn-agent: a pseudonym, so that no address of ours is told (RFC 3261 section 20.43)."""

INCOMPATIBLE_MEDIA = 305
"""warn-code: Incompatible media format."""

MISCELLANEOUS = 399
"""warn-code: Miscellaneous warning."""


def refusal(request: Request, error: PeerError, to_tag: str | None = None) -> Response:
    """The answer to a request that is not acceptable. ``to_tag`` is for a request outside any dialog."""
    headers: list[tuple[str, str]] = []
    why = "".join(each if each.isprintable() else "?" for each in error.reason)[:200]
    where = f"{error.header}: " if error.header else ""
    reason: str | None = f"{reason_phrase(error.status)} ({where}{why})"
    match error.status:
        case 405:
            headers.append(("Allow", ALLOW))
        case 406:
            headers.append(("Warning", str(WarningValue(MISCELLANEOUS, AGENT, why))))
        case 415:
            accepted = ACCEPTED.get(request.method, SDP_TYPES)
            headers += [("Accept", ", ".join([*sorted(accepted), *SECURED])), ("Accept-Encoding", "identity")]
        case 420:
            headers.append(("Unsupported", why))
        case 422:
            headers.append(("Min-SE", str(LEAST_INTERVAL)))
        case 469:
            headers.append(("Recv-Info", ""))
        case 488 | 606:
            headers.append(("Warning", str(WarningValue(INCOMPATIBLE_MEDIA, AGENT, why))))
            reason = None
    response = response_to(request, error.status, reason, to_tag=to_tag)
    for name, value in headers:
        response.headers.add(name, value)
    return response
