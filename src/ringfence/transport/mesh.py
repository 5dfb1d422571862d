"""Workers of one machine, and what they hand each other.

The kernel spreads datagrams and connections over the workers by addresses, not by what is in them. So a response can
reach a worker that knows nothing of its request, a request inside a dialog one that does not hold the dialog, and the
connection of a phone may be another worker's. Each of these carries the number of its worker: the branch of a Via, a
parameter of a Route, the key of a flow. Such a message is handed over whole, with a description of the flow that it
came by, and the other worker deals with it as if it had come by a flow of its own.

That flow is a ``RemoteFlow``: what is sent on it goes to the worker that has the connection. A UDP flow needs none,
since all workers have the same sockets.

They speak over Unix datagram sockets in a directory that only their user can enter: reliable, in order, and a worker
that is gone is told at once (``outbox``). Each datagram is a line and, behind it, the message: the line is JSON, or for
the common case, a message by UDP, the key of its flow.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any, Protocol

import structlog

from ringfence.message import Request, Response
from ringfence.transport.flow import Endpoint, Flow, PeerCertificate
from ringfence.transport.outbox import Outbox

log = structlog.get_logger("ringfence.mesh")

MAX_WORKERS = 64
"""Their number has two digits wherever it is written; no machine that SIP is served on has more to offer."""

SOCKET_BUFFER = 8_388_608
"""Bytes that may wait for a worker; the longest message is one of them (``Limits.body`` and its head)."""

BY_UDP = b"\x00"
"""What a line begins with that is the key of a UDP flow; no JSON does."""

MAX_REMOTE_FLOWS = 65_536
"""Flows of other workers that one remembers: the least recently introduced goes first."""

MAX_BURST = 32
"""Datagrams read before other sockets get their turn."""

WORKER_MARK = "w"
"""What stands before the number of a worker where a token ends or a flow key begins; it is no hexadecimal digit."""


WORKER_PARAM = "rw"
"""URI parameter of our Record-Route and Contact that names the worker which holds the dialog."""


PRIVATE_USER = "anonymous-"
"""How the user part of our Contact in a private call begins."""


def mark(worker: int) -> str:
    """What stands behind the tokens of a worker, and before the keys of its flows."""
    return f"{WORKER_MARK}{worker:02d}"


def marked(text: str) -> int | None:
    """The worker whose mark a text begins with; None where there is none."""
    if text[:1] != WORKER_MARK or not text[1:3].isdigit() or not text.isascii():
        return None
    return int(text[1:3])


class RemoteFlow(Flow):
    """A connection that another worker has."""

    __slots__ = ("_closed", "_key", "_mesh", "local", "peer", "remote", "secure", "transport", "user")

    reliable = True

    def __init__(self, mesh: Mesh, key: str, transport: str, local: Endpoint, remote: Endpoint) -> None:
        self._mesh = mesh
        self._key = key
        self._closed = False
        self.transport = transport
        self.local = local
        self.remote = remote
        self.secure = transport in {"TLS", "WSS"}
        self.peer: PeerCertificate | None = None
        self.user: object | None = None

    @property
    def key(self) -> str:
        """The key that its own worker has for it."""
        return self._key

    @property
    def closed(self) -> bool:
        """Whether its worker has said that it is gone."""
        return self._closed

    def send(self, data: bytes) -> None:
        """Have the other worker send it."""
        if not self._closed:
            self._mesh.send_by(self, data)

    def close(self, reason: str) -> None:
        """Have the other worker close it."""
        if not self._closed:
            self._mesh.close_by(self, reason)

    def ping(self) -> None:
        """Nothing: its own worker looks after it."""

    def end(self) -> None:
        """It is gone; the mesh says so."""
        self._closed = True


class Here(Protocol):
    """What a worker does with what others hand it."""

    def find(self, key: str) -> Flow | None:
        """A flow of this worker."""

    def take(self, data: bytes, flow: Flow) -> None:
        """A message that is this worker's, whoever got it."""

    def gone(self, flow: Flow, reason: str) -> None:
        """A remote flow has ended."""

    def news(self) -> None:
        """Another worker has written to the store."""

    def told(self, worker: int, what: list[Any]) -> None:
        """Another worker tells all others something."""

    def users_of(self, flow: Flow) -> list[list[str]]:
        """Who has authenticated on a flow, as JSON can write it."""

    def bind_users(self, flow: RemoteFlow, users: list[list[str]]) -> None:
        """The reverse."""


