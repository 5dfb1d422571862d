"""Diameter through a real freeDiameter: what we send is what its dictionaries read, and it is routed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from diameter.message import Message, constants  # type: ignore[import-untyped]

from ringfence.client import UserAgent
from ringfence.client.errors import CallError, RegistrationError
from ringfence.ledger.credit import CreditRefused, CreditSession, NoCreditControl
from ringfence.ledger.diameter import DiameterClient, DiameterPeer, DiameterSelf, NoDiameter, value
from ringfence.ledger.diameter_credit import DiameterCredit
from ringfence.ledger.diameter_digest import DiameterAuthority
from ringfence.security.credentials import Credentials
from ringfence.security.digest import Algorithm, Outcome, make_ha1, request_digest
from ringfence.store.authority import Demand, NoJudgement, Question, Wanted
from ringfence.store.balances import MemoryBalances
from tests.interop.freediameter import AGENT, FREEDIAMETER, Agent, Purse, answer, serving
from tests.interop.node import Node, password_of
from tests.interop.processes import HOST, eventually, free_port

pytestmark = [
    pytest.mark.interop("freeDiameterd"),
    pytest.mark.skipif(FREEDIAMETER is None, reason="freeDiameter is not installed"),
]

ITEM = (constants.AVP_SIP_AUTH_DATA_ITEM, constants.AVP_SIP_AUTHORIZATION)


class Passwords:
    """A server of the SIP application that knows alice."""

    def __init__(self) -> None:
        self.delegate = False
        self.nonces: dict[str, str] = {}
        """Those that it has made, with the session of each."""

    def challenge(self, request: Message, *, stale: bool = False) -> Message:
        """A nonce of its own (section 8.8)."""
        nonce = f"n{len(self.nonces)}"
        self.nonces[nonce] = value(request, constants.AVP_SESSION_ID)
        challenge = [
            (constants.AVP_DIGEST_REALM, "example.org"),
            (constants.AVP_DIGEST_NONCE, nonce),
            (constants.AVP_DIGEST_ALGORITHM, "SHA-256"),
            (constants.AVP_DIGEST_QOP, "auth,auth-int"),
            (constants.AVP_DIGEST_OPAQUE, "the server's"),
            (constants.AVP_DIGEST_STALE, "true" if stale else "false"),
        ]
        item = [(constants.AVP_SIP_AUTHENTICATE, challenge)]
        return answer(request, 1001, [(constants.AVP_SIP_AUTH_DATA_ITEM, item)])

    def judge(self, _app: Any, request: Message) -> Message:
        """Answer a Multimedia-Auth-Request."""
        nonce = value(request, *ITEM, constants.AVP_DIGEST_NONCE)
        if nonce is None:
            return self.challenge(request)
        if nonce in self.nonces:
            assert value(request, *ITEM, constants.AVP_DIGEST_OPAQUE) == "the server's"
            first = value(request, *ITEM, constants.AVP_DIGEST_NONCE_COUNT) == "00000001"
            assert (self.nonces[nonce] == value(request, constants.AVP_SESSION_ID)) is first
            if nonce == "n0" and not first:
                return self.challenge(request, stale=True)
        given = {name: value(request, *ITEM, code) for name, code in DIGEST.items()}
        user = value(request, constants.AVP_USER_NAME)
        if user != "alice":
            return answer(request, 5032, [(constants.AVP_AUTH_APPLICATION_ID, 6)])
        ha1 = make_ha1(user, given["realm"], password_of(user), Algorithm(given["algorithm"]))
        if self.delegate:
            challenge = [
                (constants.AVP_DIGEST_REALM, given["realm"]),
                (constants.AVP_DIGEST_NONCE, given["nonce"]),
                (constants.AVP_DIGEST_HA1, ha1),
            ]
            item = [(constants.AVP_SIP_AUTHENTICATE, challenge)]
            return answer(request, 1001, [(constants.AVP_SIP_AUTH_DATA_ITEM, item)])
        method = given.pop("method")
        expected = request_digest(Credentials(**given), ha1, method)
        right = expected == given["response"]
        return answer(request, 2001 if right else 4001, [(constants.AVP_AUTH_APPLICATION_ID, 6)])


DIGEST = {
    "username": constants.AVP_DIGEST_USERNAME,
    "realm": constants.AVP_DIGEST_REALM,
    "nonce": constants.AVP_DIGEST_NONCE,
    "uri": constants.AVP_DIGEST_URI,
    "response": constants.AVP_DIGEST_RESPONSE,
    "algorithm": constants.AVP_DIGEST_ALGORITHM,
    "cnonce": constants.AVP_DIGEST_CNONCE,
    "qop": constants.AVP_DIGEST_QOP,
    "nc": constants.AVP_DIGEST_NONCE_COUNT,
    "method": constants.AVP_DIGEST_METHOD,
}


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """A domain, for its certificates."""
    return Node.create(tmp_path_factory.mktemp("diameter") / "node", old_phones=False)


@pytest.fixture(scope="module")
def agent(domain: Node) -> Iterator[Agent]:
    domain.command("cert", "issue", AGENT, "--out", domain.directory)
    agent = Agent(
        domain.directory / "agent",
        free_port(),
        free_port(),
        certificate=domain.directory / f"{AGENT}.pem",
        key=domain.directory / f"{AGENT}.key",
        ca=domain.authority,
    )
    yield agent
    agent.end()


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords()


@pytest.fixture(scope="module")
def server(agent: Agent, passwords: Passwords) -> Iterator[Purse]:
    """The server behind the agent."""
    purse = Purse()
    with serving(agent, {4: purse.credit, 6: passwords.judge}):
        yield purse


@pytest.fixture
def purse(server: Purse) -> Purse:
    server.grants, server.heard, server.silent = [{"seconds": 60}], [], False
    return server


def client(
    agent: Agent, domain: Node, *, tls: bool, name: str = "edge1", dead: bool = False
) -> DiameterClient:
    context = ssl.create_default_context(cafile=str(domain.authority)) if tls else None
    if context is not None:
        context.load_cert_chain(domain.certificate, domain.directory / "tls" / "server.key")
    peers = [DiameterPeer(HOST, agent.secure if tls else agent.port, AGENT, context)]
    if dead:
        peers.insert(0, DiameterPeer(HOST, free_port(), "gone.example.org", None))
    us = DiameterSelf(f"{name}.example.org", "example.org", (4, 6), timeout=4.0, watchdog=6.0)
    return DiameterClient(us, peers, 7)


async def connected(diameter: DiameterClient) -> DiameterClient:
    await diameter.open()
    assert diameter.connected
    return diameter


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
async def diameter(
    request: pytest.FixtureRequest, agent: Agent, domain: Node
) -> AsyncIterator[DiameterClient]:
    tls = bool(request.param)
    opened = await connected(client(agent, domain, tls=tls, name="tls1" if tls else "tcp1"))
    yield opened
    await opened.close()


def credit_of(diameter: DiameterClient) -> tuple[DiameterCredit, MemoryBalances]:
    balances = MemoryBalances()
    return DiameterCredit(diameter, balances, "node1", "sip@example.org"), balances


@pytest.mark.rfc("8506", "5.1")
@pytest.mark.rfc("6733", "5.3")
async def test_a_call_is_granted_and_settled(diameter: DiameterClient, agent: Agent, purse: Purse) -> None:
    credit, balances = credit_of(diameter)
    session = CreditSession("c1", "sip:alice@example.org", "tel:+15551234")
    purse.grants = [{"seconds": 60, "validity": 20}, {"seconds": 30, "final": True}]
    assert await credit.open(session) == (60.0, False, 20.0)
    assert await credit.more(session, 20.4) == (30.0, True, float("inf"))
    assert [each.session for each in balances.reservations.values()] == [session.id]
    session.used = 47.0
    await credit.close(session)
    assert not balances.reservations
    assert purse.heard == [(session.id, 1, 0, 0), (session.id, 2, 1, 20), (session.id, 3, 2, 27)]
    initial = next(
        each for each in agent.decoded("Credit-Control-Request") if f'Session-Id="{session.id}"' in each
    )
    for line in (
        'Service-Context-Id="sip@example.org"',
        "CC-Request-Type='INITIAL_REQUEST' (1 (0x1))",
        "Subscription-Id-Type='END_USER_SIP_URI' (2 (0x2))",
        'Subscription-Id-Data="sip:alice@example.org"',
        "CC-Time=60 (0x3c)",
    ):
        assert line in initial, initial


@pytest.mark.rfc("8506", "9.1")
async def test_a_server_says_no_in_several_ways(agent: Agent, domain: Node, purse: Purse) -> None:
    diameter = await connected(client(agent, domain, tls=False))
    credit, balances = credit_of(diameter)
    for result in (4010, 4012, 5003, 5030, 5031):
        purse.grants = [{"result": result}]
        with pytest.raises(CreditRefused):
            await credit.open(CreditSession("c1", "sip:alice@example.org", ""))
    purse.grants = [{"result": 4011}]
    assert (await credit.open(CreditSession("c2", "sip:alice@example.org", ""))).seconds == float("inf")
    assert not balances.reservations
    purse.grants = [{"result": 5012}]
    with pytest.raises(NoCreditControl, match="5012"):
        await credit.open(CreditSession("c3", "sip:alice@example.org", ""))
    assert balances.reservations, "it may be open at the server"
    purse.silent = True
    with pytest.raises(NoCreditControl, match="has not answered"):
        await credit.open(CreditSession("c4", "sip:alice@example.org", ""))
    await diameter.close()


@pytest.mark.rfc("6733", "5.5.4")
async def test_the_next_server_is_asked(agent: Agent, domain: Node, purse: Purse) -> None:
    diameter = await connected(client(agent, domain, tls=False, name="edge2", dead=True))
    credit, _ = credit_of(diameter)
    assert (await credit.open(CreditSession("c1", "sip:alice@example.org", ""))).seconds == 60
    await diameter.close()
    with pytest.raises(NoDiameter):
        await diameter.ask(272, 4, "x", [])


@pytest.mark.rfc("3539", "3.4.1")
async def test_the_watchdogs_of_both_are_answered(agent: Agent, domain: Node, purse: Purse) -> None:
    diameter = await connected(client(agent, domain, tls=False, name="edge3"))
    await asyncio.sleep(8)
    assert diameter.connected
    assert agent.decoded("Device-Watchdog-Request")
    assert agent.decoded("Device-Watchdog-Answer")
    await diameter.close()


async def test_a_server_under_another_name_is_left(agent: Agent, domain: Node) -> None:
    us = DiameterSelf("edge4.example.org", "example.org", (4,), 1.0, 6.0)
    diameter = DiameterClient(us, [DiameterPeer(HOST, agent.port, "other.example.org", None)], 1)
    await diameter.open()
    assert not diameter.connected
    await diameter.close()


# -- passwords -------------------------------------------------------------------------------------------


def question(user: str = "alice", password: str = "secret-alice", *, registers: bool = True) -> Question:
    given = Credentials(
        user, "example.org", "1f9c", "sip:example.org", "", "SHA-256", "c0ffee", None, "auth", "00000001"
    )
    given.response = request_digest(
        given, make_ha1(user, "example.org", password, Algorithm.SHA_256), "REGISTER"
    )
    return Question(given, "REGISTER", f"sip:{user}@example.org", "sip:example.org", registers)


@pytest.mark.rfc("4740", "8.7")
@pytest.mark.parametrize("delegate", [False, True])
async def test_passwords_are_asked_about(
    agent: Agent, domain: Node, purse: Purse, passwords: Passwords, delegate: bool
) -> None:
    passwords.delegate = delegate
    diameter = await connected(client(agent, domain, tls=True, name="edge5"))
    authority = DiameterAuthority(diameter, "sip:node.example.org")
    asked = [question(), question(password="guess"), question("nobody")]
    found = [(await authority.judge(each)).outcome for each in asked]
    assert found == [Outcome.OK, Outcome.WRONG, Outcome.WRONG]
    first = next(
        each for each in agent.decoded("Multimedia-Auth-Request") if 'Origin-Host="edge5.example.org"' in each
    )
    for line in ('SIP-Method="REGISTER"', 'Digest-Username="alice"', 'SIP-Server-URI="sip:node.example.org"'):
        assert line in first, first
    await diameter.close()
    with pytest.raises(NoJudgement) as gap:
        await authority.judge(question())
    assert gap.value.status == 503


@pytest.mark.rfc("4740", "8.8")
async def test_the_server_makes_the_nonces(
    agent: Agent, domain: Node, purse: Purse, passwords: Passwords
) -> None:
    passwords.delegate = False
    diameter = await connected(client(agent, domain, tls=True, name="edge6"))
    authority = DiameterAuthority(diameter, "sip:node.example.org")

    def over(demand: Demand, password: str = "secret-alice", count: int = 1) -> Question:
        asked = question()
        given = asked.credentials
        given.nonce, given.algorithm, given.nc = demand.nonce, demand.algorithm, f"{count:08x}"
        ha1 = make_ha1("alice", "example.org", password, Algorithm.SHA_256)
        given.response = request_digest(given, ha1, "REGISTER")
        return asked._replace(ticket=demand.ticket)

    wanted = Wanted("REGISTER", "sip:example.org", "example.org", "sip:alice@example.org", "alice", True)
    demand = await authority.demand(wanted)
    assert (demand.realm, demand.algorithm, demand.qop) == ("example.org", "SHA-256", ("auth", "auth-int"))
    assert (await authority.judge(over(demand, "guess"))).outcome is Outcome.WRONG
    assert (await authority.judge(over(demand))).outcome is Outcome.OK
    stale = await authority.judge(over(demand, count=2))
    assert stale.outcome is Outcome.STALE
    assert stale.demand is not None
    assert (await authority.judge(over(stale.demand))).outcome is Outcome.OK
    first = next(
        each for each in agent.decoded("Multimedia-Auth-Request") if 'Origin-Host="edge6.example.org"' in each
    )
    assert "SIP-Authorization" not in first
    await diameter.close()
    with pytest.raises(NoJudgement) as gap:
        await authority.demand(wanted)
    assert gap.value.status == 503


# -- a served node ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(agent: Agent, domain: Node, server: Purse) -> Iterator[Node]:
    """A node whose accounts and credit are behind the agent; bob is stored here and postpaid."""
    with domain.config.open("a") as file:
        file.write(
            f"""
