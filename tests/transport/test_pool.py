"""Which connection is used again, and for whom (RFC 3261 section 18, RFC 5923)."""

import asyncio
import dataclasses
import gc
from collections.abc import Iterator

import pytest

from ringfence.message import LocalError
from ringfence.transport.flow import Endpoint
from ringfence.transport.stream import ByteStream
from tests.transport.conftest import LIMITS, MakeSide
from tests.transport.support import Authority, options


async def test_one_connection_for_one_domain(make: MakeSide, authority: Authority) -> None:
    there, above_there = make(authority.contexts("sip:example.org", "sip:example.net"))
    remote = (await there.listen("TLS", "127.0.0.1", 0)).local
    here, above = make(authority.contexts())
    flow = here.flow_to("TLS", remote, "example.org")
    assert here.flow_to("TLS", remote, "example.org") is flow
    early = here.flow_to("TLS", remote, "example.net")
    assert early is not flow  # nothing is proved yet
    await above.until(lambda: len(above.opens) == 2)
    early.close("one is enough")
    assert here.flow_to("TLS", remote, "example.net") is flow  # its certificate proves that too
    stranger = here.flow_to("TLS", remote, "example.com")
    assert stranger is not flow
    await above.until(lambda: any(ended is stranger for ended, _ in above.ends))
    await above_there.until(lambda: len(above_there.opens) >= 2)


@pytest.mark.rfc("3261", "18")
async def test_a_connection_that_the_peer_made_is_used_for_its_own_address(
    make: MakeSide, authority: Authority
) -> None:
    there, above_there = make(authority.contexts("example.org"))
    here, above = make(authority.contexts())
    for transport in ("TCP", "TLS", "WSS"):
        remote = (await there.listen(transport, "127.0.0.1", 0)).local
        here.flow_to(transport, remote, "example.org").send(options())
        back = (await above_there.message(len(above_there.messages) + 1))[1]
        assert there.flow_to(transport, back.remote, None) is back
        assert there.flow_to(transport, back.remote, "127.0.0.1") is back
        if back.secure:
            assert there.flow_to(transport, back.remote, "example.net") is not back
    assert above.ends == []


@pytest.mark.rfc("5923", "8.2")
async def test_an_alias_needs_a_certificate_and_the_right_domain(
    make: MakeSide, authority: Authority
) -> None:
    there, above_there = make(authority.contexts("example.org"))
    remote = (await there.listen("TLS", "127.0.0.1", 0)).local
    known, _ = make(authority.contexts("sip:example.net"))
    unknown, _ = make(authority.contexts())
    known.flow_to("TLS", remote, "example.org").send(options(1))
    back = (await above_there.message(1))[1]
    advertised = Endpoint("127.0.0.1", 5061)
    assert there.alias(back, None)
    assert there.flow_to("TLS", advertised, "example.net") is back
    assert there.flow_to("TLS", advertised, "example.com") is not back
    assert there.flow_to("TLS", advertised, None) is not back
    unknown.flow_to("TLS", remote, "example.org").send(options(2))
    nobody = (await above_there.message(2))[1]
    assert not there.alias(nobody, 5061)
    for port in range(1, 50):
        there.alias(back, port)
    assert not there.alias(back, 50)
    back.close("enough")
    await above_there.until(lambda: any(ended is back for ended, _ in above_there.ends))
    assert there.flow_to("TLS", advertised, "example.net") is not back


async def test_tcp_has_no_alias(make: MakeSide) -> None:
    there, above_there = make()
    remote = (await there.listen("TCP", "127.0.0.1", 0)).local
    here, _ = make()
    here.flow_to("TCP", remote).send(options())
    back = (await above_there.message())[1]
    assert not there.alias(back, 5060)


@pytest.mark.parametrize(
    ("transport", "remote", "reason"),
    [
        ("TLS", Endpoint("127.0.0.1", 5061), "TLS is not configured"),
        ("SCTP", Endpoint("127.0.0.1", 5060), "SCTP is not supported"),
        ("TCP", Endpoint("example.org", 5060), "is no address"),
        ("TCP", Endpoint("127.0.0.1", 0), "is no address"),
        ("UDP", Endpoint("127.0.0.1", 5060), "no UDP socket"),
    ],
)
async def test_what_cannot_be_reached_is_told_later(
    make: MakeSide, transport: str, remote: Endpoint, reason: str
) -> None:
    pool, above = make()
    flow = pool.flow_to(transport, remote)
    flow.send(options())
    flow.close("no matter")
    assert flow.closed
    assert above.ends == []
    ended, why = await above.end()
    assert ended is flow
    assert reason in why


