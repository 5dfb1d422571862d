"""Credit control with a server of our own on loopback: several services, and what a server asks of us."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("diameter")

from diameter.message import Message, MessageHeader, constants

from ringfence.ledger.credit import CreditRefused, CreditSession
from ringfence.ledger.diameter import (
    ABORT_SESSION,
    RE_AUTH,
    DiameterClient,
    DiameterPeer,
    DiameterSelf,
    fields,
    value,
)
from ringfence.ledger.diameter_credit import DiameterCredit
from ringfence.store.balances import MemoryBalances

NAME = "ocs.example.org"
SERVICES = constants.AVP_MULTIPLE_SERVICES_CREDIT_CONTROL
CC_TIME = constants.AVP_CC_TIME


class Server:
    """A credit server. ``answers`` are the attributes of the next ones; ``heard`` are the requests."""

    def __init__(self) -> None:
        self.answers: deque[list[tuple[int, Any]]] = deque()
        self.heard: list[Message] = []
        self.replies: asyncio.Queue[Message] = asyncio.Queue()
        self._writer: asyncio.StreamWriter

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        while head := await reader.read(4):
            data = head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
            message = Message.from_bytes(data, plain_msg=True)
            if not message.header.is_request:
                await self.replies.put(message)
                continue
            more: list[tuple[int, Any]] = [(constants.AVP_RESULT_CODE, 2001)]
            if message.header.command_code == 257:
                more.append((constants.AVP_AUTH_APPLICATION_ID, 4))
            elif message.header.command_code == 272:
                self.heard.append(message)
                more = self.answers.popleft()
            self._send(message.header, more, value(message, constants.AVP_SESSION_ID), request=False)
        writer.close()

    def _send(
        self, header: MessageHeader, more: list[tuple[int, Any]], session: Any, *, request: bool
    ) -> None:
        made = MessageHeader(
            command_code=header.command_code,
            application_id=header.application_id,
            hop_by_hop_identifier=header.hop_by_hop_identifier,
            end_to_end_identifier=header.end_to_end_identifier,
        )
        made.is_request = request
        origin = [(constants.AVP_ORIGIN_HOST, NAME.encode()), (constants.AVP_ORIGIN_REALM, b"example.org")]
        avps = fields([(constants.AVP_SESSION_ID, session), *more, *origin])
        self._writer.write(Message(made, avps).as_bytes())

    async def ask(self, command: int, session: str) -> int:
        """Ask something about a session; gives the Result-Code of the answer."""
        header = MessageHeader(
            command_code=command, application_id=4, hop_by_hop_identifier=9, end_to_end_identifier=9
        )
        kind = [(constants.AVP_RE_AUTH_REQUEST_TYPE, 0)] if command == RE_AUTH else []
        self._send(header, kind, session, request=True)
        async with asyncio.timeout(5):
            answer = await self.replies.get()
        assert (answer.header.command_code, value(answer, constants.AVP_SESSION_ID)) == (command, session)
        return int(value(answer, constants.AVP_RESULT_CODE))


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, DiameterClient]]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    us = DiameterSelf("edge.example.org", "example.org", (4,), timeout=2.0, watchdog=6.0)
    client = DiameterClient(us, [DiameterPeer("127.0.0.1", port, NAME, None)], 7)
    await client.open()
    assert client.connected
    yield made, client
    await client.close()
    listening.close()


def granted(seconds: int, group: int | None, *more: tuple[int, Any], result: int = 2001) -> tuple[int, Any]:
    """A Multiple-Services-Credit-Control of an answer."""
    return (
        SERVICES,
        [
            (constants.AVP_GRANTED_SERVICE_UNIT, [(CC_TIME, seconds)] if seconds else None),
            (constants.AVP_RATING_GROUP, group),
            (constants.AVP_RESULT_CODE, result),
            *more,
        ],
    )


OK = (constants.AVP_RESULT_CODE, 2001)
FINAL = (constants.AVP_FINAL_UNIT_INDICATION, [(constants.AVP_FINAL_UNIT_ACTION, 0)])


def make(client: DiameterClient, group: int | None) -> tuple[DiameterCredit, CreditSession, MemoryBalances]:
    balances = MemoryBalances()
    credit = DiameterCredit(client, balances, "node1", "sip@example.org", 60.0, group)
    return credit, CreditSession("c1", "sip:alice@example.org", "tel:+15551234"), balances


@pytest.mark.rfc("8506", "8.16")
async def test_units_stand_in_the_service_of_our_rating_group(server: tuple[Server, DiameterClient]) -> None:
    peer, client = server
    credit, session, balances = make(client, 7)
    validity = (constants.AVP_VALIDITY_TIME, 20)
    peer.answers += [
        [OK, granted(99, 8), granted(60, 7, validity)],
        [OK, granted(30, 7, FINAL)],
        [OK],
    ]
    assert await credit.open(session) == (60.0, False, 20.0)
    assert await credit.more(session, 20.0) == (30.0, True, float("inf"))
    session.used = 47.0
    await credit.close(session)
    assert not balances.reservations
    initial, update, termination = peer.heard
    assert value(initial, constants.AVP_MULTIPLE_SERVICES_INDICATOR) == 1
    assert value(update, constants.AVP_MULTIPLE_SERVICES_INDICATOR) is None
    assert all(value(each, SERVICES, constants.AVP_RATING_GROUP) == 7 for each in peer.heard)
    assert value(initial, SERVICES, constants.AVP_REQUESTED_SERVICE_UNIT, CC_TIME) == 60
    assert value(update, SERVICES, constants.AVP_USED_SERVICE_UNIT, CC_TIME) == 20
    assert value(termination, SERVICES, constants.AVP_USED_SERVICE_UNIT, CC_TIME) == 27
    assert value(initial, constants.AVP_REQUESTED_SERVICE_UNIT) is None


async def test_a_server_that_answers_by_services_is_told_by_services(
    server: tuple[Server, DiameterClient],
) -> None:
    peer, client = server
    credit, session, _ = make(client, None)
    peer.answers += [[OK, granted(60, 3)], [OK, granted(60, 3)], [OK]]
    assert (await credit.open(session)).seconds == 60
    assert (await credit.more(session, 55.0)).seconds == 60
    await credit.close(session)
    assert value(peer.heard[0], constants.AVP_REQUESTED_SERVICE_UNIT, CC_TIME) == 60
    assert value(peer.heard[1], SERVICES, constants.AVP_RATING_GROUP) == 3
    assert value(peer.heard[1], SERVICES, constants.AVP_USED_SERVICE_UNIT, CC_TIME) == 55


@pytest.mark.rfc("8506", "9.1")
@pytest.mark.parametrize("service", [granted(0, 7, result=4012), granted(0, 7, FINAL)])
async def test_a_service_without_credit_is_refused_and_its_session_ended(
    server: tuple[Server, DiameterClient], service: tuple[int, Any]
) -> None:
    peer, client = server
    credit, session, balances = make(client, 7)
    peer.answers += [[OK, service], [OK]]
    with pytest.raises(CreditRefused, match="used up"):
        await credit.open(session)
    assert not balances.reservations
    assert [value(each, constants.AVP_CC_REQUEST_TYPE) for each in peer.heard] == [1, 3]


@pytest.mark.rfc("8506", "5.5")
@pytest.mark.rfc("6733", "8.5")
async def test_a_server_asks_to_be_asked_and_ends_a_call(server: tuple[Server, DiameterClient]) -> None:
    peer, client = server
    credit, session, _ = make(client, None)
    wanted: list[bool] = []
    session.interrupt = wanted.append
    peer.answers += [[OK, (constants.AVP_GRANTED_SERVICE_UNIT, [(CC_TIME, 60)])], [OK]]
    assert await peer.ask(RE_AUTH, "no;such;session") == 5002
    await credit.open(session)
    assert await peer.ask(RE_AUTH, session.id) == 2002
    assert await peer.ask(ABORT_SESSION, session.id) == 2001
    assert wanted == [False, True]
    await credit.close(session)
    assert await peer.ask(ABORT_SESSION, session.id) == 5002
    assert await peer.ask(259, session.id) == 3001
