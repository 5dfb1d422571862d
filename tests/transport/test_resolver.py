"""The resolver against a small real DNS server on loopback."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone
import pytest

from ringfence.engine.locate import Kind, Preferences, Query
from ringfence.message import sip_uri
from ringfence.message.fields.via import parse_via
from ringfence.transport import resolver as module
from ringfence.transport.resolver import Resolver

ZONE = """
$ORIGIN example.com.
@        60 SOA ns admin 1 3600 600 86400 30
@        60 NS ns
ns       60 A 127.0.0.1
@        60 NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp
@        60 NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp
_sips._tcp 60 SRV 10 1 5061 one
_sips._tcp 60 SRV 20 1 5061 two
_sip._udp 60 SRV 10 1 5060 one
one      60 A 192.0.2.1
one      60 AAAA 2001:db8::1
two      5 A 192.0.2.2
alias    60 CNAME two
big      60 A 192.0.2.3
"""


class Server(asyncio.DatagramProtocol):
    """Answers from the zone; counts questions; can be silent, refuse, or send clients to TCP."""

    def __init__(self) -> None:
        self.zone = dns.zone.from_text(ZONE, "example.com.", relativize=False)
        self.asked: Counter[str] = Counter()
        self.silent = False
        self.broken = False
        self.truncate = False
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport) or hasattr(transport, "sendto")
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        response = self.respond(data)
        if response is not None:
            if self.truncate:
                response.answer.clear()
                response.flags |= dns.flags.TC
            self.transport.sendto(response.to_wire(), addr)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        response = self.respond(await reader.readexactly(size))
        assert response is not None
        wire = response.to_wire()
        writer.write(len(wire).to_bytes(2, "big") + wire)
        writer.close()

    def respond(self, data: bytes) -> dns.message.Message | None:
        question = dns.message.from_wire(data)
        name, kind = question.question[0].name, question.question[0].rdtype
        self.asked[f"{dns.rdatatype.to_text(kind)} {name.to_text(omit_final_dot=True)}"] += 1
        if self.silent:
            return None
        response = dns.message.make_response(question)
        if self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        self.fill(response, name, kind)
        return response

    def fill(self, response: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> None:
        node = self.zone.get_node(name) if name.is_subdomain(self.zone.origin) else None  # type: ignore[arg-type]
        alias = self.zone.get_rdataset(name, "CNAME") if node else None
        if alias is not None:
            response.answer.append(dns.rrset.from_rdata_list(name, alias.ttl, list(alias)))
            self.fill(response, alias[0].target, kind)
            return
        found = self.zone.get_rdataset(name, kind) if node else None
        if found is not None:
            response.answer.append(dns.rrset.from_rdata_list(name, found.ttl, list(found)))
            return
        soa = self.zone.get_rdataset(self.zone.origin, "SOA")  # type: ignore[arg-type]
        assert soa is not None
        response.authority.append(dns.rrset.from_rdata_list(self.zone.origin, soa.ttl, list(soa)))  # type: ignore[arg-type]
        if node is None:
            response.set_rcode(dns.rcode.NXDOMAIN)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def port_for_both() -> tuple[socket.socket, socket.socket]:
    """Sockets for UDP and TCP on one free port."""
    for _ in range(20):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        udp.bind(("127.0.0.1", 0))
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
        else:
            return udp, tcp
    raise OSError("no free port")


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, int]]:
    udp, tcp = port_for_both()
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(Server, sock=udp)
    listener = await asyncio.start_server(server.connected, sock=tcp)
    yield server, udp.getsockname()[1]
    transport.close()
    listener.close()
    await listener.wait_closed()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def resolver(server: tuple[Server, int], clock: Clock) -> AsyncIterator[Resolver]:
    made = Resolver(
        [("127.0.0.1", server[1])],
        hosts={"pbx.example.net": ["192.0.2.50", "2001:db8::50"]},
        hosts_file=None,
        timeout=0.3,
        rng=lambda: 0.0,
        clock=clock,
    )
    yield made
    await made.close()


async def located(resolver: Resolver, uri: str) -> list[str]:
    return [f"{place.transport} {place.endpoint}" for place in await resolver.locate(sip_uri(uri))]


@pytest.mark.rfc("3263", "4")
async def test_naptr_srv_and_addresses_of_both_families(resolver: Resolver) -> None:
    assert await located(resolver, "sip:example.com") == [
        "TLS [2001:db8::1]:5061",
        "TLS 192.0.2.1:5061",
        "TLS 192.0.2.2:5061",
        "UDP [2001:db8::1]:5060",
        "UDP 192.0.2.1:5060",
    ]


async def test_the_cache_answers_until_the_time_to_live_is_over(
    resolver: Resolver, server: tuple[Server, int], clock: Clock
) -> None:
    uri = sip_uri("sip:two.example.com:5060")
    assert resolver.known(uri) is None
    first = await resolver.locate(uri)
    assert resolver.known(uri) == first
    clock.now += 4.9
    assert await resolver.locate(uri) == first
    assert server[0].asked == {"A two.example.com": 1, "AAAA two.example.com": 1}
    clock.now += 0.2
    assert resolver.known(uri) is None
    assert await resolver.locate(uri) == first
    assert server[0].asked["A two.example.com"] == 2  # its time to live is 5 s
    assert server[0].asked["AAAA two.example.com"] == 1  # RFC 2308: 30 s, the minimum of the SOA
    clock.now += 30
    await resolver.locate(uri)
    assert server[0].asked["AAAA two.example.com"] == 2


@pytest.mark.rfc("2308", "5")
async def test_a_name_that_is_not_there_is_remembered_too(
    resolver: Resolver, server: tuple[Server, int], clock: Clock
) -> None:
    uri = sip_uri("sip:nobody.example.com:5060")
    for _ in range(3):
        assert await resolver.locate(uri) == []
    assert server[0].asked["A nobody.example.com"] == 1
    clock.now += 31
    await resolver.locate(uri)
    assert server[0].asked["A nobody.example.com"] == 2


async def test_aliases_are_followed_and_limit_the_time_to_live(resolver: Resolver, clock: Clock) -> None:
    assert await resolver.ask(Query(Kind.A, "alias.example.com")) == ("192.0.2.2",)
    clock.now += 6
    assert resolver.known(sip_uri("sip:alias.example.com:5060")) is None


async def test_many_callers_ask_once(resolver: Resolver, server: tuple[Server, int]) -> None:
    places = await asyncio.gather(*(located(resolver, "sip:one.example.com:5060") for _ in range(50)))
    assert places == [["UDP [2001:db8::1]:5060", "UDP 192.0.2.1:5060"]] * 50
    assert server[0].asked["A one.example.com"] == 1


async def test_one_caller_that_gives_up_does_not_hurt_another(
    resolver: Resolver, server: tuple[Server, int]
) -> None:
    first = asyncio.create_task(located(resolver, "sip:one.example.com:5060"))
    second = asyncio.create_task(located(resolver, "sip:one.example.com:5060"))
    await asyncio.sleep(0)
    first.cancel()
    assert len(await second) == 2


@pytest.mark.parametrize("how", ["silent", "broken"])
async def test_a_dns_that_fails_is_given_up_and_not_asked_again_at_once(
    resolver: Resolver, server: tuple[Server, int], clock: Clock, how: str
) -> None:
    setattr(server[0], how, True)
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert await resolver.ask(Query(Kind.A, "one.example.com")) is None
    assert loop.time() - start < 1.5
    asked = server[0].asked.total()
    assert await resolver.ask(Query(Kind.A, "one.example.com")) is None
    assert server[0].asked.total() == asked
    setattr(server[0], how, False)
    clock.now += 6
    assert await resolver.ask(Query(Kind.A, "one.example.com")) == ("192.0.2.1",)


async def test_a_truncated_answer_is_asked_for_over_tcp(
    resolver: Resolver, server: tuple[Server, int]
) -> None:
    server[0].truncate = True
    assert await resolver.ask(Query(Kind.A, "big.example.com")) == ("192.0.2.3",)
    assert server[0].asked["A big.example.com"] == 2


@pytest.mark.rfc("6761", "6.3")
@pytest.mark.parametrize("host", ["localhost", "ringfence.localhost", "a.b.localhost"])
async def test_localhost_is_here(resolver: Resolver, server: tuple[Server, int], host: str) -> None:
    assert await located(resolver, f"sips:{host}") == ["TLS [::1]:5061", "TLS 127.0.0.1:5061"]
    assert resolver.known(sip_uri(f"sip:{host}")) is not None
    assert server[0].asked.total() == 0


async def test_configured_names_are_not_asked_for(resolver: Resolver, server: tuple[Server, int]) -> None:
    assert await located(resolver, "sip:PBX.example.net;transport=tcp") == [
        "TCP [2001:db8::50]:5060",
        "TCP 192.0.2.50:5060",
    ]
    assert server[0].asked.total() == 0


async def test_the_hosts_file_has_addresses_only(server: tuple[Server, int], tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("# comment\n192.0.2.60 one.example.com box # here\n\nnonsense\n::2 six\n192.0.2.61\n")
    made = Resolver([("127.0.0.1", server[1])], hosts_file=file, timeout=0.3)
    assert await located(made, "sip:one.example.com:5060") == ["UDP 192.0.2.60:5060"]
    assert await located(made, "sip:box") == ["UDP 192.0.2.60:5060"]
    assert await located(made, "sip:six") == ["UDP [::2]:5060"]
    assert server[0].asked.total() == 0
    await located(made, "sip:one.example.com")
    assert server[0].asked["NAPTR one.example.com"] == 1
    assert Resolver([("127.0.0.1", 1)], hosts_file=tmp_path / "none")._file == {}


async def test_names_that_no_dns_can_have(resolver: Resolver, server: tuple[Server, int]) -> None:
    for name in ("x" * 64 + ".example.com", ".".join(["abc"] * 80)):
        assert await resolver.ask(Query(Kind.A, name)) == ()
    assert server[0].asked.total() == 0


async def test_the_cache_is_bounded(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE_SIZE", 10)
    for number in range(30):
        await resolver.ask(Query(Kind.A, f"n{number}.example.com"))
    assert len(resolver._cache) == 10
    resolver.forget()
    assert resolver._cache == {}


async def test_questions_at_one_time_are_bounded(
    resolver: Resolver, server: tuple[Server, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ASKING", 3)
    server[0].silent = True
    queries = [Query(Kind.A, f"n{number}.example.com") for number in range(10)]
    assert await asyncio.gather(*map(resolver.ask, queries)) == [None] * 10
    assert len(set(server[0].asked)) == 3


@pytest.mark.rfc("3263", "5")
async def test_responses(resolver: Resolver) -> None:
    via = parse_via("SIP/2.0/TLS example.com;branch=z9hG4bK1")
    places = await resolver.locate_response(via)
    assert [str(place.endpoint) for place in places] == [
        "[2001:db8::1]:5061",
        "192.0.2.1:5061",
        "192.0.2.2:5061",
    ]


async def test_families_can_be_chosen(server: tuple[Server, int]) -> None:
    made = Resolver(
        [("127.0.0.1", server[1])], hosts_file=None, preferences=Preferences(("UDP",), (Kind.A,)), timeout=0.3
    )
    assert await located(made, "sip:example.com") == ["UDP 192.0.2.1:5060"]
    assert "AAAA one.example.com" not in server[0].asked
