"""Messages that the tests of this package share, and strategies that make others."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

from ringfence.message import Headers, PeerError, Request, Response

T = TypeVar("T")
SDP = (
    b"v=0\r\no=alice 2890844526 2890844526 IN IP4 host.example.org\r\ns=-\r\n"
    b"c=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 49172 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
FIELDS: dict[str, str] = {
    "Via": "SIP/2.0/UDP pc33.example.org;branch=z9hG4bK776asdhds",
    "Max-Forwards": "70",
    "To": "Bob <sip:bob@example.net>",
    "From": "Alice <sip:alice@example.org>;tag=1928301774",
    "Call-ID": "a84b4c76e66710@pc33.example.org",
    "CSeq": "314159 INVITE",
    "Contact": "<sip:alice@pc33.example.org>",
    "Content-Type": "application/sdp",
}


def invite_bytes(
    change: dict[str, str | None] | None = None,
    *,
    start: str = "INVITE sip:bob@example.net SIP/2.0",
    extra: tuple[str, ...] = (),
    body: bytes = SDP,
    length: str | None = "right",
) -> bytes:
    """A good INVITE with some fields replaced (None removes one), lines added, or another body."""
    fields = {**FIELDS, **(change or {})}
    lines = [start, *(f"{name}: {value}" for name, value in fields.items() if value is not None), *extra]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == 'right' else length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + body


def status_of(read: Callable[[T], object], data: T) -> int:
    """0 when it can be read, else the status of the PeerError; any other exception is a fault of ours."""
    try:
        read(data)
    except PeerError as error:
        return error.status if error.reason else -1
    return 0


TOKEN = string.ascii_letters + string.digits + "-.!%*_+`'~"
tokens = st.text(TOKEN, min_size=1, max_size=12)
# What a header value may hold: anything but CR, LF, controls and the blanks that are trimmed at its ends.
values = (
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FFF, exclude_characters="\\\x7f"), max_size=40)
    .map(lambda text: "".join(c for c in text if not 0x7F <= ord(c) < 0xA0).strip(" \t"))
    .filter(lambda text: "\r" not in text)
)
names = tokens.map(lambda name: f"X-{name}")


@st.composite
def messages(draw: st.DrawFn) -> Request | Response:
    """Any request or response that we would write."""
    method = draw(tokens)
    headers = Headers()
    headers.add("Via", f"SIP/2.0/UDP host{draw(st.integers(0, 99))}.example;branch=z9hG4bK{draw(tokens)}")
    for name, value in (
        ("From", "<sip:a@example.org>;tag=1"),
        ("To", "<sip:b@example.org>"),
        ("Call-ID", "1@h"),
    ):
        headers.add(name, value)
    headers.add("CSeq", f"{draw(st.integers(0, 2**31 - 1))} {method}")
    for name, value in draw(st.lists(st.tuples(names, values), max_size=6)):
        headers.add(name, value)
    body = draw(st.binary(max_size=60))
    headers.add("Content-Length", len(body))
    if draw(st.booleans()):
        return Request(method, "sip:b@example.org", headers, body)
    return Response(draw(st.integers(100, 699)), draw(values), headers, body)
