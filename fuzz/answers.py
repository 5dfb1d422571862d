"""A registered phone that answers, rightly or with something wrong in each response."""

from __future__ import annotations

import contextlib
import random
import re
import select
import socket
import threading
from collections.abc import Iterator
from typing import Self

from tests.interop.raw import RawPhone

from fuzz.mutants import LONG, SHORT

COPIED = re.compile(
    rb"^((?:via|v|from|f|to|t|call-id|i|cseq|record-route)[ \t]*:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n",
    re.IGNORECASE | re.MULTILINE,
)
"""The header fields that a response has from its request (RFC 3261 section 8.2.6.2)."""

SDP = b"v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 49180 RTP/AVP 0\r\n"


class Phone:
    """Answers by a thread of its own while the block runs. ``malformed``: with something wrong."""

    def __init__(self, raw: RawPhone, seed: int) -> None:
        self.raw = raw
        self.malformed = False
        self.got = self.sent = 0
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        response = self.raw.register()
        assert response.status == 200, response.reason
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5.0)
        self.raw.close()

    def _serve(self) -> None:
        sock = self.raw.socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_000_000)
        sock.setblocking(False)
        while not self._over.is_set():
            if not select.select([sock], [], [], 0.2)[0]:
                continue
            with contextlib.suppress(OSError):
                data, source = sock.recvfrom(65_535)
                self.got += 1
                if data.startswith((b"SIP/2.0", b"ACK ")):
                    continue
                for answer in self.answers(data):
                    self.sent += 1
                    with contextlib.suppress(OSError):
                        sock.sendto(answer, source)

    def answers(self, request: bytes) -> Iterator[bytes]:
        """What is sent for a request."""
        invite = request.startswith(b"INVITE")
        if not self.malformed:
            status = b"200 OK" if not invite or self.got % 8 == 0 else b"486 Busy Here"
            yield self.response(request, status, SDP if invite and status[:1] == b"2" else b"")
            return
        yield from self._malformed(request)

    def response(self, request: bytes, status: bytes, body: bytes = b"", tag: bytes = b"") -> bytes:
        """A response as it should be."""
        lines = []
        for line in COPIED.findall(request.partition(b"\r\n\r\n")[0] + b"\r\n"):
            name = line[:2].lower()
            to = name == b"t:" or (name == b"to" and line[2:3] in b": \t")
            lines.append(line + b";tag=bob" + tag if to and b";tag=" not in line else line)
        port = self.raw.port
        return b"SIP/2.0 %s\r\n%s\r\nContact: <sip:bob@127.0.0.1:%d>\r\n%sContent-Length: %d\r\n\r\n%s" % (
            status,
            b"\r\n".join(lines),
            port,
            b"Content-Type: application/sdp\r\n" if body else b"",
            len(body),
            body,
        )

    def _malformed(self, request: bytes) -> Iterator[bytes]:
        """One kind of wrong answer, by chance; then mostly a right one, so that the call comes to an end."""
        chance, invite = self._chance, request.startswith(b"INVITE")
        good = self.response(request, b"200 OK", SDP if invite else b"")
        match chance.randrange(12):
            case 0:  # a value in one line
                yield from (self._changed(good) for _ in range(chance.choice((1, 5))))
            case 1:  # a status that is none
                status = chance.choice(
                    (
                        b"099",
                        b"700",
                        b"699",
                        b"000",
                        b"1000",
                        b"-1",
                        b"20",
                        b"",
                        b"100",
                        b"199",
                        b"606",
                        b"9" * 400,
                    )
                )
                yield self.response(request, status + b" x")
            case 2:  # provisional responses without end, each from another phone
                for number in range(200):
                    tag = b"%d" % number if number % 2 else b""
                    yield self.response(
                        request, b"%d Progress" % (180 + number % 4), SDP if number % 3 else b"", tag
                    )
            case 3:  # many phones answer
                for number in range(100):
                    yield self.response(request, b"200 OK", SDP if invite else b"", b"%d" % number)
            case 4:  # branches that are not ours
                yield re.sub(
                    rb"branch=[^;,\r\n]*",
                    b"branch=z9hG4bK" + chance.choice((b"", b"x", b"a" * 2000, b"%00")),
                    good,
                    count=1,
                )
                yield re.sub(rb"branch=[^;,\r\n]*", b"x=y", good)
            case 5:  # a header field less
                name = chance.choice(
                    (
                        b"Via",
                        b"From",
                        b"To",
                        b"Call-ID",
                        b"CSeq",
                        b"Contact",
                        b"Record-Route",
                        b"Content-Length",
                    )
                )
                yield re.sub(rb"(?m)^" + name + rb":.*\r\n", b"", good)
            case 6:  # one twice, or a hundred times
                line = chance.choice(good.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:])
                yield good.replace(line, b"\r\n".join([line] * chance.choice((2, 100))), 1)
            case 7:  # without a tag, with two, with another CSeq, for another call
                yield good.replace(
                    b";tag=bob", chance.choice((b"", b";tag=", b";tag=a;tag=b", b";tag=" + b"t" * 30_000))
                )
                yield good.replace(b"CSeq: 1", b"CSeq: " + chance.choice((b"2", b"0", b"4294967296", b"x")))
                yield re.sub(rb"Call-ID: ", b"Call-ID: other", good)
            case 8:  # a redirection that leads everywhere
                target = chance.choice(
                    (
                        b"<sip:bob@example.org>",
                        b"<sip:[::1>",
                        b"<mailto:a@b>",
                        b"<sip:x@127.0.0.1:9>",
                        b"*",
                        b"",
                        b"<sip:" + b"a" * 20_000,
                    )
                )
                moved = self.response(request, b"302 Moved")
                yield re.sub(
                    rb"Contact: .*\r\n",
                    b"Contact: " + b",".join([target] * chance.choice((1, 40))) + b"\r\n",
                    moved,
                )
            case 9:  # what a reliable one, a challenge, a refusal, a session timer has
                extra = chance.choice((
                    b"Require: 100rel\r\nRSeq: 99999999999", b"RSeq: 1", b"Retry-After: 99999999999999 (x)",
                    b"WWW-Authenticate: Digest x",
                    b"Session-Expires: -1", b"Min-SE: 99999999999", b"Unsupported: %s",
                    b"Security-Server: tls;q=9", b"oc=5",
                    b"Warning: 399 a b", b"Identity: a.b.c;info=<x>;alg=none",
                    b"P-Asserted-Identity: <sip:root@example.org>",
                ))  # fmt: skip
                status = chance.choice(
                    (b"183 P", b"401 U", b"407 P", b"420 B", b"422 S", b"494 S", b"503 S", b"200 OK")
                )
                yield self.response(request, status).replace(b"Content-Length", extra + b"\r\nContent-Length")
            case 10:  # octets at random
                data = bytearray(good)
                for _ in range(chance.randrange(1, 6)):
                    data[chance.randrange(len(data))] = chance.choice(b'\r\n :;,=<>"\\\x00\xff%A0')
                yield bytes(data)
            case _:  # lies about the body, or a body that is not what it says
                yield good.replace(
                    b"Content-Length: ", b"Content-Length: " + chance.choice((b"9", b"-", b"x"))
                )
                yield self.response(
                    request,
                    b"200 OK",
                    chance.choice(
                        (b"v=0", b"m=" * 20_000, b"\0" * 100, SDP * 100, SDP.replace(b"IP4", b"IP6"))
                    ),
                )
        if chance.random() < 0.8:
            yield self.response(
                request, chance.choice((b"486 Busy Here", b"600 Busy", b"200 OK")), b"", b"last"
            )

    def _changed(self, data: bytes) -> bytes:
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        number = self._chance.randrange(len(lines))
        anomaly = self._chance.choice((*SHORT, *LONG[:40])).encode("utf-8", "surrogateescape")
        at = self._chance.randrange(len(lines[number]) + 1)
        end = at if self._chance.random() < 0.5 else len(lines[number])
        lines[number] = lines[number][:at] + anomaly + lines[number][end:]
        return (b"\r\n".join(lines) + b"\r\n\r\n" + body)[:65_000]
