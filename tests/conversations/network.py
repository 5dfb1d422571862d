"""A whole node without sockets, and a network around it that the test holds in its hands.

The server, its steps, the driver, the transactions and the store are the real ones. Doubles stand only for what is
outside: ``Wire`` for a socket, ``Wires`` for the pool that opens them, ``Names`` for DNS, ``Clock`` for the event
loop. What the node sends arrives at once; time passes when the test says so.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any

from ringfence.engine.places import Destination
from ringfence.engine.records import Kind, Query, Record, Srv
from ringfence.engine.timers import Timers
from ringfence.engine.transactions import Transactions
from ringfence.message import Message, SipUri, parse
from ringfence.roles import edge
from ringfence.roles.addresses import Addresses, Listener
from ringfence.roles.bridge.bridges import Bridges
from ringfence.roles.pipeline import Step
from ringfence.roles.policy import Policy, Services
from ringfence.roles.server import Server
from ringfence.security.digest import Algorithm, make_ha1
from ringfence.security.nonces import NcWindow, Nonces
from ringfence.store.memory import MemoryStore
from ringfence.store.records import Account, Rights
from ringfence.transport.driver import Driver
from ringfence.transport.flow import Endpoint, Flow, PeerCertificate
from ringfence.transport.resolver import Resolver

DOMAIN = "example.org"
ALIAS = "example.com"
NODE4, NODE6 = "192.0.2.1", "2001:db8::1"
PORTS = {"UDP": 5060, "TCP": 5060, "TLS": 5061, "WSS": 5443}
CONNECTIONS = frozenset({"TCP", "TLS", "WS", "WSS"})
WALL = 1_800_000_000.0
"""The wall clock when the clock of the loop says 0."""


class Wire(Flow):
    """A flow that ends in the test."""

    __slots__ = ("_closed", "_key", "_network", "local", "peer", "reliable", "remote", "secure",
                 "transport", "user")  # fmt: skip

    def __init__(
        self, network: Network, transport: str, remote: Endpoint, peer: PeerCertificate | None = None
    ) -> None:
        self._network = network
        self.transport = transport
        self.local = Endpoint(NODE6 if ":" in remote.host else NODE4, PORTS[transport])
        self.remote = remote
        self.reliable = transport in CONNECTIONS
        self.secure = transport in {"TLS", "WSS"}
        self.peer = peer
        self.user: object | None = None
        self._closed = False
        self._key = f"{transport},{self.local},{remote}"
        if self.reliable:
            network.connections += 1
            self._key = f"connection.{network.connections}"

    @property
    def key(self) -> str:
        return self._key

    @property
    def closed(self) -> bool:
        return self._closed

    def send(self, data: bytes) -> None:
        if not self._closed:
            self._network.carry(data, self)

    def close(self, reason: str) -> None:
        if self.reliable and not self._closed:
            self._closed = True
            self._network.soon.append(lambda: self._network.driver.closed(self, reason))

    def toward(self, remote: Endpoint) -> Flow:
        return self if self.reliable else self._network.wires.wire("UDP", remote)


class Wires:
    """The pool: it gives the wire to a place, and makes it when there is none."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._wires: dict[tuple[str, Endpoint], Wire] = {}
        self.reached: dict[Endpoint, Flow] = {}
        self.all: dict[str, Wire] = {}
        self.dead: set[tuple[str, Endpoint]] = set()
        """Places that take no connection."""
        self.dialled: list[tuple[str, Endpoint, str | None]] = []

    def wire(self, transport: str, remote: Endpoint, peer: PeerCertificate | None = None) -> Wire:
        """The wire to a place, made when there is none or it is closed."""
        wire = self._wires.get((transport, remote))
        if wire is None or wire.closed:
            wire = self._wires[transport, remote] = Wire(self._network, transport, remote, peer)
            self.all[wire.key] = wire
        return wire

    def flow_to(self, transport: str, remote: Endpoint, server_name: str | None = None) -> Flow:
        """See ``transport.pool``."""
        self.dialled.append((transport, remote, server_name))
        wire = self.wire(transport, remote)
        if (transport, remote) in self.dead:
            wire.close("connection refused")
        return wire

    def find(self, key: str) -> Flow | None:
        """See ``transport.pool``."""
        wire = self.all.get(key)
        return None if wire is None or wire.closed else wire

    def alias(self, flow: Flow, port: int | None) -> bool:
        """See ``transport.pool``: for a connection whose peer has shown a good certificate."""
        if flow.peer is None or not flow.peer.verified or not isinstance(flow, Wire):
            return False
        self._wires[flow.transport, Endpoint(flow.remote.host, port or 5061)] = flow
        return True


class Waiting:
    """What a coroutine awaits until the test lets it go on."""

    def __await__(self) -> Generator[Waiting, None, None]:
        yield self


class Names(Resolver):
    """The resolver with what the test has put in for the DNS. While it is ``slow`` its answers wait for the test."""

    def __init__(self) -> None:
        super().__init__([("192.0.2.53", 53)], hosts_file=None)
        self.records: dict[Query, tuple[Record, ...]] = {}
        self.slow = False

    def host(self, name: str, *addresses: str) -> None:
        """Give a name addresses, and nothing else."""
        for kind, mark in ((Kind.A, "."), (Kind.AAAA, ":")):
            self.records[Query(kind, name)] = tuple(each for each in addresses if mark in each)

    def service(self, name: str, *targets: tuple[int, str, int]) -> None:
        """Give a name SRV records: priority, host, port."""
        self.records[Query(Kind.SRV, name)] = tuple(
            Srv(order, 1, port, host) for order, host, port in targets
        )

    def known(self, uri: SipUri, *, large: bool = False) -> list[Destination] | None:
        """See ``transport.resolver``."""
        return None if self.slow else super().known(uri, large=large)

    async def locate(self, uri: SipUri, *, large: bool = False) -> list[Destination]:
        """See ``transport.resolver``."""
        await Waiting()
        return super().known(uri, large=large) or []

    def _look(self, query: Query) -> tuple[Record, ...]:
        return self.records.get(query, ())


