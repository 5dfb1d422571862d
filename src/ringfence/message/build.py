"""Messages made from messages: responses (RFC 3261 section 8.2.6), ACK (17.1.1.3) and CANCEL (9.1)."""

from __future__ import annotations

from typing import Final

from ringfence.message.errors import PeerError
from ringfence.message.fields import TO
from ringfence.message.headers import Headers
from ringfence.message.message import Request, Response
from ringfence.message.status import reason_phrase

# RFC 3261 section 8.2.6.2: these are copied from the request, in order. Record-Route is copied into responses
# that can create a dialog (12.1.1); in others it would tell more than is needed.
_COPIED: Final = frozenset({"Via", "From", "To", "Call-ID", "CSeq"})
_DIALOG: Final = frozenset({"Record-Route"})


def explain(error: PeerError) -> str:
    """A reason phrase that says which header is wrong and why (RFC 3261 section 21.4.1)."""
    where = f"{error.header}: " if error.header else ""
    text = f"{reason_phrase(error.status)} ({where}{error.reason})"
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


def response_to(
    request: Request, status: int, reason: str | None = None, *, to_tag: str | None = None
) -> Response:
    """A response with what RFC 3261 section 8.2.6.2 copies from the request and ``Content-Length: 0``.

    ``to_tag`` is put on the To when that has none yet; a 100 gets none, others should have one.
    Timestamp is copied into a 100 (section 8.2.6.1).
    """
    wanted = _COPIED
    if 100 < status < 300 and request.method in {"INVITE", "SUBSCRIBE", "REFER", "NOTIFY"}:
        wanted = _COPIED | _DIALOG
    names: list[str] = []
    lines: list[str] = []
    for name, line in zip(request.headers.names, request.headers.lines, strict=True):
        if name in wanted or (name == "Timestamp" and status == 100):
            if name == "To" and to_tag is not None and status > 100:
                line = _tagged(request, line, to_tag)
            names.append(name)
            lines.append(line)
    names.append("Content-Length")
    lines.append("Content-Length: 0")
    return Response(status, reason, Headers.received(names, lines))


def _tagged(request: Request, line: str, to_tag: str) -> str:
    try:
        to = request.headers.first(TO)
    except PeerError:
        return line  # a To that cannot be read goes back as it came: the 400 says what is wrong with it
    if to is None or to.tag is not None:
        return line
    if "\r\n" in line:
        return f"To: {to.with_param('tag', to_tag)}"
    return f"{line};tag={to_tag}"


def _from_request(request: Request, method: str, *, to: str | None) -> Request:
    """A request on the same branch: topmost Via, Request-URI, From, Call-ID, CSeq number and Route alike."""
    source = request.headers
    headers = Headers([("Via", str(request.via))])
    for name in ("Route", "Max-Forwards"):
        for value in source.all(name):
            headers.add(name, value)
    headers.add("From", source.get("From") or "")
    headers.add("To", (to if to is not None else source.get("To")) or "")
    headers.add("Call-ID", source.get("Call-ID") or "")
    headers.add("CSeq", f"{request.cseq.number} {method}")
    headers.add("Content-Length", 0)
    return Request(method, request.uri, headers)


def ack_for(request: Request, response: Response) -> Request:
    """The ACK that an INVITE client transaction sends for a 3xx to 6xx (RFC 3261 section 17.1.1.3)."""
    return _from_request(request, "ACK", to=response.headers.get("To"))


def cancel_for(request: Request) -> Request:
    """The CANCEL for a request that was sent (RFC 3261 section 9.1)."""
    return _from_request(request, "CANCEL", to=None)
