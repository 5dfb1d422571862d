"""An audit as a whole: in order, in time, at its pace, and honest when the server turns it away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from statistics import median
from typing import cast

import pytest

from ringfence.audit.finding import Probe, Requirement, Result
from ringfence.audit.line import Pace, Place
from ringfence.audit.run import Unreachable, audit
from ringfence.audit.site import OTHER_SOURCE, Site, internal_addresses
from ringfence.audit.statistics import differ
from ringfence.audit.target import Target
from ringfence.engine.places import Endpoint
from ringfence.transport.flow import Flow
from tests.audit.probing import PROBES, probe, site_of
from tests.audit.server import Server


class Banning(Server):
    """Answers nobody but the other source after the first wrong passwords."""

    banned = False

    def received(self, data: bytes, flow: Flow) -> None:
        self.banned = self.banned or sum(self.wrong.values()) > 2
        if not self.banned or flow.remote.host == OTHER_SOURCE:
            super().received(data, flow)


@pytest.fixture
async def banning() -> AsyncIterator[Server]:
    server = Banning()
    await server.open("UDP")
    yield server
    await server.close()


def requirement(*names: str) -> Requirement:
    return Requirement(1, "Some", "Some.", tuple(PROBES[name][1] for name in names))


async def test_nobody_there_is_told_with_the_place() -> None:
    server = Server()
    await server.open("UDP")
    await server.close()
    with pytest.raises(Unreachable, match=r"udp 127\.0\.0\.1"):
        await audit(site_of(server), [])


class Odd(asyncio.DatagramProtocol):
    """Says the same to everybody."""

    def __init__(self, says: bytes) -> None:
        self.says = says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, _data: bytes, addr: tuple[str, int]) -> None:
        if self.says:
            self.transport.sendto(self.says, addr)


@pytest.mark.parametrize(
    ("says", "told"),
    [(b"What? " * 20, "120 octets came that are no SIP response"), (b"", "no answer in 0.4 s")],
)
async def test_who_answers_nonsense_or_nothing_is_told_apart(says: bytes, told: str) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Odd(says), local_addr=("127.0.0.1", 0))
    where = Endpoint("127.0.0.1", transport.get_extra_info("sockname")[1])
    target = Target("odd", "example.org", (Place("UDP", where, "example.org"),))
    with pytest.raises(Unreachable, match=told):
        await audit(Site(target, 0.4, Pace(400)), [])
    transport.close()


@pytest.mark.parametrize(
    ("transport", "told"), [("TCP", "no answer in 0.4 s"), ("TLS", "not TLS"), ("WS", "WebSocket")]
)
async def test_another_program_on_the_port_is_told(transport: str, told: str) -> None:
    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"" if transport == "TCP" else b"SSH-2.0-Other\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with await asyncio.start_server(banner, "127.0.0.1", 0) as server:
        where = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
        target = Target("odd", "example.org", (Place(transport, where, "example.org"),))
        with pytest.raises(Unreachable, match=told):
            await audit(Site(target, 0.4, Pace(400)), [])


async def test_a_ban_is_a_good_sign_and_ends_the_rest(banning: Server) -> None:
    asked = requirement("users-timed", "guesses", "serves-on", "slow-streams", "calls-proved")
    report = await audit(site_of(banning), [asked])
    results = {each.probe.name: each.verdict for each in report.findings}
    assert results["calls-proved"].result is Result.PASS, "quiet probes come first"
    assert results["users-timed"].result is Result.UNSEEN
    assert results["guesses"].result is Result.PASS, results["guesses"]
    assert "another (a ban)" in results["guesses"].detail
    assert results["serves-on"].result is Result.PASS, results["serves-on"]
    assert any("refuses this address" in remark for remark in report.remarks)


async def test_when_the_time_is_over_the_rest_is_not_observable(banning: Server) -> None:
    report = await audit(site_of(banning), [requirement("calls-proved")], seconds=0.0)
    assert report.findings[0].verdict.result is Result.UNSEEN
    assert "time" in report.findings[0].verdict.detail


async def test_what_it_does_not_know_it_does_not_say(banning: Server) -> None:
    report = await audit(site_of(banning, logins=()), [requirement("nonce-replay", "topology")])
    assert [each.verdict.result for each in report.findings] == [Result.UNSEEN] * 2
    assert report.score is None
    assert "--user" in report.findings[0].verdict.detail


async def test_progress_is_told_before_each_probe(banning: Server) -> None:
    seen: list[tuple[int, int, str]] = []

    def progress(number: int, total: int, requirement: Requirement, probe: Probe) -> None:
        seen.append((number, total, probe.name))

    await audit(site_of(banning), [requirement("calls-proved", "register-open")], progress=progress)
    assert seen == [(1, 2, "calls-proved"), (2, 2, "register-open")]


async def test_a_place_that_does_not_answer_is_left_out(banning: Server) -> None:
    site = site_of(banning)
    dead = Place("TCP", Endpoint("127.0.0.1", 9), "x")
    site.target = replace(site.target, places=(dead, *site.target.places))
    report = await audit(site, [requirement("calls-proved")])
    assert report.findings[0].verdict.result is Result.PASS
    assert any("tcp 127.0.0.1:9" in remark for remark in report.remarks)


async def test_the_pace_is_kept() -> None:
    pace = Pace(100)
    start = time.perf_counter()
    for _ in range(11):
        await pace.wait()
    assert time.perf_counter() - start >= 0.09


async def test_evidence_is_what_crossed_the_wire(banning: Server) -> None:
    finding = await probe("calls-proved", site_of(banning))
    assert [each.outward for each in finding.evidence] == [True, False, True]
    assert finding.evidence[0].text.startswith("INVITE sip:audit-")
    assert finding.evidence[1].text.startswith("SIP/2.0 407")


def test_times_differ_when_anybody_could_tell() -> None:
    fast = [0.0010 + place * 1e-5 for place in range(20)]
    slow = [0.0030 + place * 1e-5 for place in range(20)]
    assert differ(fast, slow)
    assert differ(slow, fast)
    assert not differ(fast, [each * 1.02 for each in fast])
    mixed = fast[:10] + slow[:10]
    assert not differ(mixed, mixed[::-1])
    assert median(fast) < median(slow)


def test_inner_addresses_are_found() -> None:
    text = "SIP/2.0/UDP 10.1.2.3;received=192.168.0.7, 172.16.0.1 172.32.0.1 8.8.8.8 127.0.0.1"
    assert internal_addresses([text], ["127.0.0.1"]) == ["10.1.2.3", "192.168.0.7", "172.16.0.1"]