class Running:
    """A task, stepped by hand."""

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work
        self._callbacks: list[Callable[[Any], object]] = []
        self.waits = True
        self.step()

    def step(self) -> None:
        """Go on until it waits or ends."""
        try:
            self._work.send(None)
        except StopIteration:
            self.waits = False
            for callback in self._callbacks:
                callback(self)

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        if self.waits:
            self._callbacks.append(callback)
        else:
            callback(self)


class Deadline:
    """A timer of the loop."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Clock:
    """The event loop: its time stands still until ``advance``."""

    def __init__(self) -> None:
        self.now = 0.0
        self._deadlines: list[tuple[float, int, Deadline]] = []
        self.tasks: list[Running] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> Deadline:
        deadline = Deadline(callback)
        self._deadlines.append((when, len(self._deadlines), deadline))
        return deadline

    def create_task(self, work: Coroutine[Any, Any, None]) -> Running:
        self.tasks = [task for task in self.tasks if task.waits]
        task = Running(work)
        self.tasks.append(task)
        return task

    def advance(self, seconds: float, after_each: Callable[[], None]) -> None:
        """Let time pass, and everything happen that is due on the way."""
        end = self.now + seconds
        while True:
            due = sorted(entry[:2] for entry in self._deadlines if entry[0] <= end)
            if not due:
                break
            entry = next(entry for entry in self._deadlines if entry[:2] == due[0])
            self._deadlines.remove(entry)
            self.now = max(self.now, entry[0])
            if entry[2].callback is not None:
                entry[2].callback()
                after_each()
        self.now = end


class Network:
    """One node of ``example.org`` and what is around it. ``policy`` may be changed before the first message."""

    def __init__(self, steps: tuple[Step, ...] = edge.STEPS) -> None:
        self.clock = Clock()
        self.soon: list[Callable[[], None]] = []
        self.connections = 0
        self.places: dict[str, Callable[[Message, Wire], None]] = {}
        self.lost: list[tuple[Message, Wire]] = []
        """What was sent to where nobody is."""
        self.traffic: list[Message] = []
        """All that the node has sent, in order."""
        self.wires = Wires(self)
        self.names = Names()
        self.driver = Driver(Transactions(Timers()), self.clock)  # type: ignore[arg-type]
        self.store = MemoryStore()
        self.policy = make_policy()
        self.services = Services(
            policy=self.policy,
            accounts=self.store.accounts,
            bindings=self.store.bindings,
            nonces=Nonces(b"n" * 32),
            nonce_counts=NcWindow(),
            gruu_key=b"g" * 32,
            driver=self.driver,
            resolver=self.names,
            clock=lambda: WALL + self.clock.now,
            bridges=Bridges(b"p" * 32),
        )
        self.server = Server(self.services, steps)
        self.driver.bind(
            self.wires,
            self.server.receive,
            on_closed=self.server.flow_closed,
            locate=self.names.locate_response,
        )  # type: ignore[arg-type]

    # -- accounts --------------------------------------------------------------------------------------

    def account(
        self,
        user: str,
        password: str = "secret",
        *,
        aliases: tuple[str, ...] = (),
        rights: Rights = Rights(),  # noqa: B008  (immutable)
        algorithms: tuple[Algorithm, ...] = (Algorithm.SHA_512_256, Algorithm.SHA_256, Algorithm.MD5),
        disabled: bool = False,
    ) -> Account:
        """Put an account in place of what there was."""
        made = {str(each): make_ha1(user, DOMAIN, password, each) for each in algorithms}
        account = Account(f"sip:{user}@{DOMAIN}", user, DOMAIN, made, aliases, rights, disabled=disabled)
        self.store.accounts.hold(account)
        return account

    # -- what happens ----------------------------------------------------------------------------------

    def deliver(self, message: Message | bytes, wire: Wire) -> None:
        """Bring a message to the node; a millisecond passes."""
        self.clock.now += 0.001
        self.driver.received(message if isinstance(message, bytes) else message.to_bytes(), wire)
        self.settle()

    def carry(self, data: bytes, wire: Wire) -> None:
        """The node sends."""
        message = parse(data)
        self.traffic.append(message)
        arrive = self.places.get(wire.remote.host)
        if arrive is None:
            self.lost.append((message, wire))
        else:
            arrive(message, wire)

    def settle(self) -> None:
        """Let happen what the sockets tell a moment later."""
        while self.soon:
            self.soon.pop(0)()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds, self.settle)

    def answer_names(self) -> None:
        """DNS answers what it was asked."""
        self.names.slow = False
        for task in self.clock.tasks:
            if task.waits:
                task.step()
        self.settle()

    @property
    def transactions(self) -> int:
        """How many transactions the node has."""
        return len(self.driver.transactions)


def make_policy() -> Policy:
    """The defaults, for a node with two addresses."""
    listeners = [
        Listener(transport, host, port, f"[{host}]" if ":" in host else host)
        for transport, port in PORTS.items()
        for host in (NODE4, NODE6)
    ]
    names = frozenset({DOMAIN, ALIAS, "proxy.example.org"})
    return Policy(DOMAIN, frozenset({DOMAIN, ALIAS}), DOMAIN, Addresses(listeners, names), b"s" * 32)
