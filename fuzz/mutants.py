"""Messages with one thing wrong in one element, for a node that runs: what PROTOS c07-sip does, for every element.

A template is a good message in which each element stands between « and ». ``mutants`` puts each anomaly in the place
of each element, one at a time; ``structures`` changes lines, line ends,
lengths and bodies instead. Which of them are
made is decided by a seed and a number, so that each run can be made again.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from typing import NamedTuple

MOST = 65_000
"""Octets of a mutant: about what a datagram carries."""

SHORT = (
    "", " ", "\t", "  \t ", "\r\n ", "\r\n\t", "\r\n", "\r\n\r\n", "\n", "\r", "\0", "\0" * 100,
    "\x01\x02\x1f\x7f", "\x1b[2J\x1b[31m",
    "\x1b]0;title\x07", "%s", "%n", "%s%n%x%p" * 20, "%.99999d", "{0}", "{0.__class__}",
    "${jndi:ldap://127.0.0.1/a}", "`id`",
    "$(id)", "../../../etc/passwd", "' OR 1=1 --", "<script>", "&lt;", "é", "日本語", "\u202e\u200b\ufeff", "𝕊𝕀ℙ",
    "\udcff\udcfe",
    "\udcc0\udcaf", "\udced\udca0\udc80", "\udcf4\udc90\udc80\udc80", '"', '""', '"\\"', '"\\', "<", ">", "<>",
    "<<>>", ";", ";;", ",",
    ",,", "@", ":", "::", "/", "//", "?", "&", "=", "==", "*", "+", "-", ".", "..", "%", "%0", "%00", "%zz",
    "%0d%0a", "\\",
    "(", ")", "((", "[", "]", "[]", "{}", "|", "^", "a b", "a,b", "a;b", "a=b", "a@b", "a:b", "sip:",
    "sip:a@b;c?d=e", "<sip:a@b>",
    "0", "-0", "-1", "+1", "1.0", "1e9", "1e999", "0x7f", "00000000000000000001", "255", "256", "32767",
    "65535", "65536",
    "2147483647", "2147483648", "4294967295", "4294967296", "-2147483649", "9223372036854775808",
    "18446744073709551616", "9" * 400,
    "NaN", "Infinity", "٣", "0.0.0.0", "127.0.0.1", "255.255.255.255", "256.1.1.1", "1.2.3", "1.2.3.4.5",
    "1.2.3.4:99999", "0177.1",
    "::1", "[::1]", "[::1", "[::ffff:127.0.0.1]", "[fe80::1%25lo]", "[1:2:3:4:5:6:7:8:9]", "[::1::2]",
    "[" + ":" * 50 + "]",
    "localhost", "a..b", "-a", "a-", "a" * 64 + ".example", "Sat, 13 Nov 2010 23:29:00 GMT",
    "Sat, 31 Feb 2010 25:61:61 GMT",
    "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 99999 23:59:60 GMT", "INVITE", "BYE", "SIP/2.0", "UDP",
    "z9hG4bK", "true", "None",
)  # fmt: skip
"""In the manner of PROTOS: empty, blanks, line ends, control characters, terminal escapes, formats, UTF-8 and what is
none, separators, numbers around every edge, addresses, dates, words that mean something elsewhere."""

LONG = tuple(
    text * (times // len(text))
    for text in ("a", "%s", " ", '"', "<", "(", ";a", ",a", "@", ".", "%41", "\\", "é", "\udcff", "\t", "1",
    ":", "[", "a.", "\r\n ")
    for times in (128, 1024, 8192, 63_000)
)  # fmt: skip
"""Too long, in every character that a grammar may be slow at."""

HEAD = """\
«{method}» «sip»«:»«{to}»@«{domain}»«;x»«=y» «SIP»/«2.0»
Via: «SIP»/«2.0»/«{transport}» «{host}»:«{port}»«;branch»=«z9hG4bK»«{id}»;«rport»«;x»=«1»
«Max-Forwards»«:» «70»
From: «"A A"» <«sip»:«mallory»@«example.net»«;x=y»>;«tag»=«{id}»«;z=1»
To: «Bob» <«sip»:«{to}»@«{domain}»>«;z»=«1»
Call-ID: «{id}»@«{host}»
CSeq: «1» «{method}»
Contact: «C» <«sip»:«mallory»@«{host}»:«{port}»«;transport»=«{low}»>;«expires»=«60»;«q»=«0.5»
"""

VIA = range(9, 20)
"""The elements of HEAD that are the Via."""

SDP = """\
v=«0»
o=«-» «1» «1» «IN» «IP4» «{host}»
s=«-»
i=«a session»
c=«IN» «IP4» «{host}»
b=«AS»:«64»
t=«0» «0»
a=«sendrecv»
m=«audio» «49170»/«1» «RTP/AVP» «0» «101»
c=«IN» «IP4» «{host}»
a=«rtpmap»:«101» «telephone-event»/«8000»
a=«fmtp»:«101» «0-15»
a=rtcp:«49171» IN «IP4» «{host}»
a=candidate:«1» «1» «UDP» «2130706431» «192.0.2.1» «49170» typ «host»
a=crypto:«1» «AES_CM_128_HMAC_SHA1_80» inline:«WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz»|«2^20»|«1:4»
a=«ptime»:«20»
«m=video 0 RTP/AVP 31»
"""

EXTRA = (
    "Expires: «60»", "Min-Expires: «60»", "Require: «timer»",
    "Supported: «timer»,«100rel»,«path»,«outbound»,«gruu»",
    "Proxy-Require: «privacy»", "Session-Expires: «1800»;refresher=«uac»", "Min-SE: «90»", "Allow: «INVITE», «ACK»",
    "Route: «<sip:{domain};lr>»", "Route: <«sip»:«{domain}»:«{port}»;«lr»>",
    "Record-Route: <«sip»:«192.0.2.1»;«lr»>",
    "Path: <«sip»:«192.0.2.1»;«lr»>", "Privacy: «id»", "Privacy: «header»;«session»;«user»;«critical»",
    "P-Asserted-Identity: «"'"A"'"» <«sip»:«a@example.net»>", "P-Preferred-Identity: <«sip:a@example.net»>",
    "Identity: «eyJhbGciOiJFUzI1NiJ9»«.»«e30»«.»«c2ln»;info=<«https://example.net/c.pem»>;alg=«ES256»;ppt=«shaken»",
    "Date: «Sat, 13 Nov 2010 23:29:00 GMT»", "Replaces: «abc@h»;from-tag=«1»;to-tag=«2»",
    "Join: «abc@h»;from-tag=«1»;to-tag=«2»",
    "Refer-To: <«sip»:«c@example.net»?«Replaces»=«a»>", "Referred-By: <«sip:c@example.net»>;cid=«"'"1@h"'"»",
    "RAck: «1» «1» «INVITE»",
    "RSeq: «1»", "Event: «presence»;id=«1»", "Subscription-State: «active»;expires=«60»",
    "Accept: «application»/«sdp»;q=«0.5»",
    "Accept-Encoding: «gzip»;q=«1.0»", "Accept-Language: «en»;q=«0.1»",
    "Reason: «SIP» ;cause=«200» ;text=«"'"x"'"»",
    "History-Info: <«sip:a@b»>;index=«1.1»", "Diversion: <«sip:a@b»>;reason=«busy»;counter=«1»",
    "Security-Client: «digest»;q=«0.1»;d-alg=«MD5»", "Security-Verify: «tls»;q=«0.1»",
    "Resource-Priority: «wps»«.»«0»",
    "Max-Breadth: «60»", "Content-Disposition: «session»;handling=«optional»", "Content-Encoding: «gzip»",
    "Content-ID: <«1@h»>",
    "Content-Language: «en»", "MIME-Version: «1.0»", "Subject: «hello»", "User-Agent: «x»/«1» («c»)",
    "Organization: «o»",
    "Call-Info: <«http://h/i»>;purpose=«icon»", "Alert-Info: <«http://h/i»>", "In-Reply-To: «a@b»",
    "Priority: «urgent»",
    "Timestamp: «54.1» «0.1»", "Warning: «301» «h» «"'"x"'"»", "Retry-After: «5» («c») ;duration=«60»",
    "Target-Dialog: «a@b»;local-tag=«1»",
    "Accept-Contact: *;«audio»;«require»", "Request-Disposition: «no-fork»", "User-to-User: «00»;encoding=«hex»",
    "P-Access-Network-Info: «3GPP»;x=«1»", "P-Charging-Vector: icid-value=«1»", "Flow-Timer: «60»",
    "SIP-If-Match: «x»", "SIP-ETag: «x»",
    "P-Asserted-Service: «urn:x»", "Geolocation: <«cid:a@b»>", "Answer-Mode: «Auto»", "Suppress-If-Match: «x»",
    "Encryption: «x»",
    "Authorization: «Digest» username=«"'"{to}"'"»,realm=«"'"{domain}"'"»,nonce=«"'"{nonce}"'"»,"
    "uri=«"'"sip:{domain}"'"»,response=«"'"00000000000000000000000000000000"'"»,algorithm=«SHA-256»,qop=«auth»,nc=«00000001»,cnonce=«"'"a"'"»,opaque=«"'"{nonce}"'"»",
    "Proxy-Authorization: «Digest» username=«"'"{to}"'"»,realm=«"'"{domain}"'"»,nonce=«"'"{nonce}"'"»,"
    "uri=«"'"sip:{domain}"'"»,response=«"'"0000000000000000000000000000000000000000000000000000000000000000"'"»,algorithm=«SHA-256»,qop=«auth-int»,"
    "nc=«00000001»,cnonce=«"'"a"'"»,userhash=«false»", "«X-Unknown»: «1»", "«»: «1»", "«Subject»«:»«»",
)  # fmt: skip
"""Each is put into a request, and its elements mutated."""

METHODS = ("INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "PUBLISH", "NOTIFY", "REFER", "INFO",
"UPDATE", "PRACK",
           "BYE", "CANCEL", "ACK")  # fmt: skip

_ELEMENT = re.compile("«([^»]*)»")


_numbers = itertools.count(1)


class Mutant(NamedTuple):
    """One message, and what is wrong with it."""

    name: str
    data: bytes
    answerable: bool
    """Whether it must be answered: it is a request other than ACK whose topmost Via and framing are right."""


class Maker:
    """Makes mutants for one sender. ``words`` fills the templates: to, domain, host, port, transport, nonce."""

    def __init__(self, words: dict[str, str], seed: int = 1, always: str = "") -> None:
        self._words = {"low": words["transport"].lower(), "nonce": "abc", **words}
        self._chance = random.Random(seed)
        self._always = always
        """A line that each message has."""

    def identity(self) -> str:
        """What tells the next message from all others."""
        return f"m{next(_numbers):07d}x"

    def good(self, method: str = "INVITE", extra: tuple[str, ...] = (), body: str = SDP) -> bytes:
        """A message with nothing wrong."""
        return self._message(method, extra, body, -1, "")

    def mutants(self, share: float = 1.0) -> Iterator[Mutant]:
        """Every element with every anomaly; of the whole only this share, chosen by the seed."""
        plans: list[tuple[str, tuple[str, ...], str]] = [("INVITE", (), SDP)]
        plans += [(method, (), "") for method in METHODS if method != "INVITE"]
        plans += [("INVITE", (extra,), SDP) for extra in EXTRA]
        plans += [
            (method, (extra,), "") for extra in EXTRA for method in ("REGISTER", "SUBSCRIBE", "REFER", "BYE")
        ]
        for method, extra, body in plans:
            head = len(_ELEMENT.findall(HEAD))
            more = sum(len(_ELEMENT.findall(each)) for each in extra)
            count = head + more + len(_ELEMENT.findall(body))
            # The elements of HEAD are mutated once for each method, not again for each field.
            for index in range(head if extra else 0, head + more if extra else count):
                for anomaly in (*SHORT, *LONG):
                    if share < 1.0 and self._chance.random() >= share:
                        continue
                    data = self._message(method, extra, body, index, anomaly)
                    if len(data) <= MOST:
                        name = f"{method} {extra[0][:20] if extra else ''} {index} {anomaly[:20]!r}"
                        yield Mutant(name, data, _answerable(method, index, anomaly))

    def _message(self, method: str, extra: tuple[str, ...], body: str, index: int, anomaly: str) -> bytes:
        words = {**self._words, "method": method, "id": self.identity()}
        lines = "".join(f"{each}\n" for each in extra)
        text = HEAD + lines + self._always + ("Content-Type: application/sdp\n" if body else "")
        seen = -1

        def element(match: re.Match[str]) -> str:
            nonlocal seen
            seen += 1
            return "\1" if seen == index else match[1]

        head, sdp = (_ELEMENT.sub(element, each) for each in (text, body))
        filled = [
            _octets(re.sub(r"\{(\w+)\}", lambda m: words[m[1]], each).replace("\n", "\r\n"), anomaly)
            for each in (head, sdp)
        ]
        return filled[0] + b"Content-Length: %d\r\n\r\n" % len(filled[1]) + filled[1]

    def structures(self) -> Iterator[Mutant]:
        """Lines doubled, missing, in other forms and in masses; line ends, lengths, bodies; and random octets."""
        good = self.good("OPTIONS", body="")
        for line in range(len(good.split(b"\r\n")) - 2):
            for change in (
                "missing",
                "twice",
                "last",
                "lower",
                "upper",
                "folded",
                "spaced",
                "LF",
                "CR",
                "blank before",
            ):
                yield self._line(line, change)
        for name, data, answered in self._bodies():
            yield Mutant(name, data, answered)
        for name, data, answered in self._masses():
            yield Mutant(name, data, answered)

    def noise(self, count: int) -> Iterator[Mutant]:
        """Good messages with octets replaced, put in, taken out at random."""
        chance = self._chance
        for _ in range(count):
            extra = (chance.choice(EXTRA),) if chance.random() < 0.7 else ()
            body = SDP if chance.random() < 0.6 else ""
            data = bytearray(self.good(chance.choice(METHODS), extra, body))
            for _ in range(chance.randrange(1, 6)):
                at = chance.randrange(len(data) + 1)
                match chance.randrange(4):
                    case 0:
                        data[at : at + 1] = bytes([chance.choice(b'\r\n :;,=<>"\\\x00\xff%A0@/')])
                    case 1:
                        data[at:at] = bytes([chance.choice(b"\r\n\t :;,=-1")]) * chance.choice((1, 1, 2, 300))
                    case 2:
                        del data[at : at + chance.choice((1, 2, 40))]
                    case _:
                        data[at:at] = data[at : at + chance.choice((1, 10, 400))]
            yield Mutant("random", bytes(data), answerable=False)

    def _line(self, number: int, change: str) -> Mutant:
        data = self.good("OPTIONS", body="")
        lines = data.split(b"\r\n")[:-2]
        line = lines[number]
        compact = {
            b"Via": b"v",
            b"From": b"f",
            b"To": b"t",
            b"Call-ID": b"i",
            b"Contact": b"m",
            b"Content-Length": b"l",
        }
        name, colon, value = line.partition(b":")
        ends = [b"\r\n"] * len(lines)
        match change:
            case "missing":
                lines.pop(number)
                ends.pop(number)
            case "twice":
                lines.insert(number, line)
                ends.append(b"\r\n")
            case "last":
                lines.append(lines.pop(number))
            case "lower":
                lines[number] = compact.get(name, name.lower()) + colon + value if number else line.lower()
            case "upper":
                lines[number] = name.upper() + colon + value if number else line
            case "folded":
                lines[number] = line.replace(b" ", b"\r\n  \t", 2)
            case "spaced":
                lines[number] = name + b" \t " + colon + b" \t " + value + b" \t "
            case "LF":
                ends[number] = b"\n"
            case "CR":
                ends[number] = b"\r"
            case _:
                lines[number] = b" " + line
        data = b"".join(a + b for a, b in zip(lines, ends, strict=True)) + b"\r\n"
        sure = b"Via" not in name and number > 1 and change not in {"LF", "CR", "blank before"}
        return Mutant(f"line {number} {change}", data, sure)

    def _bodies(self) -> Iterator[tuple[str, bytes, bool]]:
        for length in (
            b"",
            b"-1",
            b"0",
            b"1",
            b"99999",
            b"4294967296",
            b"9" * 30,
            b"x",
            b"10, 10",
            b"0x10",
            b"+5",
            b" ",
            b"\t7",
        ):
            whole = self.good("MESSAGE", body="hello")
            yield f"length {length!r}", re.sub(rb"(Content-Length: )\d+", rb"\g<1>" + length, whole), True
        whole = self.good("MESSAGE", body="hello")
        yield "no length", re.sub(rb"Content-Length: \d+\r\n", b"", whole), True
        yield "two lengths", whole.replace(b"Content-Length", b"Content-Length: 1\r\nContent-Length"), True
        for depth in (1, 5, 20, 200):
            body = "text"
            for level in range(depth):
                body = f"--b{level}\nContent-Type: multipart/mixed;boundary=b{level - 1}\n\n{body}\n--b{level}--\n"
            data = self.good("MESSAGE", ("Content-Disposition: render",), body)
            kind = b"multipart/mixed;boundary=b%d" % (depth - 1)
            yield f"multipart {depth} deep", data.replace(b"application/sdp", kind), True
        for kind in (b"multipart/mixed", b'multipart/mixed;boundary=""', b"multipart/signed;boundary=a",
        b"multipart/mixed;boundary=" + b"a" * 300,
                     b"message/sip", b"message/sipfrag", b"application/pkcs7-mime;smime-type=enveloped-data",
                     b"application/pkcs7-mime;smime-type=signed-data", b"application/sdp;boundary=x",
                     b"text/plain;charset=%s"):  # fmt: skip
            for body in (
                "",
                "--",
                "--a",
                "--a--",
                "--a\n\n--a--",
                "0\x80\x06\t",
                "--a\n" * 3000,
                "SIP/2.0 200 OK\n\n",
                "x" * 60_000,
            ):
                yield f"{kind!r}", self.good("MESSAGE", (), body).replace(b"application/sdp", kind), True
        for body in ("v=0\n", "v=0\n" * 10_000, SDP + "m=audio 1 RTP/AVP 0\n" * 2500, SDP + "a=x\n" * 12_000,
        SDP.replace("\n", "\r"),
                     "m=" * 20_000, "\n" * 30_000, "v=0\no=\ns=\nt=\nm=\n",
                     SDP + "a=candidate:1 1 UDP 1 127.0.0.1 9 typ host\n" * 1000,
                     SDP + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:\n" * 1000):  # fmt: skip
            yield f"sdp {body[:20]!r}", self.good("INVITE", (), body)[:MOST], len(body) < 30_000

    def _masses(self) -> Iterator[tuple[str, bytes, bool]]:
        def put(lines: bytes) -> bytes:
            return self.good("OPTIONS", body="").replace(b"Max-Forwards", lines + b"Max-Forwards", 1)

        for count in (60, 100, 400, 600, 5000, 10_000):
            yield f"{count} lines", put(b"X: 1\r\n" * count), count < 10_000
        for count in (2, 50, 400, 1000):
            yield f"{count} Vias", put(b"Via: SIP/2.0/UDP h;branch=z9hG4bKq\r\n" * count), True
            yield (
                f"a Via of {count}",
                put(b"Via: " + b"SIP/2.0/UDP h;branch=z9hG4bKq, " * count + b"SIP/2.0/UDP h\r\n"),
                True,
            )
            yield f"{count} Routes", put(b"Route: <sip:192.0.2.1;lr>\r\n" * count), False
            yield f"{count} Record-Routes", put(b"Record-Route: <sip:192.0.2.1;lr>\r\n" * count), True
            yield f"{count} Contacts", put(b"Contact: <sip:a@192.0.2.1>\r\n" * count), True
            yield f"{count} Requires", put(b"Proxy-Require: a,b,c\r\n" * count), True
            yield (
                f"{count} credentials",
                put(b'Authorization: Digest username="a",realm="b"\r\n' * count),
                True,
            )
        good = self.good("OPTIONS", body="")
        for ends in (b"\r\n", b"\r\n\r\n", b"\r\n" * 1000, b"\n\n", b"\r\r", b"\0\0", b" ", b"\xef\xbb\xbf"):
            yield f"before it {ends[:8]!r}", ends + good, set(ends) == {13, 10} and ends.startswith(b"\r\n")
        yield "LF for every CRLF", good.replace(b"\r\n", b"\n"), False
        yield "CR for every CRLF", good.replace(b"\r\n", b"\r"), False
        yield "two in a datagram", good + self.good("OPTIONS", body=""), True
        yield "a long rest", good + b"x" * 60_000, True
        for size in (0, 1, 2, 4, 20, 100, 65_000):
            yield f"{size} octets", bytes(self._chance.randbytes(size)), False
            yield f"{size} NULs", bytes(size), False
            yield f"cut at {size}", good[:size], False


def _answerable(method: str, index: int, anomaly: str) -> bool:
    """Not an ACK; not when its Via, or line breaks, have made it another; not what is no request at all."""
    if method == "ACK" or "\n" in anomaly or index in VIA:
        return False
    return index > 0 or not anomaly.startswith(("\0", "\1", "SIP/"))


def _octets(text: str, anomaly: str) -> bytes:
    first, mark, rest = text.partition("\1")
    return "".join((first, anomaly if mark else "", rest)).encode("utf-8", "surrogateescape")
