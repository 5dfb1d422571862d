"""An honest user for flood.py: it registers, calls, answers challenges, and sends again what was not answered."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from ringfence.message import PeerError, Request, Response, ack_for, parse, response_to
from ringfence.message.fields import RECORD_ROUTE
from ringfence.message.framing import Framer
from ringfence.security.digest import Algorithm
from ringfence.security.digest_client import answer, choose

T1, T2 = 0.5, 4.0
"""Seconds: RFC 3261 section 17.1.2.2."""

PATIENCE = 8.0
"""Seconds for one answer."""

GOOD = 1.0
"""Seconds in which a call has to be set up."""

DOMAIN = "bench.test"

_numbers = count(1)


class Honest:
    """One user agent at one address."""

    def __init__(self, user: str, password: str, host: str, transport: str) -> None:
        self.user, self.password, self.host, self.transport = user, password, host, transport
        self.port = 0
        self.setups: list[float] = []
        self.calls = 0
        self.failures: Counter[int] = Counter()
        """By status; 0 is no answer in time."""
        self._write: Callable[[bytes], Any]
        self._close: Callable[[], Any]
        self._waiting: dict[str, asyncio.Queue[Response]] = {}

    @classmethod
    async def by_udp(cls, user: str, password: str, host: str, server: tuple[str, int]) -> Honest:
        """At a UDP socket of its own."""
        self = cls(user, password, host, "UDP")
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((host, 0))
        sock.connect(server)
        sock.setblocking(False)
        self.port = sock.getsockname()[1]
        loop = asyncio.get_running_loop()

        def readable() -> None:
            while True:
                try:
                    data = sock.recv(65_535)
                except OSError:
                    return
                self.received(data)

        loop.add_reader(sock.fileno(), readable)
        self._write = sock.send

        def close() -> None:
            loop.remove_reader(sock.fileno())
            sock.close()

        self._close = close
        return self

    @classmethod
    async def by_tls(cls, user: str, password: str, host: str, server: tuple[str, int], cert: Path) -> Honest:
        """Over one TLS connection, from an address of its own."""
        self = cls(user, password, host, "TLS")
        context = ssl.create_default_context(cafile=str(cert))
        reader, writer = await asyncio.open_connection(
            *server, ssl=context, server_hostname=DOMAIN, local_addr=(host, 0)
        )
        self.port = writer.get_extra_info("sockname")[1]
        framer = Framer(65_536)

        async def read() -> None:
            while data := await reader.read(65_536):
                for item in framer.feed(data):
                    if isinstance(item, bytes):
                        self.received(item)

        task = asyncio.create_task(read())
        self._write = writer.write

        def close() -> None:
            task.cancel()
            writer.close()

        self._close = close
        return self

    def close(self) -> None:
        """Let go of the socket."""
        self._close()

    # -- what it does ----------------------------------------------------------------------------------

    async def register(self) -> None:
        """Register; raises when that fails."""
        response = await self.ask("REGISTER", f"sip:{DOMAIN}", to=f"sip:{self.user}@{DOMAIN}")
        if response.status != 200:
            raise SystemExit(f"{self.user}: {response.status} {response.reason}")

    async def call_for(self, seconds: float, rate: float) -> None:
        """Begin calls at a rate, whatever becomes of them."""
        begin, made, running = time.monotonic(), 0, []
        while time.monotonic() - begin < seconds:
            if made < (time.monotonic() - begin) * rate:
                made += 1
                running.append(asyncio.create_task(self.call("callee")))
            await asyncio.sleep(0.01)
        await asyncio.gather(*running)

    async def call(self, callee: str) -> None:
        """One call."""
        self.calls += 1
        begun = time.monotonic()
        try:
            response = await self.ask("INVITE", f"sip:{callee}@{DOMAIN}")
            took = time.monotonic() - begun
            if response.status != 200:
                self.failures[response.status] += 1
                return
            routes = [str(each) for each in reversed(response.headers.every(RECORD_ROUTE))]
            target = (response.headers.get("Contact") or "").strip("<>")
            common = {"routes": routes, "call_id": response.call_id, "to": response.headers.get("To") or ""}
            self._write(
                self._request("ACK", target, from_=response.headers.get("From") or "", cseq=2, **common)
            )
            bye = self._request("BYE", target, from_=response.headers.get("From") or "", cseq=3, **common)
            if (await self._transact(bye)).status == 200:
                self.setups.append(took)
        except TimeoutError:
            self.failures[0] += 1

    def outcome(self) -> tuple[int, int, float]:
        """Calls, good ones, and the time that 95 of 100 were set up in, in milliseconds."""
        times = sorted(self.setups)
        p95 = times[min(len(times) - 1, int(len(times) * 0.95))] * 1000 if times else 0.0
        return self.calls, sum(each < GOOD for each in times), p95

    # -- messages --------------------------------------------------------------------------------------

    async def ask(self, method: str, uri: str, to: str = "") -> Response:
        """Send a request, with credentials when they are asked for; gives its final response."""
        call_id = f"{next(_numbers)}.{self.host}.{time.monotonic_ns()}"
        sender = f"<sip:{self.user}@{DOMAIN}>;tag={next(_numbers)}"
        to = f"<{to or uri}>"
        first = self._request(method, uri, from_=sender, to=to, call_id=call_id, cseq=1)
        response = await self._transact(first)
        if response.status not in (401, 407):
            return response
        name = "WWW-Authenticate" if response.status == 401 else "Proxy-Authenticate"
        challenge = choose(response.headers.all(name), [*Algorithm])[0]
        credentials = answer(
            challenge, method=method, uri=uri, username=self.user, cnonce="0a4f113b", password=self.password
        )
        header = "Authorization" if response.status == 401 else "Proxy-Authorization"
        again = self._request(
            method, uri, f"{header}: {credentials}", from_=sender, to=to, call_id=call_id, cseq=2
        )
        return await self._transact(again)

    def _request(
        self,
        method: str,
        uri: str,
        *more: str,
        from_: str,
        to: str,
        call_id: str,
        cseq: int,
        routes: list[str] | None = None,
    ) -> bytes:
        branch = f"z9hG4bK{next(_numbers)}.{time.monotonic_ns():x}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.transport} {self.host}:{self.port};branch={branch};rport",
            "Max-Forwards: 70",
            *(f"Route: {route}" for route in routes or ()),
            f"From: {from_}",
            f"To: {to}",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:{self.user}@{self.host}:{self.port};transport={self.transport.lower()}>",
            *more,
            "Content-Length: 0",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    async def _transact(self, data: bytes) -> Response:
        """Send, and send again (timers A and E), until there is a final response. Raises TimeoutError."""
        request = parse(data)
        assert isinstance(request, Request)
        key = f"{request.call_id} {request.cseq.number}"
        answers: asyncio.Queue[Response] = asyncio.Queue()
        self._waiting[key] = answers
        pause = T1 if self.transport == "UDP" else PATIENCE
        deadline = time.monotonic() + PATIENCE
        self._write(data)
        try:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                try:
                    async with asyncio.timeout(min(pause, left)):
                        response = await answers.get()
                except TimeoutError:
                    self._write(data)
                    pause = min(pause * 2, T2)
                    continue
                if response.status >= 200:
                    if request.method == "INVITE" and response.status >= 300:
                        self._write(ack_for(request, response).to_bytes())
                    return response
                pause = PATIENCE
        finally:
            del self._waiting[key]

    def received(self, data: bytes) -> None:
        """A message came."""
        try:
            message = parse(data)
        except PeerError:
            return
        if isinstance(message, Response):
            waiting = self._waiting.get(f"{message.call_id} {message.cseq.number}")
            if waiting is not None:
                waiting.put_nowait(message)
        elif message.method != "ACK":
            response = response_to(message, 200, to_tag="callee")
            response.headers.set("Contact", f"<sip:{self.user}@{self.host}:{self.port}>")
            self._write(response.to_bytes())
