"""Workers that hand each other messages, over real sockets in one loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringfence.message import parse
from ringfence.transport.flow import Endpoint, Flow, PeerCertificate
from ringfence.transport.mesh import Mesh, RemoteFlow, key_of, mark, marked, owner_of
from ringfence.transport.outbox import MAX_WAITING
from ringfence.transport.tokens import Tokens

LOCAL, REMOTE = Endpoint("192.0.2.1", 5061), Endpoint("198.51.100.7", 40000)
CERTIFICATE = PeerCertificate(b"leaf", True, (b"leaf", b"issuer"))


class Connection(Flow):
    """A connection that one of the workers has."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.transport, self.local, self.remote = "TLS", LOCAL, REMOTE
        self.reliable = self.secure = True
        self.peer: PeerCertificate | None = CERTIFICATE
        self.user: object | None = ("sip:alice@example.org",)
        self.sent: list[bytes] = []
        self.reasons: list[str] = []

    @property
    def key(self) -> str:
        return self._key

    @property
    def closed(self) -> bool:
        return bool(self.reasons)

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self, reason: str) -> None:
        self.reasons.append(reason)


class Worker:
    """What one worker has and has been told."""

    def __init__(self, number: int, directory: Path) -> None:
        self.flows: dict[str, Flow] = {}
        self.taken: asyncio.Queue[tuple[bytes, Flow]] = asyncio.Queue()
        self.lost: asyncio.Queue[tuple[Flow, str]] = asyncio.Queue()
        self.told = asyncio.Event()
        self.mesh = Mesh(number, 2, directory, self)
        self.mesh.open()

    def find(self, key: str) -> Flow | None:
        return self.flows.get(key)

    def take(self, data: bytes, flow: Flow) -> None:
        self.taken.put_nowait((data, flow))

    def gone(self, flow: Flow, reason: str) -> None:
        self.lost.put_nowait((flow, reason))

    def news(self) -> None:
        self.told.set()

    def users_of(self, flow: Flow) -> list[list[str]]:
        return [[str(user), "digest"] for user in flow.user or ()]  # type: ignore[attr-defined]

    def bind_users(self, flow: RemoteFlow, users: list[list[str]]) -> None:
        flow.user = tuple(user for user, _ in users)

    def connection(self) -> Connection:
        made = Connection(key_of("1", self.mesh.worker, "TLS", LOCAL, REMOTE))
        self.flows[made.key] = made
        return made


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Worker, Worker]]:
    workers = Worker(0, tmp_path / "mesh"), Worker(1, tmp_path / "mesh")
    yield workers
    for worker in workers:
        worker.mesh.close()


async def soon(what: asyncio.Queue[tuple[object, object]]) -> tuple[object, object]:
    async with asyncio.timeout(5):
        return await what.get()


async def until_sent(flow: Connection, data: bytes) -> None:
    async with asyncio.timeout(5):
        while data not in flow.sent:
            await asyncio.sleep(0.001)


async def test_a_message_is_handed_over_and_answered_by_the_same_connection(
    pair: tuple[Worker, Worker],
) -> None:
    first, second = pair
    flow = first.connection()
    assert first.mesh.hand_over(1, b"INVITE", flow)
    data, remote = await soon(second.taken)  # type: ignore[arg-type]
    assert data == b"INVITE"
    assert isinstance(remote, RemoteFlow)
    assert (remote.key, remote.transport, remote.local, remote.remote) == (flow.key, "TLS", LOCAL, REMOTE)
    assert remote.secure
    assert remote.peer == CERTIFICATE
    assert remote.user == ("sip:alice@example.org",)
    remote.send(b"200")
    await until_sent(flow, b"200")


class Datagrams(Connection):
    """A flow of UDP, which all workers have."""

    def __init__(self) -> None:
        super().__init__("UDP,192.0.2.1:5061,198.51.100.7:40000")
        self.reliable = self.secure = False


async def test_a_datagram_is_handed_over_by_the_key_of_its_flow(pair: tuple[Worker, Worker]) -> None:
    first, second = pair
    flow, same = Datagrams(), Datagrams()
    second.flows[same.key] = same
    assert first.mesh.hand_over(1, b"SIP/2.0 200\r\nVia: x\r\n\r\n", flow)
    assert await soon(second.taken) == (b"SIP/2.0 200\r\nVia: x\r\n\r\n", same)  # type: ignore[arg-type]


@pytest.mark.parametrize("reliable", [True, False])
async def test_a_burst_is_handed_over_whole_and_in_order(pair: tuple[Worker, Worker], reliable: bool) -> None:
    """The kernel lets ten datagrams wait, where nobody has told it otherwise."""
    first, second = pair
    flow: Flow = first.connection() if reliable else Datagrams()
    if not reliable:
        second.flows[flow.key] = flow
    number = 500
    for place in range(number):
        assert first.mesh.hand_over(1, b"%d" % place, flow)
    taken = [(await soon(second.taken))[0] for _ in range(number)]  # type: ignore[arg-type]
    assert taken == [b"%d" % place for place in range(number)]
    assert first.mesh.dropped == 0


