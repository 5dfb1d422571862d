"""Accounts in a real FreeRADIUS (rlm_digest): phones register and are refused as it says, and when it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ringfence.client import UserAgent
from ringfence.client.errors import CallError, RegistrationError
from ringfence.ledger.radius import RadiusServer
from ringfence.ledger.radius_digest import RadiusAuthority
from ringfence.security.credentials import Credentials
from ringfence.security.digest import Algorithm, Outcome, make_ha1, request_digest
from ringfence.store.authority import Judgement, NoJudgement, Question
from tests.interop.freeradius import FREERADIUS, SECRET, free_port, freeradius
from tests.interop.node import Node
from tests.interop.processes import HOST

pytestmark = [
    pytest.mark.interop("freeradius"),
    pytest.mark.skipif(FREERADIUS is None, reason="FreeRADIUS is not installed"),
]

USERS = """
alice   Cleartext-Password := "secret-alice"
        Filter-Id = "national",
        Port-Limit = 2,
        Session-Timeout = 90

bob     Cleartext-Password := "secret-bob"

eve     Cleartext-Password := "secret-eve"
        Filter-Id = "no-such-profile"
"""

DICTIONARY = """
ATTRIBUTE RFC5090-Response 103 string
ATTRIBUTE RFC5090-Realm 104 string
ATTRIBUTE RFC5090-Nonce 105 string
ATTRIBUTE RFC5090-Method 108 string
ATTRIBUTE RFC5090-URI 109 string
ATTRIBUTE RFC5090-Qop 110 string
ATTRIBUTE RFC5090-Algorithm 111 string
ATTRIBUTE RFC5090-Body-Hash 112 string
ATTRIBUTE RFC5090-CNonce 113 string
ATTRIBUTE RFC5090-Nonce-Count 114 string
ATTRIBUTE RFC5090-Username 115 string
ATTRIBUTE RFC5090-SIP-AOR 122 string
"""

MAPPING = """
        if (&RFC5090-Response) {
            update request {
                &Digest-Attributes := 0x00
                &Digest-Response := &RFC5090-Response
                &Digest-Realm := &RFC5090-Realm
                &Digest-Nonce := &RFC5090-Nonce
                &Digest-Method := &RFC5090-Method
                &Digest-URI := &RFC5090-URI
                &Digest-QOP := &RFC5090-Qop
                &Digest-Algorithm := &RFC5090-Algorithm
                &Digest-Body-Digest := &RFC5090-Body-Hash
                &Digest-CNonce := &RFC5090-CNonce
                &Digest-Nonce-Count := &RFC5090-Nonce-Count
                &Digest-User-Name := &RFC5090-Username
            }
            update control {
                &Auth-Type := Digest
            }
        }
