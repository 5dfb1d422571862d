"""What the demo plays on: domains that are set up as ``ringfence init`` does, their nodes in this process, user
agents as their phones, and a recording of what passes between them.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ringfence.cli.accounts import credentials, open_database
from ringfence.cli.ladder import Arrow
from ringfence.client import UserAgent
from ringfence.message import Message, PeerError, Request, Response, SipUri, parse_uri
from ringfence.roles.bound import users_of
from ringfence.service.config import Config
from ringfence.store.records import Account
from ringfence.transport.flow import Endpoint, Flow, PeerCertificate
from ringfence.transport.tcp import StreamFlow

if TYPE_CHECKING:
    from ringfence.service.process import Node

HOST = "127.0.0.1"
TIMEOUT = 5.0
"""Seconds that the demo waits for anything that ought to happen at once."""


@dataclass(slots=True)
class Domain:
    """A domain: its configuration, and the passwords of its users."""

    config: Config
    passwords: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name of the domain."""
        return self.config.domain.name

    @property
    def authority(self) -> Path:
        """The certificate that phones have to trust."""
        assert self.config.tls.ca is not None  # as the domain was set up
        return self.config.tls.ca

    def port(self, transport: str) -> int:
        """The first port of a transport; 0 when there is none."""
        return next((each.port for each in self.config.listeners if each.transport == transport), 0)

    def phone(self, user: str, *, transport: str = "tls", **settings: Any) -> UserAgent:
        """A phone with the account of a user, not open yet."""
        scheme = "sips" if transport == "tls" else "sip"
        suffix = "" if transport == "tls" else f";transport={transport}"
        settings = {
            "password": self.passwords.get(user),
            "proxy": f"{scheme}:{HOST}:{self.port(transport)}{suffix}",
            "trust": self.authority,
        } | settings
        return UserAgent(f"{scheme}:{user}@{self.name}", **settings)

    async def add_users(self, users: Iterable[str]) -> None:
        """Give them accounts, or new passwords where they have one."""
        async with open_database(self.config) as database:
            for user in users:
                secrets = credentials(user, self.config, self.passwords[user], md5=False)
                account = Account(
                    f"sip:{user}@{self.name}", user, self.config.realm, secrets, created=time.time()
                )
                if database.accounts.by_aor(account.aor) is None:
                    await database.accounts.add(account)
                else:
                    await database.accounts.update(account)


class Hop(NamedTuple):
    """Two neighbours, and what protects what passes between them."""

    one: str
    other: str
    protection: str
    """Such as "TLSv1.3 TLS_AES_256_GCM_SHA384"; without TLS the transport."""

    @property
    def secure(self) -> bool:
        """Whether it is TLS."""
        return self.protection.startswith("TLS")


class _Seen(NamedTuple):
    """A message as a node saw it."""

    time: float
    node: str
    incoming: bool
    label: str
    status: int | None
    flow: Flow