[accounts]
source = "diameter"
prepaid = true

[charging]
credit = "diameter"

[[diameter_server]]
server = "{HOST}:{agent.secure}"
name = "{AGENT}"

[diameter]
host = "node.example.org"
timeout_seconds = 10
"""
        )
    domain.serve()
    yield domain
    domain.end()


def phone(node: Node, user: str, password: str = "") -> UserAgent:
    return UserAgent(
        f"sip:{user}@example.org",
        password=password or password_of(user),
        proxy=f"sip:{HOST}:{node.listen['tls']};transport=tls",
        trust=node.authority,
    )


async def test_a_prepaid_call_ends_when_the_server_grants_no_more(
    node: Node, purse: Purse, passwords: Passwords
) -> None:
    passwords.delegate = False
    with pytest.raises(RegistrationError) as refused:
        async with phone(node, "alice", "guess"):
            pass
    assert refused.value.status == 401
    purse.grants = [{"seconds": 1, "final": True}]
    async with phone(node, "alice") as alice, asyncio.timeout(40):
        call = await alice.call("sip:alice@example.org")
        ringing = await anext(alice.incoming())
        await ringing.answer()
        await call.answered
        ending = await call.ended
        assert ending.reason == "its credit is used up"
        await asyncio.to_thread(
            eventually, lambda: [each[1] for each in purse.heard] == [1, 3], "the end is told"
        )
        purse.grants = [{"result": 4012}]
        with pytest.raises(CallError) as denied:
            await (await alice.call("sip:alice@example.org")).answered
        assert (denied.value.status, denied.value.reason) == (403, "Forbidden (the credit is used up)")
    (session,) = {each[0] for each in purse.heard[:2]}
    assert session.startswith("node.example.org;")
    assert purse.heard[1][3] == 1


async def test_kill_9_in_a_call_ends_its_session_at_the_server(
    node: Node, purse: Purse, passwords: Passwords
) -> None:
    passwords.delegate = False
    purse.grants = [{"seconds": 600}]
    async with phone(node, "alice") as alice, asyncio.timeout(30):
        call = await alice.call("sip:alice@example.org")
        ringing = await anext(alice.incoming())
        await ringing.answer()
        await call.answered
        await asyncio.sleep(1.0)
        node.kill()
        await asyncio.to_thread(node.serve)
        await asyncio.to_thread(
            eventually, lambda: [each for each in purse.heard if each[1] == 3], "the session is ended", 20
        )
    assert [each[1] for each in purse.heard] == [1, 3]
    assert purse.heard[0][0] == purse.heard[1][0]
