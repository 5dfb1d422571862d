"""Messages that are wrong, each in one place, in the manner of RFC 4475 and of PROTOS c07-sip.

A server answers them with an error or drops them, and goes on serving. Which error it is is not judged here: a server
that asks for credentials first has not looked yet. None of them is meant to reach anybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ringfence.audit.exchange import build, token
from ringfence.audit.line import Line
from ringfence.audit.site import Site

LONG = 30_000
"""Characters of a value that is too long, and still fits into a datagram."""


class Case(NamedTuple):
    """One wrong message."""

    name: str
    data: bytes
    answerable: bool = True
    """Whether a good answer (1xx, 2xx) to it would be a fault."""


def datagrams(site: Site, line: Line) -> Iterator[Case]:
    """Those that are one message each."""
    good = build(line, "OPTIONS", site.uri(site.nobody), sender=site.uri(site.nobody)).to_bytes().decode()
    branch = good.partition("branch=")[2].partition(";")[0]
    for number, (name, old, new) in enumerate(_changes(site)):
        text = _replace(good, old, new).replace(branch, f"z9hG4bK{token()}{number}")
        yield Case(name, text.encode("utf-8", "surrogateescape"))
    yield from _whole(good)


def _replace(good: str, name: str, value: str) -> str:
    """The good message with another start line ("") or another value of one field."""
    lines = good.split("\r\n")
    if not name:
        return "\r\n".join([value, *lines[1:]])
    return "\r\n".join(f"{name}: {value}" if line.startswith(f"{name}:") else line for line in lines)


def _changes(site: Site) -> Iterator[tuple[str, str, str]]:
    uri = site.uri(site.nobody)
    start = f"OPTIONS {uri} SIP/2.0"
    yield "an unknown version", "", start.replace("SIP/2.0", "SIP/7.0")
    yield "no version", "", f"OPTIONS {uri}"
    yield "two spaces in the start line", "", f"OPTIONS  {uri} SIP/2.0"
    yield "a Request-URI in brackets", "", f"OPTIONS <{uri}> SIP/2.0"
    yield "a space in the Request-URI", "", f"OPTIONS {uri}; lr SIP/2.0"
    yield "an unknown scheme", "", "OPTIONS nobodyknows:audit SIP/2.0"
    yield "a port out of range", "", f"OPTIONS {uri}:99999 SIP/2.0"
    yield "an escape that is none", "", "OPTIONS sip:%zz@audit.invalid SIP/2.0"
    yield "an escaped NUL", "", f"OPTIONS sip:a%00b@{site.domain} SIP/2.0"
    yield "a very long Request-URI", "", f"OPTIONS sip:{'a' * LONG}@{site.domain} SIP/2.0"
    yield "formats in the method", "", f"%s%n%x {uri} SIP/2.0"
    yield "a negative Content-Length", "Content-Length", "-1"
    yield "a huge Content-Length", "Content-Length", "99999999999999999999"
    yield "a Content-Length beyond the end", "Content-Length", "900"
    yield "two different Content-Lengths", "Content-Length", "0\r\nContent-Length: 5"
    yield "a CSeq of another method", "CSeq", "1 INVITE"
    yield "a CSeq above 2^31", "CSeq", "36893488147419103232 OPTIONS"
    yield "a CSeq without a number", "CSeq", "OPTIONS"
    yield "Max-Forwards above 255", "Max-Forwards", "300"
    yield "a negative Max-Forwards", "Max-Forwards", "-7"
    yield "no From", "From", ""
    yield "an open quote in To", "To", f'"Mr. Audit <{uri}>'
    yield "an open bracket in From", "From", f"<{uri};tag=1"
    yield "a From with two tags", "From", f"<{uri}>;tag=1;tag=2"
    yield "a comma list in From", "From", f"<{uri}>;tag=1, <{uri}>;tag=2"
    yield "a very long display name", "From", f'"{"a" * LONG}" <{uri}>;tag=1'
    yield "thousands of parameters", "To", f"<{uri}>{';a' * 5000}"
    yield "escapes without end", "To", f'"{chr(92) * 5001}" <{uri}>'
    yield "an empty Call-ID", "Call-ID", ""
    yield "a very long Call-ID", "Call-ID", "c" * LONG
    yield "octets that are no UTF-8", "Call-ID", "\udcff\udcfe\udc80"
    yield "a NUL in a value", "Call-ID", "a\x00b"
    yield "a bare line feed in a value", "Call-ID", "a\nX: b"
    yield "control characters", "User-Agent", "\x1b[2J\x07\x08"
    yield "formats in a value", "User-Agent", "%s%n%x%p" * 200
    yield "a line without colon", "User-Agent", "x\r\nthis is no header field"
    yield "an empty name", "User-Agent", "x\r\n: y"
    yield "thousands of header fields", "User-Agent", "x" + "\r\nX-A: b" * 4000
    yield "hundreds of Vias", "User-Agent", "x" + "\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa" * 700
    yield "hundreds of Routes", "User-Agent", "x" + f"\r\nRoute: <{uri};lr>" * 700
    yield "a deep folding", "User-Agent", "x" + "\r\n y" * 3000
    yield "credentials without end", "User-Agent", 'x\r\nAuthorization: Digest username="' + "a" * LONG
    yield (
        "credentials with everything twice",
        "User-Agent",
        'x\r\nAuthorization: Digest realm="a",realm="b",nonce=""',
    )
    yield "a Contact star with an address", "User-Agent", "x\r\nContact: *, <sip:a@192.0.2.1>"
    yield "an SDP of one line", "Content-Length", "3\r\nContent-Type: application/sdp\r\n\r\nv=0"


def _whole(good: str) -> Iterator[Case]:
    """Those that are wrong as a whole."""
    data = good.encode()
    head = data.partition(b"\r\n\r\n")[0]
    yield Case("no end of the header block", head, False)
    yield Case("half a start line", data[:9], False)
    yield Case("line feeds alone", data.replace(b"\r\n", b"\n"), False)
    yield Case("NULs", bytes(600), False)
    yield Case("noise", bytes((7 * i * i + 3 * i) % 256 for i in range(1200)), False)
    yield Case("a request of HTTP", b"GET / HTTP/1.1\r\nHost: audit.invalid\r\n\r\n", False)
    yield Case(
        "no Via", b"\r\n".join(line for line in data.split(b"\r\n") if not line.startswith(b"Via")), False
    )
    stray = data.replace(data.split(b"\r\n")[0], b"SIP/2.0 200 OK", 1)
    yield Case("a response to nothing", stray, False)
    yield Case("a response with an impossible status", stray.replace(b"200 OK", b"4294967301 OK"), False)
    yield Case(
        "a 64 KB datagram",
        data.replace(b"Content-Length: 0", b"Content-Length: 60000") + b"x" * 60_000,
        False,
    )


def streams(site: Site, line: Line) -> Iterator[Case]:
    """Those that break the framing of a connection (RFC 3261 section 18.3)."""
    good = build(line, "OPTIONS", site.uri(site.nobody), sender=site.uri(site.nobody)).to_bytes().decode()
    yield Case("no Content-Length", good.replace("Content-Length: 0\r\n", "").encode(), False)
    for name, length in (
        ("negative", "-1"),
        ("huge", "4294967297"),
        ("no number", "x" * 400),
        ("of 900 MB", "900000000"),
    ):
        yield Case(
            f"a Content-Length that is {name}", _replace(good, "Content-Length", length).encode(), False
        )
    yield Case(
        "a header block without end", (good.partition("\r\n\r\n")[0] + "\r\nX: y" * 60_000).encode(), False
    )
    yield Case("noise", bytes((7 * i * i + 3 * i) % 256 for i in range(3000)), False)
