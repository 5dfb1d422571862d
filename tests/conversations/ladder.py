"""A network in memory: phones and proxies that use the engine alone, and the ladder of what they send.

A host is named by its node, so that a URI says where it leads: ``sip:bob@bob``, ``<sip:p1;lr>``. Messages go as bytes,
one after the other; ``lose`` decides which get lost. The proxies forward and decide nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ringfence.engine.dialog import Dialog
from ringfence.engine.effects import Deliver, Due, Effect, Ended, Failed, Send
from ringfence.engine.machine import ClientTransaction, ServerTransaction
from ringfence.engine.transactions import Transactions
from ringfence.message import Headers, Message, Request, Response, parse, response_to
from ringfence.message.fields import ROUTE
from tests.conversations.playbook import named


@dataclass(frozen=True, slots=True)
class Link:
    """A flow from one node to another."""

    to: str
    reliable: bool
    key: str


class Network:
    """Delivers messages in order, keeps the clock and writes down what was sent."""

    def __init__(self, *, reliable: bool = False) -> None:
        self.nodes: dict[str, Node] = {}
        self.now = 0.0
        self.reliable = reliable
        self.ladder: list[str] = []
        self.lose: Callable[[str], bool] = lambda rung: False
        self._under_way: deque[tuple[str, str, bytes]] = deque()

    def send(self, sender: str, receiver: str, message: Message) -> None:
        rung = f"{sender} > {receiver} {named(message)}"
        self.ladder.append(rung)
        if receiver in self.nodes and not self.lose(rung):
            self._under_way.append((sender, receiver, message.to_bytes()))

    def settle(self) -> None:
        """Deliver all that is under way."""
        while self._under_way:
            sender, receiver, data = self._under_way.popleft()
            self.nodes[receiver].arrive(parse(data), sender)

    def wait(self, seconds: float) -> None:
        """Let time pass at every node."""
        end = self.now + seconds
        self.settle()
        while (due := self.next_deadline()) is not None and due <= end:
            self.now = due
            for node in self.nodes.values():
                node.perform(node.engine.expire(due))
            self.settle()
        self.now = end

    def next_deadline(self) -> float | None:
        """When any node has something to do."""
        known = [node.engine.next_deadline() for node in self.nodes.values()]
        return min((due for due in known if due is not None), default=None)


class Node(ABC):
    """One element with its transactions."""

    def __init__(self, network: Network, name: str) -> None:
        self.network = network
        self.name = name
        self.engine = Transactions()
        self.branches = 0
        network.nodes[name] = self

    def link(self, to: str) -> Link:
        return Link(to, self.network.reliable, f"{self.name}-{to}")

    def arrive(self, message: Request | Response, sender: str) -> None:
        self.perform(self.engine.receive(message, self.link(sender), self.network.now))

    def perform(self, effects: list[Effect]) -> None:
        """Do what a driver does."""
        for effect in effects:
            match effect:
                case Send(message=message, flow=Link() as flow):
                    self.network.send(self.name, flow.to, message)
                case Deliver(message=Request() as message, transaction=transaction):
                    assert transaction is None or isinstance(transaction, ServerTransaction)
                    self.requested(message, transaction)
                case Deliver(message=Response() as message, transaction=ClientTransaction() as transaction):
                    transaction.user.responded(message, transaction)
                case Failed(transaction=transaction, status=status):
                    transaction.user.failed(transaction, status)
                case Ended(transaction=transaction):
                    transaction.release()
                case Due(owner=owner, timer=timer):
                    self.perform(owner.expired(timer, self.network.now))

    def request(self, request: Request, user: Any, *, to: str | None = None) -> ClientTransaction:
        """Send a request where its Route or Request-URI leads."""
        transaction, effects = self.engine.request(
            request, self.link(to or next_node(request)), user, self.network.now
        )
        self.perform(effects)
        return transaction

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        self.perform(self.engine.respond(transaction, response, self.network.now))

    def sign(self, request: Request) -> Request:
        """Put our Via on top."""
        self.branches += 1
        transport = "TCP" if self.network.reliable else "UDP"
        request.headers.prepend(
            "Via", f"SIP/2.0/{transport} {self.name};branch=z9hG4bK{self.name}{self.branches}"
        )
        return request

    @abstractmethod
    def requested(self, request: Request, transaction: ServerTransaction | None) -> None:
        """A request has come."""


def next_node(request: Request) -> str:
    """The host of the topmost Route or of the Request-URI."""
    route = request.headers.first(ROUTE)
    return str(route.sip.host if route is not None else request.target.host)  # type: ignore[union-attr]


class Proxy(Node):
    """Forwards along the Route, and what has none to where it is told."""

    def __init__(self, network: Network, name: str, onward: str, *, record_route: bool = True) -> None:
        super().__init__(network, name)
        self.onward = onward
        self.record_route = record_route
        self.challenge = False

    def requested(self, request: Request, transaction: ServerTransaction | None) -> None:
        if transaction is None:
            self._acknowledged(request)
        elif request.method == "CANCEL":
            self._cancelled(request, transaction)
        elif self.challenge and request.method == "INVITE" and "Proxy-Authorization" not in request.headers:
            # In a conversation about transactions the challenge has one, as RFC 3665 shows it.
            self.respond(transaction, response_to(request, 407, to_tag=self.name))
        else:
            Forward(self, request, transaction)

    def onward_copy(self, request: Request) -> tuple[Request, str]:
        """The request as it leaves us, and to whom."""
        copy = request.copy()
        route = copy.headers.first(ROUTE)
        if route is not None and route.sip.host == self.name:
            copy.headers.remove_top("Route")
        to = next_node(copy)
        if to not in self.network.nodes:
            to = self.onward
            if to not in {"p1", "p2"}:
                copy.uri = f"sip:{to}@{to}"
        if self.record_route and request.to.tag is None:
            copy.headers.prepend("Record-Route", f"<sip:{self.name};lr>")
        return self.sign(copy), to

    def _acknowledged(self, ack: Request) -> None:
        copy, to = self.onward_copy(ack)
        self.perform([Send(copy, self.link(to))])

    def _cancelled(self, cancel: Request, transaction: ServerTransaction) -> None:
        invite = self.engine.find_invite(cancel)
        self.respond(transaction, response_to(cancel, 200 if invite else 481, to_tag=self.name))
        if invite is not None and invite.user is not None:
            invite.user.cancel()


class Forward:
    """One request on its way: the user of both transactions."""

    def __init__(self, proxy: Proxy, request: Request, server: ServerTransaction) -> None:
        self.proxy = proxy
        self.received = request
        self.server = server
        server.user = self
        copy, to = proxy.onward_copy(request)
        self.client = proxy.request(copy, self, to=to)
        proxy.perform(proxy.engine.trying(server, proxy.network.now))

    def responded(self, response: Response, transaction: ClientTransaction) -> None:
        if response.status > 100:
            response.headers.remove_top("Via")
            self.proxy.respond(self.server, response)

    def failed(self, transaction: object, status: int) -> None:
        if transaction is self.client:
            self.proxy.respond(self.server, response_to(self.received, 480, to_tag=self.proxy.name))

    def cancel(self) -> None:
        proxy = self.proxy
        proxy.perform(proxy.engine.cancel(self.client, proxy.network.now))


class Phone(Node):
    """A user agent with one call; what it does when it is called is ``answers``, one status after the other."""

    def __init__(self, network: Network, name: str, answers: tuple[int, ...] = ()) -> None:
        super().__init__(network, name)
        self.answers = answers
        self.contact = name
        self.dialog: Dialog | None = None
        self.invite: Request | None = None
        self.client: ClientTransaction | None = None
        self.heard: list[int] = []
        self.ringing: tuple[Request, ServerTransaction] | None = None

    # -- what its user does ----------------------------------------------------------------------------

    def call(self, *route: str, credentials: bool = False) -> None:
        """Call Bob."""
        number = 1 if self.invite is None else self.invite.cseq.number + 1
        headers = Headers([("Route", f"<sip:{name};lr>") for name in route])
        for name, value in (
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.name}@example.org>;tag={self.name}"),
            ("To", "<sip:bob@example.net>"),
            ("Call-ID", f"call of {self.name}".replace(" ", "-")),
            ("CSeq", f"{number} INVITE"),
            ("Contact", f"<sip:{self.name}@{self.name}>"),
            *([("Proxy-Authorization", 'Digest realm="p"')] if credentials else []),
            ("Content-Length", "0"),
        ):
            headers.add(name, value)
        self.invite = self.sign(Request("INVITE", "sip:bob@example.net", headers))
        self.client = self.request(self.invite, self)

    def hang_up(self) -> None:
        assert self.dialog is not None
        self.request(self.sign(self.dialog.request("BYE")), self)

    def move(self, name: str) -> None:
        """Get another address, and say so by a re-INVITE."""
        assert self.dialog is not None
        del self.network.nodes[self.name]
        self.name = self.contact = name
        self.network.nodes[name] = self
        self.invite = self.dialog.request("INVITE")
        self.invite.headers.add("Contact", f"<sip:{name}@{name}>")
        self.request(self.sign(self.invite), self)

    def give_up(self) -> None:
        assert self.client is not None
        self.perform(self.engine.cancel(self.client, self.network.now))

    # -- what happens to it ----------------------------------------------------------------------------

    def responded(self, response: Response, transaction: ClientTransaction) -> None:
        self.heard.append(response.status)
        if response.cseq.method != "INVITE":
            assert self.dialog is not None
            self.dialog.heard(response)
        elif response.status // 100 == 2:
            assert self.invite is not None
            if self.dialog is None:
                self.dialog = Dialog.uac(self.invite, response)
            self.dialog.heard(response)
            ack = self.sign(self.dialog.ack(response.cseq.number, self.invite))
            self.perform([Send(ack, self.link(next_node(ack)))])

    def failed(self, transaction: object, status: int) -> None:
        self.heard.append(status)

    def requested(self, request: Request, transaction: ServerTransaction | None) -> None:
        if self.dialog is not None and request.to.tag:
            self.dialog.receive(request)
        if transaction is None:
            return
        if request.method == "INVITE" and self.dialog is None:
            self.ringing = (request, transaction)
            for status in self.answers:
                self.answer(status)
        elif request.method == "CANCEL":
            self.respond(transaction, response_to(request, 200, to_tag=self.name))
            self.answer(487)
        else:
            response = response_to(request, 200, to_tag=self.name)
            response.headers.add("Contact", f"<sip:{self.contact}@{self.contact}>")
            self.respond(transaction, response)
            if self.dialog is not None:
                self.dialog.answered(request, response)

    def answer(self, status: int) -> None:
        """Answer the INVITE that rings."""
        assert self.ringing is not None
        request, transaction = self.ringing
        response = response_to(request, status, to_tag=self.name)
        if 100 < status < 300:
            response.headers.add("Contact", f"<sip:{self.contact}@{self.contact}>")
            self.dialog = self.dialog or Dialog.uas(request, response)
            self.dialog.answered(request, response)
        self.respond(transaction, response)