"""
"""What has the digest module of FreeRADIUS 3 read the attributes of RFC 5090, whose numbers it does not know. Both are
in docs/aaa.md."""

SECTIONS = """
modules {{
    files {{ usersfile = "{dir}/users" }}
    digest {{
    }}
    linelog {{ filename = "{dir}/asked"
        format = "%{{User-Name}} %{{RFC5090-SIP-AOR}} %{{Digest-Method}} %{{NAS-Identifier}}" }}
}}
server default {{
    listen {{ type = auth
        ipaddr = 127.0.0.1
        port = {port} }}
    authorize {{
        digest
{mapping}
        files
        linelog
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

REALM = "example.org"


def serve(directory: Path, port: int) -> AbstractContextManager[None]:
    directory.mkdir(exist_ok=True)
    (directory / "users").write_text(USERS)
    (directory / "dictionary").write_text(DICTIONARY)
    return freeradius(directory, SECTIONS.format(dir=directory, port=port, mapping=MAPPING))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of a FreeRADIUS, and its directory."""
    directory, port = tmp_path_factory.mktemp("radius"), free_port()
    with serve(directory, port):
        yield port, directory


def question(user: str = "alice", password: str = "secret-alice", *, qop: str = "auth") -> Question:
    given = Credentials(user, REALM, "1f9c", "sip:example.org", "", "MD5", "c0ffee", None, qop, "00000001")
    ha1 = make_ha1(user, REALM, password, Algorithm.MD5)
    body_hash = "d41d8cd98f00b204e9800998ecf8427e" if qop == "auth-int" else ""
    given.response = request_digest(given, ha1, "REGISTER", b"")
    return Question(given, "REGISTER", f"sip:{user}@example.org", "sip:example.org", True, body_hash)


def authority(
    *ports: int, secret: str = SECRET, timeout: float = 0.4, sterman: bool = False
) -> RadiusAuthority:
    servers = [RadiusServer("127.0.0.1", port, secret.encode(), timeout, 1, sterman) for port in ports]
    return RadiusAuthority(servers, "edge1")


async def judged(radius: RadiusAuthority, *questions: Question) -> list[Judgement]:
    try:
        return [await radius.judge(each) for each in questions]
    finally:
        await radius.close()


@pytest.mark.rfc("5090", "2.1.2")
@pytest.mark.parametrize("sterman", [False, True], ids=["rfc5090", "sterman"])
async def test_a_right_response_is_accepted_with_what_the_user_may_do(
    server: tuple[int, Path], sterman: bool
) -> None:
    right, also, wrong = await judged(
        authority(server[0], sterman=sterman),
        question(),
        question(qop="auth-int"),
        question(password="guess"),
    )
    assert wrong.outcome is Outcome.WRONG
    assert right.outcome is Outcome.OK
    assert (right.grant.profile, right.grant.max_calls, right.grant.max_seconds) == ("national", 2, 90)
    assert also.outcome is Outcome.OK, "RFC 5090 section 3.10: the hash of the body stands for it"
    asked = (server[1] / "asked").read_text().splitlines()
    assert asked[0] == "alice sip:alice@example.org REGISTER edge1"


async def test_a_wrong_password_and_an_unknown_user_are_one_answer(server: tuple[int, Path]) -> None:
    wrong, unknown, odd = await judged(
        authority(server[0]), question(password="guess"), question("nobody"), question("x" * 300)
    )
    assert wrong == unknown == odd == Judgement(Outcome.WRONG)


async def test_many_are_judged_at_once(server: tuple[int, Path]) -> None:
    radius = authority(server[0], timeout=5)
    asked = [question(password="secret-alice" if number % 2 else "guess") for number in range(100)]
    found = await asyncio.gather(*map(radius.judge, asked))
    await radius.close()
    assert [each.outcome for each in found] == [Outcome.WRONG, Outcome.OK] * 50


async def test_the_next_server_is_asked_and_then_first(server: tuple[int, Path]) -> None:
    radius = authority(free_port(), server[0])
    began = time.monotonic()
    first = await radius.judge(question())
    took = time.monotonic() - began
    began = time.monotonic()
    second = await radius.judge(question())
    await radius.close()
    assert first.outcome is second.outcome is Outcome.OK
    assert took >= 0.4 > time.monotonic() - began


@pytest.mark.rfc("3261", "21.5.5")
async def test_nobody_answers(server: tuple[int, Path]) -> None:
    for radius in (authority(free_port()), authority(server[0], secret="another")):
        with pytest.raises(NoJudgement) as gap:
            await radius.judge(question())
        assert gap.value.status == 504
        probe = asyncio.create_task(radius.judge(question()))
        await asyncio.sleep(0)
        with pytest.raises(NoJudgement) as gap:
            await radius.judge(question())
        assert gap.value.status == 503, "while one request finds out, others do not wait"
        with pytest.raises(NoJudgement):
            await probe
        await radius.close()


# -- through a served node -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def radius_node(
    server: tuple[int, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Node, int]]:
    """A node that asks a FreeRADIUS, and the port of one that is not there."""
    directory = tmp_path_factory.mktemp("radius-node")
    (directory / "secret").write_text(f"{SECRET}\n")
    (directory / "secret").chmod(0o600)
    settings = f"""
[accounts]
source = "radius"
cache_seconds = 2

[[profile]]
name = "national"
allow = ["sip:", "tel:+358"]

[[radius]]
authentication = "127.0.0.1:{server[0]}"
secret = "{directory / "secret"}"
timeout_seconds = 1
tries = 1
"""
    node = Node.create(directory / "node", settings=settings)
    node.serve()
    yield node, server[0]
    node.end()


def agent(
    node: Node, user: str, password: str, transport: str = "tls", *, register: bool = True
) -> UserAgent:
    return UserAgent(
        f"sip:{user}@example.org",
        password=password,
        algorithms=(Algorithm.MD5,),
        proxy=f"sip:{HOST}:{node.listen[transport]};transport={transport}",
        trust=node.authority,
        register=register,
    )


@pytest.fixture
async def bob(radius_node: tuple[Node, int]) -> AsyncIterator[UserAgent]:
    async with agent(radius_node[0], "bob", "secret-bob") as bob:
        yield bob


async def test_users_of_radius_register_and_call(radius_node: tuple[Node, int], bob: UserAgent) -> None:
    async with agent(radius_node[0], "alice", "secret-alice", "udp") as alice:
        call = await alice.call("sip:bob@example.org")
        ringing = await anext(bob.incoming())
        assert ringing.peer.identity == "sip:alice@example.org"
        await ringing.answer()
        await call.answered
        await call.hang_up()
        with pytest.raises(CallError) as refused:
            await (await alice.call("sip:+15551234@example.com;user=phone")).answered
        assert refused.value.status == 403, "the profile has no such number"


async def test_a_flow_speaks_for_its_user_as_long_as_the_word_holds(
    radius_node: tuple[Node, int], server: tuple[int, Path]
) -> None:
    log = server[1] / "asked"
    async with agent(radius_node[0], "bob", "secret-bob") as bob:
        before = log.read_text().count("bob ")
        for _ in range(3):
            await bob.send_text("sip:bob@example.org", "hello")
        assert log.read_text().count("bob ") == before, "it is bound to the flow"
        await asyncio.sleep(2.1)
        await bob.send_text("sip:bob@example.org", "hello")
        assert log.read_text().count("bob ") == before + 1


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [("bob", "guess", 401), ("nobody", "guess", 401), ("eve", "secret-eve", 403)],
)
async def test_who_is_refused(radius_node: tuple[Node, int], user: str, password: str, status: int) -> None:
    with pytest.raises(RegistrationError) as refused:
        async with agent(radius_node[0], user, password, "udp"):
            pass
    assert refused.value.status == status
