"""A phone of a few lines, for tests that count octets and messages: one socket, requests as text."""

from __future__ import annotations

import socket
import time
from itertools import count

from ringfence.message import Message, Request, Response, parse, response_to
from ringfence.security.digest_client import answer, choose
from tests.interop.node import Node, password_of
from tests.interop.processes import PATIENCE

_numbers = count(1)


class RawPhone:
    """A user of a node by UDP, at an address of loopback."""

    def __init__(self, node: Node, user: str, host: str = "127.0.0.1", domain: str = "") -> None:
        self.node = node
        self.user = user
        self.domain = domain or node.domain
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.host, self.port = self.socket.getsockname()
        self.server = ("127.0.0.1", node.listen["udp"])

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def text(
        self,
        method: str,
        uri: str,
        *more: str,
        to: str = "",
        body: bytes = b"",
        kind: str = "",
        cseq: int = 1,
    ) -> bytes:
        """A request."""
        number = next(_numbers)
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{number}.{time.monotonic_ns()};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self.user}@{self.domain}>;tag={number}",
            f"To: <{to or uri}>",
            f"Call-ID: {number}.{self.port}",
            f"CSeq: {cseq} {method}",
            *(
                [f"Contact: <sip:{self.user}@{self.host}:{self.port}>"]
                if method in ("REGISTER", "INVITE")
                else []
            ),
            *more,
            *([f"Content-Type: {kind}"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def send(self, data: bytes) -> None:
        """Send to the node."""
        self.socket.sendto(data, self.server)

    def receive(self, seconds: float = PATIENCE) -> Message | None:
        """The next message; None when none comes in time."""
        self.socket.settimeout(seconds)
        try:
            return parse(self.socket.recv(65_535))
        except TimeoutError:
            return None

    def ask(self, data: bytes, seconds: float = PATIENCE) -> Response:
        """Send a request and give its final response, with credentials when those are asked for."""
        self.send(data)
        response = self.final(seconds, call_id_of(data))
        if response.status in (401, 407):
            response = self._authorized(data, response, seconds)
        return response

    def ask_only(self, data: bytes) -> None:
        """Send a request with credentials, and do not wait for what becomes of it."""
        self.send(data)
        challenge = self.final(call_id=call_id_of(data))
        self.send(self.answered(data, challenge))

    def next_request(self, method: str, seconds: float = PATIENCE) -> Request:
        """The next request of this method."""
        while True:
            message = self.receive(seconds)
            assert message is not None, f"no {method}"
            if isinstance(message, Request) and message.method == method:
                return message

    def final(self, seconds: float = PATIENCE, call_id: str = "") -> Response:
        """The next final response, of this Call-ID when one is given."""
        while True:
            message = self.receive(seconds)
            assert message is not None, "no answer"
            if isinstance(message, Response) and message.status >= 200 and call_id in ("", message.call_id):
                return message

    def _authorized(self, data: bytes, challenge: Response, seconds: float) -> Response:
        self.send(self.answered(data, challenge))
        return self.final(seconds, call_id_of(data))

    def answered(self, data: bytes, challenge: Response) -> bytes:
        """The request again, with credentials for the challenge."""
        request = parse(data)
        assert isinstance(request, Request)
        name = "WWW-Authenticate" if challenge.status == 401 else "Proxy-Authenticate"
        credentials = answer(
            choose(challenge.headers.all(name))[0],
            method=request.method,
            uri=request.uri,
            username=self.user,
            cnonce="0a4f113b",
            password=password_of(self.user),
        )
        request.headers.set("Via", f"{request.headers.get('Via')}x".replace(";rportx", "x;rport"))
        request.headers.set("CSeq", f"{request.cseq.number + 1} {request.method}")
        request.headers.add(
            name.replace("WWW-Authenticate", "Authorization").replace("Authenticate", "Authorization"),
            str(credentials),
        )
        return request.to_bytes()

    def register(self) -> Response:
        """Register this socket."""
        return self.ask(self.text("REGISTER", f"sip:{self.domain}", to=f"sip:{self.user}@{self.domain}"))

    def reply(self, request: Message, status: int) -> None:
        """Answer a request."""
        assert isinstance(request, Request)
        self.send(response_to(request, status, to_tag="raw").to_bytes())


def call_id_of(data: bytes) -> str:
    """The Call-ID of a message of ours."""
    return data.partition(b"Call-ID: ")[2].partition(b"\r\n")[0].decode("ascii")
