"""Requests that the auditor writes, and what a server answers: a client transaction in a few lines.

It is not the engine's. A probe wants to see what the engine would hide: each retransmission, each response that fits
nothing, and silence.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from ringfence.audit.line import Line
from ringfence.message import Headers, PeerError, Request, Response, ack_for, cancel_for, parse
from ringfence.message.fields import VIA

AGENT = "Ringfence audit"

RETRANSMIT = 0.5
"""Seconds before a request over UDP is sent again (T1, RFC 3261 section 17.1.1.1)."""

SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
"""An offer whose media goes to nobody (RFC 5737)."""


@dataclass(slots=True)
class Answer:
    """What came back for one request."""

    responses: list[Response] = field(default_factory=list)
    seconds: float = 0.0
    """Until the first response."""
    octets: int = 0
    """Received in all."""

    @property
    def final(self) -> Response | None:
        """The final response."""
        return next((each for each in self.responses if each.status >= 200), None)

    @property
    def status(self) -> int:
        """Of the final response, else of the last provisional one; 0 for silence."""
        last = self.final or (self.responses[-1] if self.responses else None)
        return last.status if last is not None else 0

    @property
    def challenged(self) -> bool:
        """Whether credentials are asked for."""
        return self.status in {401, 407}

    @property
    def challenges(self) -> list[str]:
        """The values of WWW-Authenticate and Proxy-Authenticate."""
        final = self.final
        if final is None:
            return []
        return [*final.headers.all("WWW-Authenticate"), *final.headers.all("Proxy-Authenticate")]

    def get(self, name: str) -> str:
        """A header field of the final response; empty when it has none."""
        return (self.final.headers.get(name) or "") if self.final is not None else ""

    def __str__(self) -> str:
        last = self.final or (self.responses[-1] if self.responses else None)
        return f"{last.status} {last.reason}" if last is not None else "no answer"


def token(octets: int = 6) -> str:
    """Random text for tags, branches and names that nobody has."""
    return secrets.token_hex(octets)


def build(
    line: Line,
    method: str,
    uri: str,
    *,
    sender: str,
    to: str | None = None,
    call_id: str | None = None,
    sequence: int = 1,
    extra: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    content_type: str = "application/sdp",
    contact: str | None = None,
    max_forwards: int = 70,
    from_tag: str | None = None,
) -> Request:
    """A request of a well-behaved client, with the further fields that a probe wants.

    ``sender`` and ``to`` are URIs, or whole header field values when they hold "<".
    """
    headers = Headers(
        [
            ("Via", f"SIP/2.0/{line.place.transport} {line.local};branch=z9hG4bK{token()};rport"),
            ("Max-Forwards", str(max_forwards)),
            ("From", f"{_bracketed(sender)};tag={from_tag or token(4)}"),
            ("To", _bracketed(to or uri)),
            ("Call-ID", call_id or f"{token(8)}@audit.invalid"),
            ("CSeq", f"{sequence} {method}"),
        ]
    )
    if contact is None and method in {"INVITE", "SUBSCRIBE", "REFER", "UPDATE", "NOTIFY"}:
        contact = f"<{contact_of(line)}>"
    if contact:
        headers.add("Contact", contact)
    for name, value in extra:
        headers.add(name, value)
    headers.add("User-Agent", AGENT)
    if body is None and method == "INVITE":
        body = SDP.encode()
    if body:
        headers.add("Content-Type", content_type)
    headers.add("Content-Length", str(len(body or b"")))
    return Request(method, uri, headers, body or b"")


def contact_of(line: Line) -> str:
    """Where the auditor is reached on this line."""
    transport = line.place.transport.lower()
    return f"sip:audit@{line.local};transport={'ws' if transport == 'wss' else transport}"


def again(request: Request, *, extra: Iterable[tuple[str, str]] = ()) -> Request:
    """The same request as a new transaction (RFC 3261 section 22.1): branch and CSeq are new."""
    new = request.copy()
    via = request.headers.get("Via") or ""
    old = request.via.branch or ""
    new.headers.set("Via", via.replace(old, f"z9hG4bK{token()}"))
    new.headers.set("CSeq", f"{request.cseq.number + 1} {request.method}")
    for name, value in extra:
        new.headers.add(name, value)
    return new


def _bracketed(address: str) -> str:
    return address if "<" in address else f"<{address}>"


async def ask(line: Line, request: Request, wait: float, *, quietly: bool = False) -> Answer:
    """Send a request and wait for its final response, this many seconds at most.

    An INVITE is always tidied up: acknowledged, and ended or cancelled. ``quietly`` leaves that out, for the probe that
    counts retransmissions.
    """
    loop = asyncio.get_running_loop()
    answer = Answer()
    data = request.to_bytes()
    await line.send(data)
    start, sent = loop.time(), time.perf_counter()  # after its turn has come: times are compared
    interval, due = RETRANSMIT, start + RETRANSMIT
    while answer.final is None and (now := loop.time()) < start + wait:
        resend = line.place.datagrams and not answer.responses
        got = await line.receive(min(start + wait, due if resend else start + wait) - now)
        if got is not None:
            answer.octets += len(got)
            take(answer, got, request, time.perf_counter() - sent)
        elif line.ended is not None and not line.place.datagrams:
            break
        elif resend and loop.time() >= due:
            await line.send(data)
            interval *= 2
            due = loop.time() + interval
    if request.method == "INVITE" and not quietly:
        await _tidy(line, request, answer)
    return answer


def take(answer: Answer, data: bytes, request: Request, seconds: float) -> bool:
    """Add a response to the answer, if it belongs to the request (RFC 3261 section 17.1.3)."""
    try:
        message = parse(data)
        if not isinstance(message, Response) or message.cseq.method != request.method:
            return False
        sent = request.headers.first(VIA)
        if sent is None or message.via.branch != sent.branch:
            return False
    except PeerError:
        return False
    if not answer.responses:
        answer.seconds = seconds
    answer.responses.append(message)
    return True


async def _tidy(line: Line, request: Request, answer: Answer) -> None:
    final = answer.final
    if final is None:
        if answer.responses:
            await line.send(cancel_for(request).to_bytes())
        return
    if final.status >= 300:
        await line.send(ack_for(request, final).to_bytes())
        return
    for method, number in (("ACK", request.cseq.number), ("BYE", request.cseq.number + 1)):
        await line.send(_within(line, request, final, method, number).to_bytes())


def _within(line: Line, request: Request, final: Response, method: str, number: int) -> Request:
    """A request in the dialog that a 2xx has made (RFC 3261 section 12.2.1.1)."""
    contact = final.headers.values("Contact")
    uri = contact[0].partition("<")[2].partition(">")[0] if contact and "<" in contact[0] else request.uri
    routes = [("Route", value) for value in reversed(final.headers.values("Record-Route"))]
    new = build(line, method, uri, sender="sip:x", extra=routes, contact="")
    for name in ("From", "Call-ID"):
        new.headers.set(name, request.headers.get(name) or "")
    new.headers.set("To", final.headers.get("To") or "")
    new.headers.set("CSeq", f"{number} {method}")
    return new
