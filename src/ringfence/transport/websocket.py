"""SIP over WebSocket (RFC 7118), for browsers: WS on a ``ByteStream``, WSS on a ``TlsStream``.

wsproto speaks HTTP and frames, without I/O; here is what SIP asks of it. One WebSocket message is one SIP
message, so there is no framing by Content-Length. Compression is not offered: it would let a few bytes
swell to any size, and lets who can mix in text of his own guess secrets beside it.
"""

from __future__ import annotations

import binascii
import contextlib
from dataclasses import dataclass

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from ringfence.message.parser import MAX_HEAD
from ringfence.transport.tcp import PONG_TIME, Office, StreamFlow

SUBPROTOCOL = "sip"
"""RFC 7118 section 4.1."""

KEY_SIZE = 16
"""Octets of a Sec-WebSocket-Key (RFC 6455 section 4.1)."""

GOING_AWAY = 1001
TOO_BIG = 1009
"""Status codes of RFC 6455 section 7.4.1."""


@dataclass(frozen=True, slots=True)
class WebSocketPolicy:
    """Whose pages may connect, and what a client of ours asks for."""

    origins: frozenset[str] | None = None
    """Origins (RFC 6454, such as ``https://phone.example.org``) that are let in; None: all of them. Programs
    that are no browsers send none and are let in: the list keeps other sites from using a visitor's browser."""
    target: str = "/"
    """The path that a client asks for; a server takes any."""


