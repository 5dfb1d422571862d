"""The phone of the load client: it answers every call at once. ``load.py answer`` runs it."""

from __future__ import annotations

import asyncio
import signal
import ssl
from argparse import Namespace
from collections import Counter

from ringfence.bench.links import Link, listen
from ringfence.bench.templates import EMPTY, FIELD, WITH_SDP, header


class Phone:
    """Answers every call at once."""

    def __init__(self, options: Namespace) -> None:
        host, _, port = options.listen.rpartition(":")
        self.local = host, int(port)
        self.transport = options.transport
        contact = b"Contact: <sip:phone@%b:%d;transport=%b>\r\n" % (
            host.encode(),
            int(port),
            self.transport.encode(),
        )
        self._ringing = contact + EMPTY
        self._answer = contact + WITH_SDP
        self.counts: Counter[str] = Counter()

    def received(self, message: bytes, link: Link) -> None:
        """A request."""
        method = message[: message.find(b" ")]
        self.counts[method.decode(errors="replace")] += 1
        if method == b"INVITE":
            link.send(self._response(b"100 Trying", message, b"", EMPTY))
            link.send(self._response(b"180 Ringing", message, b";tag=p", self._ringing))
            link.send(self._response(b"200 OK", message, b";tag=p", self._answer))
        elif method == b"BYE":
            link.send(self._response(b"200 OK", message, b"", EMPTY))

    def _response(self, status: bytes, request: bytes, tag: bytes, rest: bytes) -> bytes:
        copied = b"".join(
            b"%b: %b\r\n" % (name, value)
            for name, field in ((b"Via", "Via"), (b"Record-Route", "Record-Route"))
            for value in FIELD[field].findall(request)
        )
        return b"SIP/2.0 %b\r\n%bFrom: %b\r\nTo: %b%b\r\nCall-ID: %b\r\nCSeq: %b\r\n%b" % (
            status, copied, header(request, "From"), header(request, "To"), tag,
            header(request, "Call-ID"), header(request, "CSeq"), rest,
        )  # fmt: skip

    async def run(self, identity: ssl.SSLContext) -> dict[str, object]:
        """Answer until SIGTERM."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await listen(self.transport, self.local, self.received, identity)
        await stop.wait()
        return dict(self.counts)


def identity_of(options: Namespace) -> ssl.SSLContext:
    """The phone's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if options.cert:
        context.load_cert_chain(options.cert, options.key)
    return context