class Recording:
    """What passes some nodes of this process, and what is known of who is at the other end.

    An endpoint that nobody has named is ``stranger``: whom the scene at hand is about.
    """

    def __init__(self) -> None:
        self.stranger = "stranger"
        self._nodes: set[str] = set()
        self._names: dict[Endpoint, str] = {}
        self._seen: list[_Seen] = []
        self._octets = bytearray()
        self._sent: dict[Endpoint, bytearray] = {}
        self._audio: list[Arrow] = []
        self._protections: dict[str, str] = {}
        self._proofs: dict[str, str] = {}
        self._certificates: dict[tuple[str, Endpoint], PeerCertificate] = {}
        self.signature: tuple[tuple[str, str], ...] = ()
        """The header fields of the last signed request: what anybody who has seen it can send again."""

    def watch(self, domain: Domain, node: Node) -> None:
        """Record what passes this node."""
        self._nodes.add(domain.name)
        for each in domain.config.listeners:
            self._names[Endpoint(HOST, each.port)] = domain.name
        node.parts.driver.watch(partial(self._observe, domain.name))

    def name(self, phone: UserAgent, name: str) -> None:
        """Say whose phone it is that has registered."""
        registration = phone.registration
        assert registration is not None
        assert registration.flow is not None
        self._names[registration.flow.local] = name

    def clear(self, stranger: str = "stranger") -> None:
        """Begin anew."""
        self.stranger = stranger
        self._seen.clear()
        self._octets.clear()
        self._sent.clear()
        self._audio.clear()

    def heard(self, source: str, target: str, label: str, *, encrypted: bool) -> None:
        """Note audio that has gone from one phone to the other, past the nodes."""
        self._audio.append(Arrow(time.perf_counter(), source, target, label, encrypted))

    def _observe(self, node: str, direction: str, message: Message, flow: Flow) -> None:
        incoming = direction == "in"
        if not incoming and self._names.get(flow.remote) in self._nodes:
            self._names[flow.local] = node
        status = message.status if isinstance(message, Response) else None
        self._seen.append(_Seen(time.perf_counter(), node, incoming, label(message), status, flow))
        data = message.to_bytes()
        self._octets += data
        if not incoming:
            self._sent.setdefault(flow.remote, bytearray()).extend(data)
        if protection := protection_of(flow):  # not known yet of a connection that is being made
            self._protections[flow.key] = protection
        if "Identity" in message.headers.names:
            signed = ("Identity", "Date")
            self.signature = tuple((name, message.headers.get(name) or "") for name in signed)
        if flow.peer is not None:
            self._certificates[node, flow.remote] = flow.peer
        for user in users_of(flow):
            self._proofs[user.account.aor] = user.evidence

    # -- what was seen ---------------------------------------------------------------------------------

    def _ends(self, seen: _Seen) -> tuple[str, str]:
        remote = self._names.get(seen.flow.remote, self.stranger)
        return (remote, seen.node) if seen.incoming else (seen.node, remote)

    def arrows(self) -> list[Arrow]:
        """The messages in order, each once, though both ends of a hop may have seen it; and the audio."""
        arrows = list(self._audio)
        for seen in self._seen:
            source, target = self._ends(seen)
            if seen.incoming and source in self._nodes:
                continue  # that node saw it leave
            note = "" if seen.flow.secure else seen.flow.transport
            arrows.append(Arrow(seen.time, source, target, seen.label, seen.flow.secure, seen.status, note))
        return sorted(arrows, key=lambda arrow: arrow.time)

    def hops(self) -> list[Hop]:
        """The hops that were used, in order of appearance."""
        found: dict[frozenset[str], Hop] = {}
        for seen in self._seen:
            ends = self._ends(seen)
            found.setdefault(frozenset(ends), Hop(*ends, self._protections.get(seen.flow.key, "")))
        return list(found.values())

    def could_read(self, text: str) -> bool:
        """Whether a node could read this in a message of the scene."""
        return text.encode() in self._octets

    def was_told(self, name: str, text: str) -> bool:
        """Whether a node has sent this to the phone of that name."""
        return any(
            text.encode() in data for remote, data in self._sent.items() if self._names.get(remote) == name
        )

    def proof(self, address: str) -> str:
        """How an account was proved, such as "digest SHA-512-256"; empty when it was not."""
        return self._proofs.get(address, "")

    def certificate(self, node: str, peer: str) -> PeerCertificate | None:
        """The certificate that one node showed to the other."""
        found = (
            certificate
            for (owner, endpoint), certificate in self._certificates.items()
            if owner == node and self._names.get(endpoint) == peer
        )
        return next(found, None)


def protection_of(flow: Flow) -> str:
    """What protects an open flow: the version of TLS and the cipher; else the transport."""
    return flow.protection if isinstance(flow, StreamFlow) and flow.secure else flow.transport


def label(message: Message) -> str:
    """A message in a few words: the method and to whom, or the status."""
    if isinstance(message, Response):
        return f"{message.status} {message.reason}"
    assert isinstance(message, Request)  # there is no third kind
    try:
        uri = parse_uri(message.uri)
    except PeerError:
        return message.method
    if not isinstance(uri, SipUri):
        return f"{message.method} {uri}"
    port = f":{uri.port}" if uri.port else ""
    return f"{message.method} {uri.user + '@' if uri.user else ''}{uri.host}{port}"


def free_ports(number: int) -> list[int]:
    """Ports of loopback that are free for TCP and UDP now; taken all at once, so that they differ."""
    with ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < number:
            tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            tcp.bind((HOST, 0))
            port = int(tcp.getsockname()[1])
            with suppress(OSError):  # another program has it for UDP: the next
                udp.bind((HOST, port))
                ports.append(port)
        return ports
