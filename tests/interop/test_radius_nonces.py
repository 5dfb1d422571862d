"""Nonces that a RADIUS server makes (RFC 5090 section 2.1.5): by a real FreeRADIUS, and by a server that does all of
section 2.2.

FreeRADIUS 3 has no module for it, but its language of policies is enough to make nonces and to know them again; its
digest module then judges the response. State, Digest-Opaque, Digest-Domain, stale and next nonces are not to be had
that way: those are shown with `radius_server`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.client.errors import RegistrationError
from ringfence.ledger.radius import RadiusServer
from ringfence.ledger.radius_digest import RadiusAuthority
from ringfence.security.credentials import Credentials
from ringfence.security.digest import Algorithm, Outcome, make_ha1, request_digest
from ringfence.store.authority import Demand, NoJudgement, Question, Wanted
from tests.interop.freeradius import FREERADIUS, SECRET, free_port, freeradius
from tests.interop.node import Node
from tests.interop.radius_server import OPAQUE, REALM, STATE, Server, radius_server
from tests.interop.test_radius_digest import DICTIONARY, MAPPING, agent

pytestmark = pytest.mark.interop("freeradius")

USERS = """
alice   Cleartext-Password := "secret-alice"

bob     Cleartext-Password := "secret-bob"
"""

NONCES = """
        if (!&RFC5090-Response) {
            update control {
                &Tmp-String-0 := "%l.%{randstr:hhhhhhhh}"
            }
            update reply {
                &RFC5090-Nonce := "%{control:Tmp-String-0}-%{md5:%{control:Tmp-String-0} nonce key}"
                &RFC5090-Realm := "example.org"
                &RFC5090-Qop := "auth"
                &RFC5090-Algorithm := "MD5"
                &Message-Authenticator := 0x00
            }
            update control {
                &Response-Packet-Type := Access-Challenge
            }
            handled
        }
        if (&RFC5090-Nonce !~ /^([0-9a-f.]+)-([0-9a-f]+)$/ || "%{md5:%{1} nonce key}" != "%{2}") {
            reject
        }
"""
"""What has FreeRADIUS 3 make nonces, and take no other; it is in docs/aaa.md."""

SECTIONS = """
modules {{
    files {{ usersfile = "{dir}/users" }}
    digest {{
    }}
    expr {{
    }}
    always handled {{ rcode = handled }}
    always reject {{ rcode = reject }}
    linelog {{ filename = "{dir}/asked"
        format = "%{{User-Name}} %{{RFC5090-Method}} %{{RFC5090-URI}} %{{RFC5090-Nonce}}" }}
}}
instantiate {{
    expr
}}
server default {{
    listen {{ type = auth
        ipaddr = 127.0.0.1
        port = {port} }}
    authorize {{
        linelog
{nonces}
        digest
{mapping}
        files
    }}
    authenticate {{
        Auth-Type Digest {{
            digest
        }}
    }}
    post-auth {{
        update reply {{
            &Message-Authenticator := 0x00
        }}
        Post-Auth-Type REJECT {{
            update reply {{
                &Message-Authenticator := 0x00
            }}
        }}
    }}
}}
"""

WANTED = Wanted("REGISTER", "sip:example.org", REALM, "sip:alice@example.org", "alice")


def credentials(demand: Demand, user: str = "alice", *, password: str = "", count: int = 1) -> Credentials:
    """The answer of a phone, whose password is ``secret-`` and its name."""
    qop = demand.qop[0] if demand.qop else "auth"
    nc = f"{count:08x}"
    given = Credentials(
        user, REALM, demand.nonce, "sip:example.org", "", demand.algorithm, "c0ffee", "ours", qop, nc
    )
    ha1 = make_ha1(user, REALM, password or f"secret-{user}", Algorithm(demand.algorithm))
    given.response = request_digest(given, ha1, "REGISTER", b"")
    return given


def question(demand: Demand, user: str = "alice", *, password: str = "", count: int = 1) -> Question:
    """What is asked about that answer."""
    given = credentials(demand, user, password=password, count=count)
    return Question(given, "REGISTER", f"sip:{user}@example.org", "sip:example.org", True, "", demand.ticket)


def authority(*ports: int) -> RadiusAuthority:
    return RadiusAuthority(
        [RadiusServer("127.0.0.1", port, SECRET.encode(), 0.4, 1) for port in ports], "edge1"
    )


def node_settings(directory: Path, port: int) -> str:
    """The part of ringfence.toml that has a RADIUS server make the nonces."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "secret").write_text(f"{SECRET}\n")
    (directory / "secret").chmod(0o600)
    return f"""
[accounts]
source = "radius"
nonces = "server"
cache_seconds = 2

[[radius]]
authentication = "127.0.0.1:{port}"
secret = "{directory / "secret"}"
timeout_seconds = 1
tries = 1
"""