async def test_the_right_udp_socket_is_chosen(make: MakeSide) -> None:
    pool, _ = make()
    any4 = await pool.listen("UDP", "0.0.0.0", 0)
    loop4 = await pool.listen("UDP", "127.0.0.1", 0)
    loop6 = await pool.listen("UDP", "::1", 0)
    assert pool.flow_to("UDP", Endpoint("127.0.0.1", 9)).local == loop4.local
    assert pool.flow_to("UDP", Endpoint("192.0.2.1", 9)).local == any4.local
    assert pool.flow_to("UDP", Endpoint("::1", 9)).local == loop6.local
    assert pool.flow_to("UDP", Endpoint("127.0.0.1", 9), None, any4.local).local == any4.local
    assert pool.flow_to("UDP", Endpoint("example.org", 9)).closed


async def test_listening_without_a_certificate_is_our_own_mistake(
    make: MakeSide, authority: Authority
) -> None:
    pool, _ = make()
    with pytest.raises(LocalError, match="needs a certificate"):
        await pool.listen("TLS", "127.0.0.1", 0)
    with pytest.raises(LocalError, match="needs a certificate"):
        await pool.listen("WSS", "127.0.0.1", 0, contexts=authority.contexts())
    with pytest.raises(LocalError, match="no such transport"):
        await pool.listen("SCTP", "127.0.0.1", 0)


async def test_outbound_connections_are_bounded(make: MakeSide) -> None:
    there, _ = make()
    remote = (await there.listen("TCP", "127.0.0.1", 0)).local
    pool, above = make(limits=dataclasses.replace(LIMITS, connections=1))
    pool.flow_to("TCP", remote)
    second = pool.flow_to("TCP", Endpoint("127.0.0.1", 9))
    assert second.closed
    assert "more than 1 connections" in (await above.end())[1]


async def test_the_source_address_can_be_chosen(make: MakeSide) -> None:
    there, above_there = make()
    remote = (await there.listen("TCP", "127.0.0.1", 0)).local
    pool, _ = make()
    pool.flow_to("TCP", remote, None, Endpoint("127.0.0.9", 5060)).send(options())
    assert (await above_there.message())[1].remote.host == "127.0.0.9"


async def test_close_sends_what_waits_and_ends_everything(make: MakeSide, authority: Authority) -> None:
    there, above_there = make(authority.contexts("example.org"))
    here, above = make(authority.contexts())
    flows = []
    for transport in ("TCP", "TLS", "WS", "WSS"):
        remote = (await there.listen(transport, "127.0.0.1", 0)).local
        flows.append(here.flow_to(transport, remote, "example.org"))
    await above.until(lambda: len(above.opens) == 4)
    for flow in flows:
        flow.send(options(body=b"x" * 50_000))
    await here.close()
    assert {reason for _, reason in above.ends} == {"the node stops"}
    assert len(above.ends) == 4
    assert len((await above_there.message(4))[0]) > 50_000
    assert not list(here.connections())


async def test_close_while_connecting(make: MakeSide) -> None:
    there, _ = make()
    remote = (await there.listen("TCP", "127.0.0.1", 0)).local
    here, above = make()
    flow = here.flow_to("TCP", remote)
    flow.send(options())
    given_up = here.flow_to("TCP", Endpoint("127.0.0.1", remote.port), "x", Endpoint("127.0.0.1", 0))
    given_up.close("changed my mind")
    await here.close()
    assert {ended for ended, _ in above.ends} == {flow, given_up}


async def test_a_peer_that_does_not_read_does_not_hold_up_the_end(make: MakeSide) -> None:
    there, _ = make()
    remote = (await there.listen("TCP", "127.0.0.1", 0)).local
    _, writer = await asyncio.open_connection(*remote)
    writer.transport.pause_reading()
    writer.write(options())
    await asyncio.sleep(0.05)
    for flow in there.connections():
        for _ in range(1900):
            flow.send(options(body=b"x" * 1000))
    start = asyncio.get_running_loop().time()
    await there.close()
    assert asyncio.get_running_loop().time() - start < 2
    writer.close()


@pytest.fixture
def _collect_again() -> Iterator[None]:
    yield
    gc.enable()


@pytest.mark.usefixtures("_collect_again")
async def test_a_closed_connection_leaves_nothing_behind(make: MakeSide, authority: Authority) -> None:
    """Nor a reference cycle: with a connection for each call, the collector would have all the work."""
    there, above_there = make(authority.contexts("example.org"))
    remote = (await there.listen("TLS", "127.0.0.1", 0)).local
    here, above = make(authority.contexts())
    gc.collect()
    gc.disable()
    flow = here.flow_to("TLS", remote, "example.org")
    flow.send(options())
    await above_there.message()
    flow.close("enough")
    await above_there.end()
    await above.end()
    assert not there._by_remote
    assert not there._by_key
    assert not there._places
    assert len(there._streams) == 0
    assert there._streams.census.total == there._streams.census.handshakes == 0
    assert [kept for kept in gc.get_objects() if isinstance(kept, ByteStream)] == []