async def test_what_waits_for_a_worker_is_bounded_and_lost_with_it(pair: tuple[Worker, Worker]) -> None:
    first, second = pair
    flow = first.connection()
    for place in range(MAX_WAITING + 50):
        first.mesh.hand_over(1, b"%d" % place, flow)
    assert 0 < first.mesh.dropped <= 50
    second.mesh.close()
    async with asyncio.timeout(5):
        while first.mesh.hand_over(1, b"more", flow):
            await asyncio.sleep(0.002)


async def test_the_certificate_is_told_once(pair: tuple[Worker, Worker]) -> None:
    first, second = pair
    flow = first.connection()
    for _ in range(2):
        first.mesh.hand_over(1, b"INVITE", flow)
    (_, one), (_, two) = await soon(second.taken), await soon(second.taken)  # type: ignore[arg-type]
    assert one is two
    assert one.peer == CERTIFICATE  # type: ignore[attr-defined]


async def test_a_key_is_enough_to_send(pair: tuple[Worker, Worker]) -> None:
    first, second = pair
    flow = first.connection()
    remote = second.mesh.find(flow.key)
    assert remote is not None
    assert second.mesh.find(flow.key) is remote
    remote.send(b"INVITE")
    await until_sent(flow, b"INVITE")
    remote.close("enough")
    async with asyncio.timeout(5):
        while not flow.closed:
            await asyncio.sleep(0.001)


async def test_a_connection_that_ends_is_told_to_those_who_use_it(pair: tuple[Worker, Worker]) -> None:
    first, second = pair
    flow = first.connection()
    remote = second.mesh.find(flow.key)
    assert remote is not None
    remote.send(b"INVITE")
    await until_sent(flow, b"INVITE")
    first.mesh.flow_closed(flow, "the phone hung up")
    ended, reason = await soon(second.lost)  # type: ignore[arg-type]
    assert ended is remote
    assert remote.closed
    assert reason == "the phone hung up"


async def test_a_connection_that_has_ended_before(pair: tuple[Worker, Worker]) -> None:
    _, second = pair
    remote = second.mesh.find(key_of("7", 0, "TCP", LOCAL, REMOTE))
    assert remote is not None
    remote.send(b"INVITE")
    ended, _ = await soon(second.lost)  # type: ignore[arg-type]
    assert ended is remote


async def test_a_worker_that_is_gone_has_taken_its_connections_with_it(pair: tuple[Worker, Worker]) -> None:
    first, second = pair
    flow = first.connection()
    remote = second.mesh.find(flow.key)
    assert remote is not None
    first.mesh.close()
    remote.send(b"INVITE")
    ended, reason = await soon(second.lost)  # type: ignore[arg-type]
    assert ended is remote
    assert "gone" in str(reason)
    assert not second.mesh.hand_over(0, b"BYE", flow)


async def test_what_was_written_is_told(pair: tuple[Worker, Worker]) -> None:
    first, second = pair
    first.mesh.spread_news()
    async with asyncio.timeout(5):
        await second.told.wait()


async def test_only_flows_of_others_are_found(pair: tuple[Worker, Worker]) -> None:
    first, _ = pair
    for key in (
        key_of("1", 0, "TLS", LOCAL, REMOTE),
        "w09.1~TLS,a:1,b:2",
        "w01.1",
        "w01.1~TLS,x,y",
        "7f.1",
        "",
    ):
        assert first.mesh.find(key) is None


REST = (
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
)
RESPONSE = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=%s\r\n" + REST
REQUEST = b"BYE %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1\r\n%s" + REST


@pytest.mark.parametrize(
    ("data", "owner"),
    [
        (RESPONSE % b"z9hG4bK0123456789abcdef0123w01.77aa", 1),
        (RESPONSE % b"z9hG4bK0123456789abcdef0123w12", 12),
        (RESPONSE % b"z9hG4bK0123456789abcdef0123.77aa", None),
        (RESPONSE % b"z9hG4bKw1", None),
        (REQUEST % (b"sip:c@d", b"Route: <sip:192.0.2.1;lr;rf=x;rw=w03;rh=y>\r\n"), 3),
        (REQUEST % (b"sip:b2b@192.0.2.1;rw=w02", b""), 2),
        (REQUEST % (b"sip:c@d;rw=w02", b"Route: <sip:192.0.2.1;lr>\r\n"), None),
        (REQUEST % (b"sip:anonymous-7f@d;rw=w02", b"Route: <sip:192.0.2.1;lr>\r\n"), 2),
        (REQUEST % (b"sip:c@d;rw=zz", b""), None),
        (REQUEST % (b"sip:c@d", b""), None),
    ],
)
def test_whose_a_message_is(data: bytes, owner: int | None) -> None:
    assert owner_of(parse(data)) == owner


def test_tokens_name_their_worker_where_there_are_several() -> None:
    assert marked(Tokens(mark(7))()[-3:]) == 7
    assert len(Tokens()()) == 20
    assert marked("w\u0661\u0662") is None
