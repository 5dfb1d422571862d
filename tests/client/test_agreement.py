"""An agent agrees with its node on the security between them; a man in the middle tries to prevent it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from ringfence.client import IpsecSettings, RegistrationState, RequestFailed, UserAgent
from ringfence.client.account import make_account
from ringfence.client.agreement import wanted_mechanisms
from ringfence.message import LocalError, Message, Request, Response, sip_uri
from tests.client.node import Node, serving
from tests.client.phones import TIMERS
from tests.client.tampering import Tamperer


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node that requires an agreement of all that comes without TLS."""
    async with serving(tmp_path, security={"agreement": "require"}) as node:
        yield node


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what is entered."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def tamperer(node: Node) -> AsyncIterator[Tamperer]:
    """Somebody between the agent and the UDP port of the node."""
    uri = sip_uri(node.proxy("udp"))
    tamperer = await Tamperer.open(("127.0.0.1", uri.port or 0))
    yield tamperer
    await tamperer.close()


def behind(node: Node, tamperer: Tamperer, **settings: object) -> UserAgent:
    """An agent whose way to the node leads by the man in the middle."""
    settings.setdefault("security_agreement", True)
    return UserAgent(
        "sip:alice@example.org",
        password="correct horse battery",
        proxy=tamperer.uri,
        trust=node.ca,
        timers=TIMERS,
        **settings,  # type: ignore[arg-type]
    )


@pytest.mark.rfc("3329", "2.4")
async def test_tls_is_agreed_on_and_everything_goes_by_it(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice", "udp", security_agreement=True))
    bob = await stack.enter_async_context(node.agent("bob", "tcp", security_agreement=True))
    assert alice.agreement is not None
    assert str(alice.agreement.mechanism).startswith("tls;q=0.2")
    assert alice.registration is not None
    assert alice.registration.flow is not None
    assert alice.registration.flow.transport == "TLS"
    call = await alice.call("bob")
    theirs = await anext(bob.incoming())
    await theirs.answer()
    await call.answered
    assert call.encrypted  # the keys of the audio were hidden by TLS
    for name in ("Require", "Proxy-Require", "Security-Verify", "Security-Client"):
        assert name not in theirs.request.headers
    await call.hang_up()


@pytest.mark.rfc("3329", "2.4")
async def test_digest_is_agreed_on_where_tls_is_not_wanted(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice", "udp", security_agreement=["digest"]))
    bob = await stack.enter_async_context(node.agent("bob", "udp", security_agreement=["digest"]))
    assert alice.agreement is not None
    assert str(alice.agreement.mechanism) == "digest;q=0.1;d-alg=SHA-512-256;d-qop=auth"
    call = await alice.call("bob")
    theirs = await anext(bob.incoming())
    await theirs.answer()
    await call.answered
    await call.hold()
    await theirs.hang_up()
    await call.ended
    await alice.send_text("bob", "hello")
    assert (await anext(bob.texts())).text == "hello"


async def test_who_asks_for_no_agreement_is_told_to(node: Node) -> None:
    with pytest.raises(RequestFailed, match="421"):
        await node.agent("alice", "udp").open()


async def test_who_comes_by_tls_makes_none(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice", "tls", security_agreement=True))
    assert alice.agreement is not None
    assert (alice.agreement.mechanism, alice.agreement.verified) == (None, True)


def strip_tls(message: Message) -> Message:
    if isinstance(message, Response) and "Security-Server" in message.headers:
        kept = [each for each in message.headers.values("Security-Server") if not each.startswith("tls")]
        message.headers.set("Security-Server", ", ".join(kept))
    return message


@pytest.mark.rfc("3329", "5")
async def test_a_list_without_tls_is_caught(node: Node, tamperer: Tamperer) -> None:
    tamperer.responses = strip_tls
    with pytest.raises(RequestFailed) as caught:
        await behind(node, tamperer).open()
    assert caught.value.status == 494
    assert "changed on the way" in caught.value.reason
    assert not [each for each in tamperer.seen if isinstance(each, Request) and each.method == "REGISTER"]
    assert node.running.parts.driver.counts["agreements refused"] == 1


@pytest.mark.rfc("3329", "5")
async def test_a_list_that_is_mended_on_the_way_back_is_caught(node: Node, tamperer: Tamperer) -> None:
    whole = ""

    def strip(message: Message) -> Message:
        nonlocal whole
        whole = message.headers.get("Security-Server") or whole
        return strip_tls(message)

    def mend(message: Message) -> Message:
        shown = message.headers.get("Security-Verify")
        if shown is not None:
            message.headers.set("Security-Verify", whole.partition(",")[0] + ", " + shown)
        return message

    tamperer.responses, tamperer.requests = strip, mend
    with pytest.raises(RequestFailed) as caught:
        await behind(node, tamperer).open()
    assert caught.value.status == 494
    assert "does not cover" in caught.value.reason


@pytest.mark.parametrize("name", ["Security-Server", "Proxy-Authenticate"])
@pytest.mark.rfc("3329", "2.3.1")
async def test_what_is_missing_ends_it(node: Node, tamperer: Tamperer, name: str) -> None:
    def remove(message: Message) -> Message:
        message.headers.remove(name)
        return message

    tamperer.responses = remove
    with pytest.raises(RequestFailed) as caught:
        await behind(node, tamperer, security_agreement=["digest"]).open()
    assert caught.value.status == 494


async def test_a_server_that_is_made_to_forget_it_is_not_used(node: Node, tamperer: Tamperer) -> None:
    """The man in the middle takes the question away, so that the server answers as it would anybody."""

    def forget(message: Message) -> Message:
        for header in ("Require", "Proxy-Require", "Security-Client"):
            message.headers.remove(header)
        return message

    def plain(message: Message) -> Message:
        assert isinstance(message, Response)
        message.status = 407 if message.status == 421 else message.status
        message.headers.remove("Security-Server")
        return message

    tamperer.requests, tamperer.responses = forget, plain
    with pytest.raises(RequestFailed, match="makes no security agreement"):
        await behind(node, tamperer).open()
    assert not any("Proxy-Authorization" in each.headers for each in tamperer.seen)


async def test_it_is_made_anew_when_the_connection_breaks(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice", "udp", security_agreement=True))
    assert alice.registration is not None
    first = alice.registration.flow
    assert first is not None
    changes = alice.registration_changes()
    first.close("the network broke it")
    async for state, _ in changes:
        if state is RegistrationState.REGISTERED and alice.registration.flow is not first:
            break
    assert alice.registration.flow is not None
    assert alice.registration.flow.secure


async def test_what_can_not_be_agreed_on() -> None:
    with pytest.raises(LocalError, match="tls, digest; ipsec-ike needs keys"):
        UserAgent("sip:alice@example.org", password="x", security_agreement=["ipsec-ike"])
    with pytest.raises(LocalError, match="with a server"):
        UserAgent("sip:alice@example.org", security_agreement=True)


async def test_by_tcp_only_the_mechanism_that_has_a_port_to_connect_from() -> None:
    keys = IpsecSettings(subscriber=Path("ik"), keys=Path("k"), spi_in=7001, spi_out=7002)
    account = make_account("sip:alice@example.org", password="x", transport="TCP")
    with pytest.raises(LocalError, match="ipsec-man goes over UDP: TCP needs ipsec-3gpp"):
        wanted_mechanisms(account, ["ipsec-man"], keys)
    assert wanted_mechanisms(account, ["ipsec-3gpp"], keys) == ("ipsec-3gpp",)
    assert wanted_mechanisms(account, True, keys) == ("ipsec-3gpp", "tls", "digest")