# -- FreeRADIUS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of a FreeRADIUS that makes nonces, and its directory."""
    if FREERADIUS is None:
        pytest.skip("FreeRADIUS is not installed")
    directory, port = tmp_path_factory.mktemp("radius-nonces"), free_port()
    (directory / "users").write_text(USERS)
    (directory / "dictionary").write_text(DICTIONARY)
    sections = SECTIONS.format(dir=directory, port=port, mapping=MAPPING, nonces=NONCES)
    with freeradius(directory, sections):
        yield port, directory


@pytest.mark.rfc("5090", "2.1.5")
async def test_a_real_server_makes_a_nonce_and_knows_it_again(real: tuple[int, Path]) -> None:
    radius = authority(real[0])
    try:
        demand = await radius.demand(WANTED)
        assert (demand.realm, demand.algorithm, demand.qop) == (REALM, "MD5", ("auth",))
        right = await radius.judge(question(demand))
        wrong = await radius.judge(question(demand, password="guess"))
        made_up = await radius.judge(question(replace(demand, nonce="1-2")))
    finally:
        await radius.close()
    assert (right.outcome, wrong.outcome, made_up.outcome) == (Outcome.OK, Outcome.WRONG, Outcome.WRONG)


async def test_phones_register_and_call_over_nonces_of_a_real_server(
    real: tuple[int, Path], tmp_path: Path
) -> None:
    node = Node.create(tmp_path / "node", settings=node_settings(tmp_path, real[0]))
    node.serve()
    try:
        async with (
            agent(node, "alice", "secret-alice", "udp") as alice,
            agent(node, "bob", "secret-bob") as bob,
        ):
            call = await alice.call("sip:bob@example.org")
            ringing = await anext(bob.incoming())
            assert ringing.peer.identity == "sip:alice@example.org"
            await ringing.answer()
            await call.answered
            await call.hang_up()
        with pytest.raises(RegistrationError) as refused:
            async with agent(node, "bob", "guess", "udp"):
                pass
        assert refused.value.status == 401
    finally:
        node.end()
    asked = (real[1] / "asked").read_text().splitlines()
    assert "alice INVITE sip:bob@example.org " in asked, "a nonce was asked for, with method and URI alone"


# -- all of section 2.2 ----------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    with radius_server() as server:
        yield server


@contextmanager
def served(tmp_path: Path, server: Server) -> Iterator[Node]:
    node = Node.create(tmp_path / "node", settings=node_settings(tmp_path, server.port))
    node.serve()
    try:
        yield node
    finally:
        node.end()