class Mesh:
    """The links of one worker to the others. ``open`` it on the loop that it is to run on."""

    def __init__(self, worker: int, workers: int, directory: Path, here: Here) -> None:
        self.worker = worker
        self.workers = workers
        self._directory = directory
        self._here = here
        self._socket: socket.socket | None = None
        self._flows: dict[str, RemoteFlow] = {}
        self._introduced: dict[str, set[int]] = {}
        self._out = Outbox([str(directory / f"{number}.sock") for number in range(workers)])
        self._loop: asyncio.AbstractEventLoop

    def open(self) -> None:
        """Listen for the others. Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(self.worker)
        path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        mask = os.umask(0o177)
        try:
            sock.bind(str(path))
        except OSError:
            sock.close()
            raise
        finally:
            os.umask(mask)
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)
        self._out.open(sock)

    def close(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
            self._out.close()
            self._path(self.worker).unlink(missing_ok=True)

    def _path(self, worker: int) -> Path:
        return self._directory / f"{worker}.sock"

    # -- to the others ---------------------------------------------------------------------------------

    @property
    def dropped(self) -> int:
        """Messages that another worker could not be given: it was gone, or too many waited."""
        return self._out.dropped

    def knows(self, worker: int | None) -> bool:
        """Whether that is another worker of this node."""
        return worker is not None and worker != self.worker and worker < self.workers

    def hand_over(self, worker: int, data: bytes, flow: Flow) -> bool:
        """Give a message to the worker that it belongs to; False when that one is gone."""
        if not flow.reliable:
            return self._out.put(worker, b"%b%b\n%b" % (BY_UDP, flow.key.encode(), data))
        facts: dict[str, Any] = {
            "do": "take",
            "key": flow.key,
            "transport": flow.transport,
            "local": flow.local,
            "remote": flow.remote,
            "users": self._here.users_of(flow),
        }
        known = self._introduced.setdefault(flow.key, set())
        if worker not in known:
            known.add(worker)
            facts["peer"] = _packed(flow.peer)
        return self._tell(worker, facts, data)

    def send_by(self, flow: RemoteFlow, data: bytes) -> None:
        """Have the worker of a flow send on it. One that is gone has taken its connections with it."""
        worker = marked(flow.key)
        if worker is None or not self._tell(
            worker, {"do": "send", "key": flow.key, "from": self.worker}, data
        ):
            self._loop.call_soon(self._ended, flow.key, "the worker that had the connection is gone")

    def close_by(self, flow: RemoteFlow, reason: str) -> None:
        """Have the worker of a flow close it."""
        worker = marked(flow.key)
        if worker is not None:
            self._tell(worker, {"do": "close", "key": flow.key, "reason": reason})

    def spread_news(self) -> None:
        """Tell the others that something was written to the store."""
        for worker in range(self.workers):
            if worker != self.worker:
                self._tell(worker, {"do": "news"})

    def tell_all(self, what: list[Any]) -> None:
        """Tell the others something of which this knows only that it is JSON."""
        for worker in range(self.workers):
            if worker != self.worker:
                self._tell(worker, {"do": "told", "from": self.worker, "what": what})

    def flow_closed(self, flow: Flow, reason: str) -> None:
        """A connection of this worker has ended: those who use it are told."""
        for worker in self._introduced.pop(flow.key, ()):
            self._tell(worker, {"do": "ended", "key": flow.key, "reason": reason})

    def _tell(self, worker: int, facts: dict[str, Any], data: bytes = b"") -> bool:
        return self._out.put(worker, json.dumps(facts, separators=(",", ":")).encode() + b"\n" + data)

    # -- flows of the others ---------------------------------------------------------------------------

    def find(self, key: str) -> RemoteFlow | None:
        """The flow with this key, when it is another worker's. Whether it still lives is found out by using it."""
        flow = self._flows.get(key)
        if flow is not None:
            return flow
        if not self.knows(marked(key)):
            return None
        # "w01.run.serial~TLS,192.0.2.1:5061,198.51.100.7:40000": see ``key_of``
        _, tilde, way = key.partition("~")
        transport, _, ends = way.partition(",")
        here, _, there = ends.partition(",")
        local, remote = _endpoint(here), _endpoint(there)
        if not tilde or local is None or remote is None:
            return None
        return self._remember(RemoteFlow(self, key, transport, local, remote))

    def _remember(self, flow: RemoteFlow) -> RemoteFlow:
        if len(self._flows) >= MAX_REMOTE_FLOWS:
            del self._flows[next(iter(self._flows))]
        self._flows[flow.key] = flow
        return flow

    def _ended(self, key: str, reason: str) -> None:
        flow = self._flows.pop(key, None)
        if flow is not None and not flow.closed:
            flow.end()
            self._here.gone(flow, reason)

    # -- from the others -------------------------------------------------------------------------------

    def _readable(self) -> None:
        for _ in range(MAX_BURST):
            if self._socket is None:
                return
            try:
                datagram = self._socket.recv(SOCKET_BUFFER)
            except BlockingIOError:
                return
            line, _, data = datagram.partition(b"\n")
            if line[:1] != BY_UDP:
                self._take(json.loads(line), data)
            elif (flow := self._here.find(line[1:].decode())) is not None:
                self._here.take(data, flow)

    def _take(self, facts: dict[str, Any], data: bytes) -> None:
        match facts["do"]:
            case "take":
                self._here.take(data, self._flow_of(facts))
            case "send":
                self._send(facts["key"], facts["from"], data)
            case "close":
                if (own := self._here.find(facts["key"])) is not None:
                    own.close(facts["reason"])
            case "ended":
                self._ended(facts["key"], facts["reason"])
            case "news":
                self._here.news()
            case "told":
                self._here.told(facts["from"], facts["what"])

    def _send(self, key: str, asked: int, data: bytes) -> None:
        flow = self._here.find(key)
        if flow is None or flow.closed:
            self._tell(asked, {"do": "ended", "key": key, "reason": "the connection is gone"})
            return
        self._introduced.setdefault(key, set()).add(asked)
        flow.send(data)

    def _flow_of(self, facts: dict[str, Any]) -> RemoteFlow:
        flow = self._flows.get(facts["key"])
        if flow is None:
            local, remote = Endpoint(*facts["local"]), Endpoint(*facts["remote"])
            flow = self._remember(RemoteFlow(self, facts["key"], facts["transport"], local, remote))
        if "peer" in facts:
            flow.peer = _unpacked(facts["peer"])
        self._here.bind_users(flow, facts["users"])
        return flow