class WebSocketFlow(StreamFlow):
    """A WebSocket connection that carries SIP messages."""

    __slots__ = ("_parts", "_policy", "_size", "_websocket")

    def __init__(
        self,
        office: Office,
        transport: str,
        key: str,
        server_name: str | None = None,
        *,
        accepted: bool,
        policy: WebSocketPolicy,
    ) -> None:
        super().__init__(office, transport, key, server_name)
        self._policy = policy
        self._websocket = WSConnection(ConnectionType.SERVER if accepted else ConnectionType.CLIENT)
        self._parts: list[bytes] = []  # of a message that came in several frames or reads
        self._size = 0

    # -- from the stream -------------------------------------------------------------------------------

    def stream_opened(self) -> None:
        """The connection is there; the upgrade comes next."""
        stream = self._stream
        self.local, self.remote, self.peer = stream.local, stream.remote, stream.peer
        if not stream.accepted:
            host = self.server_name or str(self.remote)
            request = Request(host=host, target=self._policy.target, subprotocols=[SUBPROTOCOL])
            stream.write(self._websocket.send(request))

    def stream_received(self, data: bytes) -> None:
        """HTTP at first, then frames."""
        try:
            self._websocket.receive_data(data)
            for event in self._websocket.events():
                if self.closed:
                    return
                self._take(event)
        except RemoteProtocolError as error:
            self._refuse_upgrade(error)
        except ValueError as error:  # names that are no text, in a request that HTTP lets pass
            self._reject(400, f"malformed request: {error}")
        except LocalProtocolError as error:
            self.close(f"WebSocket: {error}")  # it spoke after it had said goodbye

    def _take(self, event: Event) -> None:
        match event:
            case TextMessage() | BytesMessage():
                self._take_message(event)
            case Request():
                self._decide(event)
            case AcceptConnection():
                if event.subprotocol == SUBPROTOCOL:
                    self.ready()
                else:
                    self.close("WebSocket: the server did not agree to the sip subprotocol")
            case RejectConnection():
                self.close(f"WebSocket: the server answered HTTP {event.status_code}")
            case Ping():
                self._stream.write(self._websocket.send(event.response()))
            case Pong():
                self._stream.expect_nothing()
            case CloseConnection():
                self._stream.write(self._websocket.send(event.response()))
                self._end(f"WebSocket: the peer closed it ({event.code} {event.reason or ''})")
            case RejectData():
                pass  # the page that goes with an HTTP error

    def _take_message(self, event: TextMessage | BytesMessage) -> None:
        data = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
        self._size += len(data)
        if self._size > MAX_HEAD + self._office.limits.body:
            self._stream.write(self._websocket.send(CloseConnection(TOO_BIG, "message too large")))
            self._end(f"WebSocket: a message of more than {MAX_HEAD + self._office.limits.body} bytes")
            return
        if not event.message_finished:
            self._parts.append(data)
            if not self._stream.expecting:
                self._stream.expect(self._office.limits.message_time, "the rest of a message")
            return
        if self._parts:
            data = b"".join((*self._parts, data))
            self._parts.clear()
        self._size = 0
        self._stream.expect_nothing()
        if data == b"\r\n\r\n":
            self.send(b"\r\n")  # RFC 7118 section 6: the keepalive of RFC 5626 may be used too
        elif data.strip(b"\r\n"):
            self._received(data, self)

    # -- the upgrade -----------------------------------------------------------------------------------

    def _decide(self, request: Request) -> None:
        origins = [value for name, value in request.extra_headers if name == b"origin"]
        keys = [value for name, value in request.extra_headers if name == b"sec-websocket-key"]
        allowed = self._policy.origins
        if len(keys) != 1 or not _is_key(keys[0]):
            self._reject(400, "Sec-WebSocket-Key has to be 16 octets in base64 (RFC 6455 section 4.1)")
        elif SUBPROTOCOL not in request.subprotocols:
            self._reject(400, "this is a SIP server: ask for Sec-WebSocket-Protocol: sip")
        elif allowed is not None and any(item.decode("latin-1").lower() not in allowed for item in origins):
            self._reject(403, "this origin may not connect")
        else:
            self._stream.write(self._websocket.send(AcceptConnection(subprotocol=SUBPROTOCOL)))
            self.ready()

    def _refuse_upgrade(self, error: RemoteProtocolError) -> None:
        hint = error.event_hint
        if self._open or not isinstance(hint, RejectConnection):
            self.close(f"WebSocket: {error}")
        elif "Bad HTTP" in str(error):
            self._reject(400, "not HTTP/1.1")
        else:
            # RFC 9110 section 15.5.22: what the client should have asked for.
            self._reject(426, f"only WebSocket is spoken here: {error}", *hint.headers)

    def _reject(self, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
        if self._stream.accepted and not self._open:
            body = text.encode() + b"\n"
            fields = [
                (b"Content-Type", b"text/plain; charset=utf-8"),
                (b"Content-Length", b"%d" % len(body)),
                (b"Connection", b"close" if status != 426 else b"upgrade, close"),
                *headers,
            ]
            if status == 426:
                fields.append((b"Upgrade", b"websocket"))
            try:
                answer = self._websocket.send(
                    RejectConnection(status_code=status, headers=fields, has_body=True)
                )
                answer += self._websocket.send(RejectData(data=body))
            except LocalProtocolError:
                answer = b""  # the HTTP was too broken to answer in kind
            self._stream.write(answer)
        self._end(f"WebSocket: {status} {text}")

    # -- from above ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send one message, or keep it until the connection is ready."""
        if not self._open:
            self._keep(data)
            return
        message: TextMessage | BytesMessage
        try:
            message = TextMessage(data=data.decode())
        except UnicodeDecodeError:
            message = BytesMessage(data=data)  # RFC 7118 section 4.2
        self._stream.write(self._websocket.send(message))

    def ping(self) -> None:
        """Ask the peer for a sign of life (RFC 7118 section 6)."""
        if self._open:
            self._stream.write(self._websocket.send(Ping()))
            self._stream.expect(PONG_TIME, "a pong")

    def close(self, reason: str) -> None:
        """Say goodbye (RFC 6455 section 7.1.2), then close."""
        if self._open:
            with contextlib.suppress(LocalProtocolError):  # the peer was first
                self._stream.write(self._websocket.send(CloseConnection(GOING_AWAY)))
        self._end(reason)

    def _end(self, reason: str) -> None:
        super().close(reason)


def _is_key(value: bytes) -> bool:
    """Whether it is what RFC 6455 section 4.2.1 wants; wsproto takes any text."""
    try:
        return len(binascii.a2b_base64(value, strict_mode=True)) == KEY_SIZE
    except binascii.Error:
        return False