@pytest.mark.rfc("5090", "2.1.5")
async def test_what_comes_with_a_nonce_goes_back_with_the_credentials(server: Server) -> None:
    radius = authority(server.port)
    try:
        demand = await radius.demand(WANTED)
        assert (demand.algorithm, demand.qop) == ("SHA-256", ("auth", "auth-int"))
        assert demand.domain == "sip:example.org sips:example.org"
        first = await radius.judge(question(demand))
        second = await radius.judge(question(demand, count=2))
    finally:
        await radius.close()
    assert first.outcome is second.outcome is Outcome.OK, server.faults
    asked, one, two = server.requests
    assert asked.keys() == {"User-Name", "NAS-Identifier", "Digest-Method", "Digest-URI", "Digest-Realm",
                            "SIP-AOR", "Message-Authenticator"}  # fmt: skip
    assert one["Digest-Opaque"] == two["Digest-Opaque"] == [OPAQUE]
    assert one["State"] == [STATE]
    assert "State" not in two, "it belongs to the answer to that challenge"


@pytest.mark.rfc("5090", "2.1.4")
async def test_an_old_nonce_is_told_with_a_new_one(server: Server) -> None:
    radius = authority(server.port)
    try:
        demand = await radius.demand(WANTED)
        assert (await radius.judge(question(demand))).outcome is Outcome.OK
        server.age += 100
        stale = await radius.judge(question(demand, count=2))
        assert stale.outcome is Outcome.STALE
        assert stale.demand is not None
        assert (await radius.judge(question(stale.demand))).outcome is Outcome.OK
    finally:
        await radius.close()
    assert not server.faults


@pytest.mark.rfc("5090", "3.5")
async def test_the_next_nonce_of_the_server_is_used(server: Server, tmp_path: Path) -> None:
    server.names_next, server.algorithm = True, "MD5"
    with served(tmp_path, server) as node:
        async with agent(node, "alice", "secret-alice", "udp"):
            before = len(server.requests)  # it takes its registration back at the end
    (again,) = server.requests[before:]
    assert again["Digest-Nonce"] == [server.named[0]]
    assert again["Digest-Nonce-Count"] == ["00000001"]
    assert not server.faults


@pytest.mark.rfc("5090", "2.1.3")
async def test_a_proof_that_can_t_be_right_is_a_refusal(server: Server) -> None:
    radius = authority(server.port)
    server.proves = True
    try:
        demand = await radius.demand(WANTED)
        right = await radius.judge(question(demand))
        covering = await radius.judge(question(replace(demand, qop=("auth-int",)), count=2))
    finally:
        await radius.close()
    assert right.outcome is Outcome.OK
    assert right.rspauth
    assert covering.outcome is Outcome.WRONG


async def test_who_made_the_nonce_is_asked_first(server: Server) -> None:
    with radius_server() as other:
        radius = authority(other.port, server.port)
        try:
            other.silent = True
            demand = await radius.demand(WANTED)  # the first does not answer
            other.silent = False
            assert (await radius.judge(question(demand))).outcome is Outcome.OK
            radius = authority(other.port, server.port)  # as after a while: both are thought to be well
            assert (await radius.judge(question(demand, count=2))).outcome is Outcome.OK
        finally:
            await radius.close()
    assert len(server.requests) == 3


@pytest.mark.parametrize("flaw", ["silent", "unsigned", "refuses", "controls"])
async def test_a_server_that_gives_no_nonce(server: Server, flaw: str) -> None:
    setattr(server, flaw, True)
    radius = authority(server.port)
    try:
        with pytest.raises(NoJudgement) as gap:
            await radius.demand(WANTED)
    finally:
        await radius.close()
    assert gap.value.status == (504 if flaw in {"silent", "unsigned"} else 503)


async def test_a_flood_without_credentials_is_answered_and_kept_nowhere(
    server: Server, tmp_path: Path
) -> None:
    """More at once than may wait for the server: the rest is told to come again, and nobody is let in."""
    server.silent = True
    radius = authority(server.port)
    asked = [asyncio.create_task(radius.demand(WANTED)) for _ in range(300)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    await radius.close()
    assert [each for each in found if not isinstance(each, NoJudgement)] == []
    assert sum(isinstance(each, NoJudgement) and each.status == 503 for each in found) >= 100
