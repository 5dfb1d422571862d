"""One request until its final response: the places it may go to in turn, and credentials when they are asked for.

RFC 3263 section 4.3: a place that does not answer, or answers 503, gives way to the next. RFC 3261 section
22.2: a 401 or 407 is answered with the same request under a new CSeq number and branch. Each attempt is a
client transaction of its own; this is the user of all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ringfence.client.errors import RequestFailed
from ringfence.client.keyring import Keyring, Place
from ringfence.client.line import Hop, Line
from ringfence.engine.locate import Destination
from ringfence.engine.machine import ClientTransaction
from ringfence.message import PeerError, Request, Response
from ringfence.message.fields import VIA
from ringfence.security.credentials import Credentials
from ringfence.transport.flow import Flow

UDP_LIMIT = 1300
"""Octets above which a request goes by TCP, as the path MTU is not known (RFC 3261 section 18.1.1)."""

MAX_CHALLENGES = 4
"""A registrar, a proxy or two, and a stale nonce: more is a loop."""


class Prepare(Protocol):
    """Completes a request for the flow that it leaves by, such as with a Contact."""

    def __call__(self, request: Request, flow: Flow, /) -> None: ...


class Heard(Protocol):
    """Hears of a provisional response above 100, or a 2xx, to a request as it was sent."""

    def __call__(self, response: Response, request: Request, /) -> None: ...


class Exchange:
    """One request of ours. ``run`` gives the final response; of an INVITE ``heard`` hears of later 2xx too."""

    def __init__(
        self,
        line: Line,
        keyring: Keyring,
        request: Request,
        hop: Hop,
        *,
        prepare: Prepare | None = None,
        heard: Heard | None = None,
        next_cseq: Callable[[], int] | None = None,
        negotiating: bool = False,
    ) -> None:
        """``negotiating``: it is part of coming to a security agreement, and does not wait for one."""
        self.request = request
        self.grows = False
        """Whether what ``prepare`` makes of it is too large for UDP."""
        self.sent = request
        """The request as it went out last, complete."""
        self.flow: Flow | None = None
        self._line = line
        self._keyring = keyring
        self._hop = hop
        self._prepare = prepare
        self._heard = heard
        self._agreement = line.agreement if hop.home else None
        self._negotiating = negotiating
        self._next_cseq = next_cseq or (lambda: self.request.cseq.number + 1)
        self._transaction: ClientTransaction | None = None
        self._final: asyncio.Future[Response]
        self._shown: dict[Place, Credentials] = {}
        self._answered: set[Place] = set()
        self._cancelled = False
        self._reason: str | None = None
        self._provisional = False

    async def run(self) -> Response:
        """Send, and wait for a final response of any class.

        Raises:
            RequestFailed: when there is none, or the server is not who it should be.
        """
        if self._agreement is not None and not self._negotiating:
            await self._agreement.ensure(self._hop)
        places = await self._line.places(self._hop)
        failure = RequestFailed(503, f"{self._hop.uri.host} can't be reached")
        for number, place in enumerate(self._by_size(places)):
            if self._cancelled:
                raise RequestFailed(487, "cancelled before it was sent")
            if number:
                self._renumber()
            try:
                response = await self._at(place)
            except RequestFailed as error:
                if self._cancelled or self._provisional or error.status not in (408, 503):
                    raise
                failure = error
                continue
            if response.status != 503 or self._cancelled:
                return response
            failure = RequestFailed.from_response(response)
        if failure.response is not None:
            return failure.response
        raise failure

    def _by_size(self, places: list[Destination]) -> list[Destination]:
        size = len(self.request.to_bytes()) + 200  # Via, Contact and credentials to come
        if (size <= UDP_LIMIT and not self.grows) or (self._hop.home and self._line.home_local is not None):
            return places  # under IPsec it goes by the port that was agreed on, whatever its size
        chosen: list[Destination] = []
        for place in places:
            if place.transport == "UDP":
                chosen.append(place._replace(transport="TCP"))
            chosen.append(place)
        return chosen

    async def _at(self, place: Destination) -> Response:
        """The final response of one place, once it wants no more credentials."""
        flow = self.flow = await self._line.flow(place, home=self._hop.home)
        for _ in range(MAX_CHALLENGES):
            response = await self._attempt(flow)
            if self._hop.home:
                self._keyring.confirm(response, self._shown)
            if not self._hop.home or self._cancelled or not self._challenges(response):
                return response
            why_not = self._keyring.challenged(response, self._shown, self._answered)
            if why_not is not None:
                raise RequestFailed(response.status, f"{response.reason} ({why_not})", response)
            self._renumber()
        return response

    def _challenges(self, response: Response) -> bool:
        """Whether the server wants credentials. Raises RequestFailed when it does not find its security agreement."""
        agreement = self._agreement
        if agreement is not None and agreement.opening:
            return False  # nothing is shown to a server that should make an agreement, and does not
        if response.status in (401, 407):
            return True
        if agreement is None or response.status not in (421, 494):
            return False
        if agreement.challenges(response, self._shown):
            return True
        if not self._negotiating:
            agreement.refuse(response)
        return False

    def _renumber(self) -> None:
        """RFC 3261 section 8.1.3.5: the same request again has the next CSeq number."""
        self.request = self.request.copy()
        self.request.headers.set("CSeq", f"{self._next_cseq()} {self.request.method}")

    async def _attempt(self, flow: Flow) -> Response:
        request = self.sent = self.request.copy()
        request.headers.prepend("Via", self._line.via(flow))
        if self._prepare is not None:
            self._prepare(request, flow)
        self._shown = self._keyring.authorize(request) if self._hop.home else {}
        if self._agreement is not None:
            self._agreement.mark(request, self._shown)
        self._final = asyncio.get_running_loop().create_future()
        self._transaction = self._line.driver.request(request, flow, self)
        if self._cancelled:
            self._line.driver.cancel(self._transaction, self._reason)
        return await self._final

    def cancel(self, reason: str | None = None) -> None:
        """Give the request up (RFC 3261 section 9.1). ``run`` still ends as the network says, mostly with 487."""
        self._cancelled, self._reason = True, reason
        if self._transaction is not None:
            self._line.driver.cancel(self._transaction, reason)

    # -- the user of the transactions ------------------------------------------------------------------

    def responded(self, response: Response, transaction: ClientTransaction) -> None:
        """A response; after the final one, only more 2xx to an INVITE."""
        if transaction is not self._transaction or not _for_us_alone(response):
            return
        status = response.status
        self._provisional = self._provisional or status < 200
        if status > 100 and (status < 200 or status // 100 == 2) and self._heard is not None:
            self._heard(response, self.sent)
        if status >= 200 and not self._final.done():
            self._final.set_result(response)

    def failed(self, transaction: ClientTransaction, status: int, reason: str) -> None:
        """No answer."""
        if transaction is self._transaction and not self._final.done():
            self._final.set_exception(RequestFailed(status, reason))


def _for_us_alone(response: Response) -> bool:
    """RFC 3261 section 8.1.3.3: a response with more Vias than ours was misrouted."""
    try:
        return len(response.headers.every(VIA)) == 1
    except PeerError:
        return False
