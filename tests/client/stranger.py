"""A peer on a bare UDP socket: every message that it sends is written by the test."""

from __future__ import annotations

import asyncio
from typing import Self

from ringfence.client import UserAgent
from ringfence.message import Request, Response, parse, response_to

SDP = """v=0\r
o=- 1 1 IN IP4 127.0.0.1\r
s=-\r
c=IN IP4 127.0.0.1\r
t=0 0\r
m=audio {port} RTP/AVP 0 101\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:101 telephone-event/8000\r
"""

FALL_SILENT = 0.15
"""Seconds after which nothing more is expected, with the timers of the tests."""


class Stranger(asyncio.DatagramProtocol):
    """Sends and receives SIP messages as text."""

    def __init__(self) -> None:
        self._inbox: asyncio.Queue[tuple[Request | Response, tuple[str, int]]] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport
        self._count = 0
        self.to: tuple[str, int] = ("127.0.0.1", 9)
        self.says_goodbye = False

    @classmethod
    async def open(cls) -> Self:
        loop = asyncio.get_running_loop()
        transport, stranger = await loop.create_datagram_endpoint(cls, local_addr=("127.0.0.1", 0))
        stranger._transport = transport
        return stranger

    def close(self) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) <= 20 or data[0] < 2:
            return  # keepalives
        message = parse(data)
        if self.says_goodbye and isinstance(message, Request) and message.method == "BYE":
            self._transport.sendto(response_to(message, 200).to_bytes(), addr)
        self._inbox.put_nowait((message, addr))

    @property
    def address(self) -> str:
        """Where it can be called."""
        return f"sip:stranger@127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self._transport.get_extra_info("sockname")[1])

    def dial(self, agent: UserAgent) -> None:
        """Send to this agent from now on."""
        host, _, port = agent.addresses[0].removeprefix("sip:").rpartition("@")[2].partition(":")
        self.to = (host, int(port))

    # -- receiving -------------------------------------------------------------------------------------

    async def receive(self) -> Request | Response:
        """The next message."""
        async with asyncio.timeout(3):
            message, self.to = await self._inbox.get()
        return message

    async def request(self, method: str) -> Request:
        """The next request of this method; others are passed over."""
        while True:
            message = await self.receive()
            if isinstance(message, Request) and message.method == method:
                return message

    async def response(self, status: int | None = None) -> Response:
        """The next response, of this status unless None; 100 and requests are passed over."""
        while True:
            message = await self.receive()
            if isinstance(message, Response) and (
                message.status == status or (status is None and message.status > 100)
            ):
                return message

    async def silence(self, seconds: float = FALL_SILENT) -> bool:
        """Whether nothing comes for this long."""
        try:
            async with asyncio.timeout(seconds):
                await self._inbox.get()
        except TimeoutError:
            return True
        return False

    # -- sending ---------------------------------------------------------------------------------------

    def send(self, message: Request | Response) -> None:
        self._transport.sendto(message.to_bytes(), self.to)

    def respond(
        self,
        request: Request,
        status: int,
        tag: str = "tag1",
        body: str = "",
        headers: dict[str, str] | None = None,
    ) -> Response:
        """Answer a request; with a Contact where a dialog needs one."""
        response = response_to(request, status, to_tag=tag)
        if 100 < status < 300:
            response.headers.add("Contact", f"<{self.address}>")
        for name, value in (headers or {}).items():
            response.headers.add(name, value)
        if body:
            response.set_body(body.encode(), "application/sdp")
        self.send(response)
        return response

    def respond_as_registrar(self, request: Request, status: int, headers: dict[str, str]) -> None:
        """Answer a request without adding a Contact of ours."""
        response = response_to(request, status, to_tag="registrar")
        for name, value in headers.items():
            response.headers.add(name, value)
        self.send(response)

    def sdp(self, port: int = 40000) -> str:
        return SDP.format(port=port)

    def begin(
        self,
        method: str,
        agent: UserAgent,
        *,
        headers: str = "",
        body: str = "",
        content_type: str = "application/sdp",
        to_tag: str = "",
        call_id: str = "call1",
        cseq: int = 1,
        branch: str | None = None,
        contact: str | None = None,
        uri: str = "",
    ) -> None:
        """Send a request of our own to an agent."""
        self._count += 1
        self.dial(agent)
        uri = uri or agent.addresses[0].partition(";")[0]
        kind = f"Content-Type: {content_type}\n" if body else ""
        tag = f";tag={to_tag}" if to_tag else ""
        head = (
            f"{method} {uri} SIP/2.0\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{branch or self._count};rport\n"
            f"Max-Forwards: 70\n"
            f"From: <{self.address}>;tag=s1\n"
            f"To: <{uri}>{tag}\n"
            f"Call-ID: {call_id}\n"
            f"CSeq: {cseq} {method}\n"
            f"Contact: <{contact or self.address}>\n"
            f"{headers}{kind}Content-Length: {len(body.encode())}\n\n"
        )
        self._transport.sendto(head.replace("\n", "\r\n").encode() + body.encode(), self.to)
