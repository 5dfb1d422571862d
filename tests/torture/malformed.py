"""Malformed INVITEs in the manner of PROTOS c07-sip: a good message with one anomaly in one element.

Each case knows the status that must be answered and the header field that must be blamed (None when it is the
start line, the framing or the lines themselves). ``python -m tests.torture.malformed`` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.message.samples import invite_bytes


class Case(NamedTuple):
    """One datagram and what must be said of it."""

    name: str
    data: bytes
    status: int
    header: str | None


FORMATS = ("%s%n%x%p", "%.999d", "{}{0.__class__}", "${jndi:ldap://h/a}", "%s" * 500)
CONTROLS = ("\x00", "\x01", "\x08", "\x0b", "\x1b[2J", "\x7f")
NO_UTF8 = ("\udc80", "\udcff\udcfe", "\udcc0\udc80", "\udced\udca0\udc80", "\udcf5\udc80\udc80\udc80")
NO_NUMBERS = (
    "",
    "-1",
    "+1",
    "0x10",
    "1e3",
    "1.0",
    "1,0",
    "1 0",
    "one",
    "٣",
    "''",
    '"1"',
    "1\udcb2",
    "%d",
    "NaN",
    "∞",
)
HUGE = (str(2**32), str(2**63), str(2**64), str(2**128), "9" * 65, "9" * 5000, "9" * 60_000)
NO_HOSTS = (
    "", ".", "a..b", "-", "a-", "-a", "a b", "a/b", "a@b", "é", "%s", "256.1.1.1", "1.2.3", "1.2.3.4.5", "1.2.3.4.",
    "::1", "[::1", "::1]", "[]", "[:]", "[::1::2]", "[1:2:3]", "[g::]", "[::1%eth0]", "[[::1]]", "(h)", "h\\", "*",
)  # fmt: skip
NO_PORTS = ("0", "65536", "-1", "x", "", "5060x", "0x13c4", "5060 5060", "٣", "4294967296", "9" * 400)
NO_PARAMS = (";", ";;", ";=", ";=x", ";a=", ";a==b", ';a="', ';a="b', ';a="b"c', ";a b", ";a=b c", ";a=b;A=c", ";(a)=b",
             ";é=1", ";a=<b>", ";a=b,,", ";" * 1000, "".join(f";p{i}" for i in range(100)), ";a" * 30_000)  # fmt: skip
NO_URIS = (
    "", ":", "sip", "sip:", "sip:@", "sip:a@", "sip:@h", "sip:a@b@c", "sip:a@h;", "sip:a@h;;lr", "sip:a@h;lr=",
    "sip:a@h;a;a", "sip:a@h?", "sip:a@h?a", "sip:a@h?=b", "sip:a@h?a=b&", "sip:%@h", "sip:%4@h", "sip:%zz@h",
    "sip:a:b:c@h", "sip:a[b]@h", "sip:a{b}@h", "sip:a|b@h", "sip:a^b@h", "sip:a`b@h", "sip:a\\b@h", "sip:a#b@h",
    'sip:"a"@h', "sip:é@h", "sip:a@é", "sips:", "tel:", "tel:+", "tel:+1x", "tel:1;;", "http://h/%", "1a:b", "a_b:c",
    "sip:%s%n%x@h", "sip:a@h:" + "1" * 100,
)  # fmt: skip
NO_ADDRESSES = (
    "", "x", "<>", "<", ">", "<<sip:a@h>>", "<sip:a@h", "sip:a@h>", "< sip:a@h>", "<sip:a@h >", '"', '"a', '"a\\',
    '"a <sip:a@h>', 'a" <sip:a@h>', '"a" "b" <sip:a@h>', '"a"b <sip:a@h>', "a, b <sip:a@h>", "(a) <sip:a@h>",
    "a@b <sip:a@h>", "a:b <sip:a@h>", "<sip:a@h> b", "<sip:a@h><sip:b@h>", "sip:a@h b", "sip:a@h?b=c", "<sip:a@h>,",
    "\\<sip:a@h>", "[a] <sip:a@h>", '"' * 3 + " <sip:a@h>", "<" * 1000, '"\\' * 1000, '"' + "a" * 60_000,
)  # fmt: skip


def _line(name: str, value: str) -> bytes:
    """The good INVITE with this value for one field."""
    length = value if name == "Content-Length" else "right"
    return invite_bytes({} if name == "Content-Length" else {name: value}, length=length)


def _fields() -> Iterator[tuple[str, str]]:
    """Values that the field of that name may not have."""
    for host in NO_HOSTS:
        yield "Via", f"SIP/2.0/UDP {host}"
    for port in NO_PORTS:
        yield "Via", f"SIP/2.0/UDP h:{port};branch=z9hG4bK1"
        for name in ("To", "Contact", "Route"):
            yield name, f"<sip:a@h:{port}>"
    for via in ("", "SIP/2.0/UDP", "SIP/2.0 h", "SIP//UDP h", "/2.0/UDP h", "SIP/1.0/UDP h", "SIP/2.0/ h",
                "HTTP/1.1/TCP h", "SIP/2.0/UDP  ", "SIP/2.0/UDPh", "SIP/2.0/UDP h h", "SIP/2.0/(UDP) h", ",",
                "SIP/2.0/UDP h,,SIP/2.0/UDP h",
                "SIP/2.0/UDP h;branch=", "SIP/2.0/UDP h,", "SIP/2.0/UDP h," * 600 + "SIP/2.0/UDP h"):  # fmt: skip
        yield "Via", via
    for params in NO_PARAMS:
        yield "Via", f"SIP/2.0/UDP h{params}"
        for name in ("From", "To", "Contact", "Route", "Record-Route"):
            yield name, f"<sip:a@h>{params}"
    for uri in NO_URIS:
        for name in ("From", "To", "Contact", "Refer-To", "Record-Route", "P-Asserted-Identity"):
            yield name, f"<{uri}>"
    for address in NO_ADDRESSES:
        for name in ("From", "To", "Contact", "Reply-To", "Path", "Route"):
            yield name, address
    for tag in ("", '"a"', "a b", "a@b", "é", "a;tag=b", "<a>", "a/b"):
        yield "From", f"<sip:a@h>;tag={tag}"
    for call_id in (
        "",
        " ",
        "a b",
        "a@",
        "@b",
        "a@b@c",
        "a;b",
        "a,b",
        "a=b",
        "é",
        "a|b",
        "a^b",
        "a&b",
        "a#b",
        "a$b",
    ):
        yield "Call-ID", call_id
    for number in (*NO_NUMBERS, *HUGE):
        yield "CSeq", f"{number} INVITE"
        for name in ("Max-Forwards", "Content-Length", "Expires", "Min-Expires", "Retry-After"):
            if number != str(2**32) or name != "Content-Length":
                yield name, number
    for method in ("", "INV ITE", "(INVITE)", '"INVITE"', "BYE", "invite", "INVITÉ", "INVITE;a", "%n" * 50):
        yield "CSeq", f"1 {method}"
    for media in (
        "",
        "/",
        "a/",
        "/b",
        "application",
        "application sdp",
        "a/b/c",
        "a/b;",
        "a/b;;",
        "a/b c",
        "a/b;c=",
        "é/b",
        '"a"/b',
    ):
        yield "Content-Type", media
    for date in (
        "",
        "now",
        "0",
        "Sat, 13 Nov 2010 23:29:00",
        "Sat, 32 Nov 2010 23:29:00 GMT",
        "Sat, 13 Nov 2010 25:29:00 GMT",
    ):
        yield "Date", date
    for name in ("Require", "Event", "Content-Encoding", "Priority"):
        for token in ("a b", '"a"', "(a)", "a@b", "é", "a/b", "<a>", "a:b"):
            yield name, token
    for name in ("Authorization", "WWW-Authenticate", "Proxy-Authorization"):
        for value in ("", "Digest", 'Digest realm="a', "Digest realm=a,realm=b", "Digest a=b c=d",
                      "Digest " + "a=b," * 10_000 + "c=d"):  # fmt: skip
            yield name, value


def cases() -> Iterator[Case]:
    """Every case, each with a name of its own."""
    for name, value in _fields():
        yield Case(f"{name}: {value[:40]!r}", _line(name, value), 400, name)
    yield from _start_lines()
    yield from _octets()
    yield from _lines()


def _start_lines() -> Iterator[Case]:
    for method in ("", "INV ITE", "INV(ITE", "<INVITE>", '"INVITE"', "INV:ITE", "INV,ITE", "INV/ITE", "É",
                   "\udcff", "A" * 65, "A" * 60_000, "\tINVITE"):  # fmt: skip
        start = f"{method} sip:b@h SIP/2.0"
        yield Case(f"method {method[:20]!r}", invite_bytes(start=start), 400, None)
    for uri in (
        *NO_URIS,
        "<sip:b@h>",
        "sip:b@h sip:c@h",
        "sip:b@h?a=b",
        "sip:b@h;method=BYE",
        '"sip:b@h"',
        "*",
    ):
        yield Case(f"uri {uri[:40]!r}", invite_bytes(start=f"INVITE {uri} SIP/2.0"), 400, None)
    for host in NO_HOSTS:
        yield Case(f"uri host {host!r}", invite_bytes(start=f"INVITE sip:b@{host} SIP/2.0"), 400, None)
    for size in (4100, 60_000):
        yield Case(f"uri of {size}", invite_bytes(start=f"INVITE sip:{'b' * size}@h SIP/2.0"), 414, None)
    for version in ("", "SIP", "SIP/", "SIP/2", "SIP/.0", "SIP/2.", "SIP/2.0.0", "SIP 2.0", "SIP//2.0", "SIP/a.b",
                    "SIP/-2.0", "HTTP/1.1", "2.0", "%s", "SIP/2.0 ", "SIP/2.0\t", "A" * 60_000):  # fmt: skip
        yield Case(f"version {version[:20]!r}", invite_bytes(start=f"INVITE sip:b@h {version}"), 400, None)
    for version in ("SIP/1.0", "SIP/3.0", "SIP/2.1", "SIP/02.0", "SIP/99999999999.0", "sip/7.0"):
        yield Case(f"version {version}", invite_bytes(start=f"INVITE sip:b@h {version}"), 505, None)
    for status in ("", "0", "99", "700", "999", "20", "2000", "-200", "+20", "2 0", "2x0", "٣٠٠", *HUGE):
        yield Case(f"status {status[:20]!r}", invite_bytes(start=f"SIP/2.0 {status} OK"), 400, None)


def _octets() -> Iterator[Case]:
    good = invite_bytes(extra=("Subject: here",))
    for text in CONTROLS:
        octets = text.encode()
        yield Case(
            f"control {text!r} in a value", good.replace(b"here", b"he" + octets + b"re"), 400, "Subject"
        )
        yield Case(
            f"control {text!r} in a name", good.replace(b"Subject", b"Sub" + octets + b"ject"), 400, None
        )
        yield Case(
            f"control {text!r} in the start line",
            good.replace(b"INVITE", b"INV" + octets + b"ITE", 1),
            400,
            None,
        )
    for text in NO_UTF8:
        octets = text.encode("utf-8", "surrogateescape")
        yield Case(f"no UTF-8 {octets!r} in a text", good.replace(b"here", octets), 400, "Subject")
        yield Case(f"no UTF-8 {octets!r} unquoted", good.replace(b"Bob", octets), 400, "To")
        yield Case(f"no UTF-8 {octets!r} quoted", good.replace(b"Bob", b'"' + octets + b'"'), 400, "To")
        yield Case(f"no UTF-8 {octets!r} in a name", good.replace(b"Subject", octets), 400, None)


def _lines() -> Iterator[Case]:
    good = invite_bytes()
    for name, bad in {
        "no colon": b"Max-Forwards 70",
        "no name": b": 70",
        "name with a space": b"Max Forwards: 70",
        "name with a bracket": b"Max<Forwards>: 70",
        "name in quotes": b'"Max-Forwards": 70',
        "name with a slash": b"Max/Forwards: 70",
        "name of another script": "Max‑Forwards: 70".encode(),
    }.items():
        yield Case(name, good.replace(b"Max-Forwards: 70", bad), 400, None)
    for name, end in {"LF alone": b"\n", "CR alone": b"\r", "LF CR": b"\n\r"}.items():
        bad = b"Max-Forwards: 70" + end + b"X: 1"
        yield Case(name, good.replace(b"Max-Forwards: 70", bad), 400, "Max-Forwards")
    yield Case("LF for every CRLF", good.replace(b"\r\n", b"\n"), 400, None)
    yield Case("CR for every CRLF", good.replace(b"\r\n", b"\r"), 400, None)
    yield Case("a fold before the first field", good.replace(b"\r\nVia", b"\r\n Via", 1), 400, None)
    yield Case("no empty line", good.partition(b"\r\n\r\n")[0], 400, None)
    yield Case("nothing", b"", 400, None)
    yield Case("only line ends", b"\r\n" * 1000, 400, None)
    yield Case("only an empty header block", b"\r\n\r\n\r\n", 400, None)
    yield Case("another protocol", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, None)
    yield Case("a STUN request", b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), 400, None)
    yield Case("60,000 NULs", bytes(60_000), 400, None)
    yield Case("a header block over the limit", invite_bytes(extra=("X: " + "a" * 66_000,)), 513, None)
    yield Case("600 header lines", invite_bytes(extra=("X: 1",) * 600), 400, None)
    yield Case("600 Vias", invite_bytes(extra=("v: SIP/2.0/UDP h",) * 600), 400, None)
    yield Case(
        "500 lines of 5 Contacts", invite_bytes(extra=("m: <a:b>" + ",<a:b>" * 4,) * 450), 400, "Contact"
    )
    for name in ("From", "To", "Call-ID", "CSeq", "Via"):
        yield Case(f"no {name}", invite_bytes({name: None}), 400, name)
    for line in ("From: <sip:a@h>;tag=1", "t: <sip:b@h>", "CALL-ID: 1", "cseq: 1 INVITE", "l: 0", "Max-Forwards: 1",
                 "c: application/sdp", "content-LENGTH : 9"):  # fmt: skip
        blamed = {"t": "To", "l": "Content-Length", "c": "Content-Type", "cseq": "CSeq", "CALL-ID": "Call-ID"}
        name = line.split(":")[0].strip()
        name = "Content-Length" if name.lower() == "content-length" else blamed.get(name, name)
        yield Case(f"again {line}", invite_bytes(extra=(line,)), 400, name)
    yield Case("a body without Content-Type", invite_bytes({"Content-Type": None}), 400, "Content-Type")
    yield Case("no Contact", invite_bytes({"Contact": None}), 400, "Contact")
    yield Case("Content-Length over the datagram", invite_bytes(length="100000"), 400, "Content-Length")


def noise() -> Iterator[bytes]:
    """Messages that may well be well-formed, and must be neither slow nor fatal."""
    for name in (
        "Via",
        "From",
        "To",
        "Call-ID",
        "Contact",
        "Route",
        "Subject",
        "X-Unknown",
        "Accept",
        "User-Agent",
        "Warning",
    ):
        for text in (*FORMATS, "a" * 60_000, "a," * 30_000, "(" * 30_000, "\\" * 60_000, ";a" * 30_000, " " * 60_000,
                     "<" * 60_000, '"' * 60_001, '"\\' * 30_000, "%" * 60_000, "@" * 60_000, "é" * 30_000):  # fmt: skip
            yield invite_bytes({name: text})
            yield invite_bytes({name: f"<sip:{text}@h>"})
            yield invite_bytes({name: f'"{text}" <sip:a@h>;tag={text}'})
    yield invite_bytes(extra=("X:" + "\r\n a" * 15_000,))
    yield invite_bytes(extra=("Subject:" + "\r\n\t" * 15_000 + "x",))


if __name__ == "__main__":
    for case in cases():
        print(case.status, case.header or "-", case.name)