def key_of(serial: str, worker: int, transport: str, local: Endpoint, remote: Endpoint) -> str:
    """The key of a connection where there are several workers: it tells the others what they have to know of it."""
    return f"{mark(worker)}.{serial}~{transport},{local},{remote}"


def owner_of(message: Request | Response) -> int | None:
    """The worker that a message belongs to: that of its transaction, or of its dialog; None when it may be any.

    What somebody forges here leads to a worker that knows nothing of it, and treats it as any other would.
    """
    if isinstance(message, Response):
        return marked(message.via.branch.partition(".")[0][-3:])
    place = (message.headers.get("Route") or "") if message.headers.has("Route") else message.uri
    _, found, value = place.partition(f";{WORKER_PARAM}=")
    if not found and f":{PRIVATE_USER}" in message.uri:  # whatever routes a phone puts before it
        _, found, value = message.uri.partition(f";{WORKER_PARAM}=")
    return marked(value) if found else None


def _endpoint(text: str) -> Endpoint | None:
    host, colon, port = text.rpartition(":")
    return Endpoint(host.strip("[]"), int(port)) if colon and port.isdigit() else None


def _packed(peer: PeerCertificate | None) -> list[Any] | None:
    if peer is None:
        return None
    return [peer.verified, *(b64encode(each).decode() for each in peer.chain)]


def _unpacked(packed: list[Any] | None) -> PeerCertificate | None:
    if packed is None:
        return None
    verified, *chain = packed
    ders = tuple(b64decode(each) for each in chain)
    return PeerCertificate(ders[0], verified, ders) if ders else None


def forget_sockets(directory: Path) -> None:
    """Remove what workers that were killed have left. For their supervisor, before it starts any."""
    for path in (*directory.glob("*.sock"), *directory.glob("control.*")):
        with contextlib.suppress(OSError):
            path.unlink()
