"""Registering: with a registrar that does as the test wants, and with a real node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ringfence.client import RegistrationError, RegistrationState, UserAgent
from ringfence.client.registration import refresh_after, wait_after
from ringfence.message import Request
from ringfence.security.digest import Algorithm
from tests.client.node import Node
from tests.client.phones import TIMERS
from tests.client.stranger import Stranger

CHALLENGE = {"WWW-Authenticate": 'Digest realm="example.org", nonce="n1", qop="auth", algorithm=SHA-256'}


def agent(stranger: Stranger, **settings: Any) -> UserAgent:
    settings.setdefault("password", "secret")
    return UserAgent(
        "sip:alice@example.org", proxy=f"sip:127.0.0.1:{stranger.port}", timers=TIMERS, **settings
    )


def accept(
    stranger: Stranger, register: Request, headers: dict[str, str] | None = None, expires: int = 300
) -> None:
    """Register what is asked for; no Contact but ours is known."""
    contact = (register.headers.get("Contact") or "").rpartition(";expires")[0]
    more = {"Contact": f"{contact};expires={expires}", **(headers or {})}
    stranger.respond_as_registrar(register, 200, more)


async def opened(stranger: Stranger, alice: UserAgent, headers: dict[str, str] | None = None) -> Request:
    """Open an agent; gives the REGISTER that was accepted."""
    opening = asyncio.create_task(alice.open())
    register = await stranger.request("REGISTER")
    accept(stranger, register, headers)
    await opening
    return register


async def closed(stranger: Stranger, alice: UserAgent) -> Request:
    """Close an agent; gives the REGISTER that took the registration back."""
    closing = asyncio.create_task(alice.close())
    goodbye = await stranger.request("REGISTER")
    stranger.respond_as_registrar(goodbye, 200, {})
    await closing
    return goodbye


@pytest.mark.rfc("3261", "10.2")
async def test_what_a_register_says(stranger: Stranger) -> None:
    alice = agent(stranger)
    register = await opened(stranger, alice)
    assert register.uri == "sip:example.org"
    assert register.headers.get("To") == "<sip:alice@example.org>"
    assert set(register.headers.values("Supported")) == {"path", "outbound", "gruu"}
    contact = register.headers.get("Contact") or ""
    assert ';+sip.instance="<urn:uuid:' in contact
    assert contact.endswith(";reg-id=1;expires=600")
    assert alice.registration is not None
    assert (alice.registration.state, alice.registration.expires) == (RegistrationState.REGISTERED, 300)
    goodbye = await closed(stranger, alice)
    assert (goodbye.headers.get("Contact") or "").endswith(";expires=0")
    assert goodbye.call_id == register.call_id
    assert goodbye.cseq.number == register.cseq.number + 1


@pytest.mark.rfc("3261", "22.2")
async def test_a_challenge(stranger: Stranger) -> None:
    alice = agent(stranger)
    opening = asyncio.create_task(alice.open())
    first = await stranger.request("REGISTER")
    stranger.respond_as_registrar(first, 401, CHALLENGE)
    second = await stranger.request("REGISTER")
    assert second.cseq.number == first.cseq.number + 1
    assert second.call_id == first.call_id
    assert 'username="alice"' in (second.headers.get("Authorization") or "")
    accept(stranger, second)
    await opening
    assert "nc=00000002" in ((await closed(stranger, alice)).headers.get("Authorization") or "")


async def test_a_wrong_password(stranger: Stranger) -> None:
    alice = agent(stranger)
    opening = asyncio.create_task(alice.open())
    stranger.respond_as_registrar(await stranger.request("REGISTER"), 401, CHALLENGE)
    again = {"WWW-Authenticate": CHALLENGE["WWW-Authenticate"].replace("n1", "n2")}
    stranger.respond_as_registrar(await stranger.request("REGISTER"), 401, again)
    with pytest.raises(RegistrationError, match="password is wrong") as caught:
        await opening
    assert caught.value.status == 401


@pytest.mark.rfc("3261", "10.2.8")
async def test_an_interval_that_is_too_brief(stranger: Stranger) -> None:
    alice = agent(stranger, expires=60)
    opening = asyncio.create_task(alice.open())
    stranger.respond_as_registrar(await stranger.request("REGISTER"), 423, {"Min-Expires": "1800"})
    second = await stranger.request("REGISTER")
    assert (second.headers.get("Contact") or "").endswith(";expires=1800")
    accept(stranger, second, expires=1800)
    await opening
    await closed(stranger, alice)


@pytest.mark.rfc("5626", "4.2.1")
async def test_a_first_hop_without_outbound(stranger: Stranger) -> None:
    alice = agent(stranger)
    opening = asyncio.create_task(alice.open())
    stranger.respond_as_registrar(await stranger.request("REGISTER"), 439, {})
    second = await stranger.request("REGISTER")
    assert "reg-id" not in (second.headers.get("Contact") or "")
    accept(stranger, second)
    await opening
    await closed(stranger, alice)


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (403, {}, "403 Forbidden"),
        (200, {}, "our own contact is not among those it lists"),
        (200, {"Contact": "<sip:alice@192.0.2.1>;expires=60"}, "our own contact"),
        (200, {"Contact": "<<"}, "malformed"),
        (503, {}, "503 Service Unavailable"),
    ],
)
async def test_answers_that_register_nothing(
    stranger: Stranger, status: int, headers: dict[str, str], reason: str
) -> None:
    alice = agent(stranger)
    opening = asyncio.create_task(alice.open())
    stranger.respond_as_registrar(await stranger.request("REGISTER"), status, headers)
    with pytest.raises(RegistrationError, match=reason):
        await opening


async def test_nobody_answers(stranger: Stranger) -> None:
    with pytest.raises(RegistrationError) as caught:
        await agent(stranger).open()
    assert caught.value.status == 408


@pytest.mark.rfc("3608", "6.1")
@pytest.mark.rfc("5627", "4.4")
async def test_service_route_and_gruu_are_used(stranger: Stranger) -> None:
    alice = agent(stranger)
    opening = asyncio.create_task(alice.open())
    register = await stranger.request("REGISTER")
    contact = (register.headers.get("Contact") or "").rpartition(";expires")[0]
    gruu = "sip:alice@example.org;gr=urn:uuid:1"
    stranger.respond_as_registrar(
        register,
        200,
        {
            "Contact": f'{contact};expires=300;pub-gruu="{gruu}";temp-gruu="sip:t@example.org;gr"',
            "Service-Route": "<sip:home.example.org;lr>",
            "P-Associated-URI": "<sip:alice@example.org>, <tel:+358401>",
        },
    )
    await opening
    registration = alice.registration
    assert registration is not None
    assert str(registration.temporary_gruu) == "sip:t@example.org;gr"
    assert registration.associated == ("<sip:alice@example.org>", "<tel:+358401>")
    call = await alice.call("bob")
    invite = await stranger.request("INVITE")
    assert invite.uri == "sip:bob@example.org"
    assert invite.headers.get("Route") == "<sip:home.example.org;lr>"
    assert invite.headers.get("Contact") == f"<{gruu}>"
    stranger.respond(invite, 404)
    await call.ended
    await closed(stranger, alice)


@pytest.mark.rfc("5626", "4.3")
async def test_without_a_gruu_the_contact_asks_for_the_flow(stranger: Stranger) -> None:
    alice = agent(stranger)
    await opened(stranger, alice, {"Require": "outbound"})
    call = await alice.call("bob")
    invite = await stranger.request("INVITE")
    assert (invite.headers.get("Contact") or "").endswith(";ob>")
    stranger.respond(invite, 404)
    await call.ended
    await closed(stranger, alice)


async def test_it_is_refreshed_in_time(stranger: Stranger) -> None:
    alice = agent(stranger)
    register = await _opened_for(stranger, alice, 1)
    again = await stranger.request("REGISTER")
    assert again.call_id == register.call_id
    accept(stranger, again)
    await closed(stranger, alice)


async def _opened_for(stranger: Stranger, alice: UserAgent, seconds: int) -> Request:
    opening = asyncio.create_task(alice.open())
    register = await stranger.request("REGISTER")
    accept(stranger, register, expires=seconds)
    await opening
    return register


async def test_a_refresh_that_fails_is_told(stranger: Stranger) -> None:
    alice = agent(stranger)
    await _opened_for(stranger, alice, 1)
    stranger.respond_as_registrar(await stranger.request("REGISTER"), 500, {})
    changes = alice.registration_changes()
    assert (await anext(changes))[0] is RegistrationState.REGISTERED
    state, error = await anext(changes)
    assert (state, error.status if error else None) == (RegistrationState.FAILED, 500)
    await alice.close()


def test_when_it_is_refreshed() -> None:
    assert (refresh_after(3600), refresh_after(60), refresh_after(1)) == (3540, 30, 0.5)


@pytest.mark.rfc("5626", "4.5")
def test_waits_grow_and_have_a_limit() -> None:
    assert 30 <= wait_after(1) <= 60
    assert 900 <= wait_after(50) <= 1800


# -- with a node ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["tls", "wss", "tcp", "udp"])
async def test_with_a_node(node: Node, transport: str) -> None:
    async with node.agent("alice", transport) as alice:
        registration = alice.registration
        assert registration is not None
        assert registration.outbound
        assert registration.public_gruu is not None
        assert registration.public_gruu.secure is (transport in {"tls", "wss"})
        contacts = await node.registered("alice")
        assert len(contacts) == 1
        assert contacts[0].startswith("sips:" if transport in {"tls", "wss"} else "sip:")
    assert await node.registered("alice") == []


async def test_a_node_refuses_a_wrong_password(node: Node) -> None:
    with pytest.raises(RegistrationError, match="password is wrong"):
        await node.agent("alice", password="guess").open()


async def test_a_node_refuses_somebody_who_is_not_there(node: Node) -> None:
    with pytest.raises(RegistrationError, match="password is wrong"):
        await node.agent("mallory").open()


async def test_a_node_that_cannot_prove_its_domain(node: Node) -> None:
    alice = UserAgent(
        "sips:alice@example.com", password="x", proxy=node.proxy("tls"), trust=node.ca, timers=TIMERS
    )
    with pytest.raises(RegistrationError, match="TLS") as caught:
        await alice.open()
    assert caught.value.status == 503


@pytest.mark.rfc("5626", "4.5")
async def test_a_broken_connection_is_made_again(node: Node) -> None:
    async with node.agent("alice") as alice:
        changes = alice.registration_changes()
        assert (await anext(changes))[0] is RegistrationState.REGISTERED
        for flow in node.running.parts.pool.connections():
            flow.close("the test breaks it")
        states = []
        async with asyncio.timeout(5):
            async for state, _ in changes:
                states.append(state)
                if state is RegistrationState.REGISTERED:
                    break
        assert states == [RegistrationState.FAILED, RegistrationState.REGISTERED]
        assert len(await node.registered("alice")) == 1


async def test_md5_is_not_answered(stranger: Stranger) -> None:
    challenge = {"WWW-Authenticate": 'Digest realm="example.org", nonce="n1", qop="auth", algorithm=MD5'}
    opening = asyncio.create_task(agent(stranger).open())
    stranger.respond_as_registrar(await stranger.request("REGISTER"), 401, challenge)
    with pytest.raises(RegistrationError, match="does not give"):
        await opening
    alice = agent(stranger, algorithms=[Algorithm.MD5])
    opening = asyncio.create_task(alice.open())
    stranger.respond_as_registrar(await stranger.request("REGISTER"), 401, challenge)
    accept(stranger, await stranger.request("REGISTER"))
    await opening
    await closed(stranger, alice)
