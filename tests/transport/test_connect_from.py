"""Connections from a port that was agreed on, as ``ipsec-3gpp`` wants them (3GPP TS 33.203 section 7.1)."""

from __future__ import annotations

import pytest

from ringfence.transport.flow import Endpoint, Flow
from ringfence.transport.pool import Pool
from tests.interop.processes import free_port
from tests.transport.conftest import MakeSide
from tests.transport.support import Recorder

HOST = "127.0.0.1"
MESSAGE = b"OPTIONS sip:a@example.org SIP/2.0\r\nContent-Length: 0\r\n\r\n"


async def phone(make: MakeSide) -> tuple[Recorder, Endpoint]:
    pool, above = make()
    return above, (await pool.listen("TCP", HOST, 0)).local


async def reached(pool: Pool, above: Recorder, at: Endpoint) -> Flow:
    """What a phone sees of a connection to it."""
    pool.flow_to("TCP", at).send(MESSAGE)
    message, flow = await above.message()
    assert message == MESSAGE
    return flow


@pytest.mark.rfc("3329", "2.4")
async def test_several_phones_are_reached_from_the_port_that_was_agreed_on(make: MakeSide) -> None:
    pool, _ = make()
    own, client = Endpoint(HOST, free_port()), Endpoint(HOST, free_port())
    for port in (own, client):
        await pool.listen("UDP", *port)
    await pool.listen("TCP", *own)
    phones = [await phone(make) for _ in range(2)]
    for _, at in phones:
        for port in (Endpoint(HOST, 7), at):  # both ports of the phone, as ``Hops`` has it
            pool.keep(port, own, client, at)
    for above, at in phones:
        assert (await reached(pool, above, at)).remote == client


async def test_a_phone_that_is_let_go_and_others_are_reached_from_any_port(make: MakeSide) -> None:
    pool, _ = make()
    client = Endpoint(HOST, free_port())
    (above, at), (other, there) = await phone(make), await phone(make)
    pool.connect_from(client, at)
    pool.release(at)
    assert (await reached(pool, above, at)).remote != client
    assert (await reached(pool, other, there)).remote != client


async def test_a_port_that_somebody_else_has_is_no_way(make: MakeSide) -> None:
    pool, told = make()
    (_, at), (_, taken) = await phone(make), await phone(make)
    pool.connect_from(taken, at)
    pool.flow_to("TCP", at)
    _, reason = await told.end()
    assert "in use" in reason
