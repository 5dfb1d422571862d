"""Edges, a core and a border proxy as processes of their own, as docs/roles.md has them, and a domain outside."""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio import Future
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ringfence.client import CallError, Evidence, MessageError, UserAgent
from tests.interop.network import DOMAIN, NetworkOfNodes
from tests.interop.node import Node, password_of, ringfence
from tests.interop.processes import HOST, free_port

OTHER = "second.localhost"
PATIENCE = 10.0


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Another domain."""
    return Node.create(tmp_path_factory.mktemp("outside") / "node", OTHER, ("tls",), old_phones=False)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, outside: Node) -> Iterator[NetworkOfNodes]:
    """Ours, which trusts the other domain's CA, and signs at the border."""
    network = NetworkOfNodes(tmp_path_factory.mktemp("network"))
    web = free_port()
    peer = f'\n[[peer]]\nname = "second"\ndomain = "{OTHER}"\ntransport = "tls"\n'
    for name in ("border", "edge1", "edge2"):
        text = network.config(name).read_text(encoding="utf-8")
        network.config(name).write_text(
            text.replace("[tls]\n", f'[tls]\ntrust = ["{outside.authority}"]\n') + peer, encoding="utf-8"
        )
    url = f"https://border.{DOMAIN}:{web}/identity.pem"
    network.add("border", "", sign=f'sign = true\nurl = "{url}"\npublish = "{HOST}:{web}"\n')
    theirs = outside.config.read_text(encoding="utf-8").replace(
        "[tls]\n", f'[tls]\ntrust = ["{network.authority}"]\n'
    )
    fetch = f'fetch_from = ["127.0.0.0/8", "::1"]\nfetch_trust = ["{network.authority}"]\n'
    fetch += f'trust = ["{network.authority}"]\n'
    ours = f'\n[[peer]]\nname = "first"\ndomain = "{DOMAIN}"\ntransport = "tls"\n'
    outside.config.write_text(
        theirs.replace("sign = false\n", f"sign = false\n{fetch}") + ours, encoding="utf-8"
    )
    outside.add_user("carol")
    network.serve()
    outside.serve()
    yield network
    network.end()
    outside.end()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what is entered."""
    async with AsyncExitStack() as stack:
        yield stack


T = TypeVar("T")


async def soon(work: Coroutine[Any, Any, T] | Future[T]) -> T:
    """What comes of it, in a bounded time."""
    return await asyncio.wait_for(work, PATIENCE)


@pytest.fixture
async def alice(network: NetworkOfNodes, stack: AsyncExitStack) -> UserAgent:
    """Alice's phone at the first edge, by UDP."""
    return await stack.enter_async_context(network.phone("alice", "edge1", "udp"))


@pytest.fixture
async def bob(network: NetworkOfNodes, stack: AsyncExitStack) -> UserAgent:
    """Bob's phone at the second edge, by TLS."""
    return await stack.enter_async_context(network.phone("bob", "edge2"))


def carol(outside: Node) -> UserAgent:
    """A phone of the other domain."""
    return UserAgent(
        f"sip:carol@{OTHER}",
        password=password_of("carol"),
        proxy=f"sip:{HOST}:{outside.listen['tls']};transport=tls",
        trust=outside.authority,
    )


@pytest.mark.rfc("3327", "5.2")
@pytest.mark.rfc("3608", "6.3")
async def test_calls_pass_both_ways_and_end_from_both_ends(alice: UserAgent, bob: UserAgent) -> None:
    for caller, callee, who in ((alice, bob, "alice"), (bob, alice, "bob")):
        for by_caller in (True, False):
            call = await caller.call("bob" if who == "alice" else "alice")
            theirs = await soon(anext(callee.incoming()))
            assert theirs.peer.identity == f"sip:{who}@{DOMAIN}"
            # An agent believes what its server asserts over TLS alone.
            assert theirs.peer.evidence is (Evidence.ASSERTED if callee is bob else Evidence.CLAIMED)
            await theirs.answer()
            await soon(call.answered)
            await theirs.hold()
            await theirs.resume()
            await (call if by_caller else theirs).hang_up()
            assert (await soon((theirs if by_caller else call).ended)).by == "peer"


async def test_a_call_that_is_given_up_and_one_that_is_declined(alice: UserAgent, bob: UserAgent) -> None:
    call = await alice.call("bob")
    theirs = await soon(anext(bob.incoming()))
    await call.hang_up()
    assert (await soon(theirs.ended)).status == 487
    call = await alice.call("bob")
    (await soon(anext(bob.incoming()))).reject(486)
    with pytest.raises(CallError) as caught:
        await soon(call.answered)
    assert caught.value.status == 486


async def test_messages_and_what_fails(alice: UserAgent, bob: UserAgent) -> None:
    await alice.send_text("bob", "to the second edge")
    assert (await soon(anext(bob.texts()))).text == "to the second edge"
    await bob.send_text("alice", "to the first edge")
    assert (await soon(anext(alice.texts()))).peer.identity == f"sip:bob@{DOMAIN}"
    with pytest.raises(MessageError) as caught:
        await alice.send_text("nobody", "anybody there?")
    assert caught.value.status in {404, 480}


async def test_a_wrong_password_ends_at_the_edge(network: NetworkOfNodes) -> None:
    phone = network.phone("alice", "edge1")
    other = UserAgent(
        f"sip:alice@{DOMAIN}", password="wrong", proxy=str(phone.account.proxy), trust=network.authority
    )
    with pytest.raises(Exception, match=r"401|password"):
        async with other:
            pass


@pytest.mark.rfc("8224", "6.1")
@pytest.mark.rfc("3325", "7")
async def test_a_call_leaves_by_the_border_which_signs_it(
    alice: UserAgent, outside: Node, stack: AsyncExitStack
) -> None:
    there = await stack.enter_async_context(carol(outside))
    call = await alice.call(f"sip:carol@{OTHER}:{outside.listen['tls']};transport=tls")
    theirs = await soon(anext(there.incoming()))
    assert (theirs.peer.identity, theirs.peer.evidence) == (f"sip:alice@{DOMAIN}", Evidence.ASSERTED)
    await theirs.answer()
    await soon(call.answered)
    await theirs.hang_up()
    assert (await soon(call.ended)).by == "peer"
    assert outside.serving is not None
    assert f"signed by {DOMAIN}" in outside.serving.tail(), outside.serving.tail()


async def test_a_call_comes_in_by_an_edge(
    network: NetworkOfNodes, bob: UserAgent, outside: Node, stack: AsyncExitStack
) -> None:
    there = await stack.enter_async_context(carol(outside))
    call = await there.call(f"sip:bob@{DOMAIN}:{network.tls['edge1']};transport=tls")
    theirs = await soon(anext(bob.incoming()))
    assert theirs.peer.identity == f"sip:carol@{OTHER}"
    await theirs.answer()
    await soon(call.answered)
    await call.hang_up()
    assert (await soon(theirs.ended)).by == "peer"


# -- the inside is closed ------------------------------------------------------------------------------


def ask(port: int, authority: Path, certificate: tuple[Path, Path] | None, method: str = "OPTIONS") -> bytes:
    """What is answered to a request over TLS, by whoever has this certificate."""
    context = ssl.create_default_context(cafile=str(authority))
    context.check_hostname = False
    if certificate is not None:
        context.load_cert_chain(*certificate)
    request = (
        f"{method} sip:bob@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK{port}{method}\r\n"
        f"From: <sip:alice@{DOMAIN}>;tag=1\r\nTo: <sip:bob@{DOMAIN}>\r\nCall-ID: {port}{method}\r\n"
        f"CSeq: 1 {method}\r\nMax-Forwards: 70\r\nP-Asserted-Identity: <sip:alice@{DOMAIN}>\r\n"
        "Contact: <sip:eve@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n"
    )
    with (
        socket.create_connection((HOST, port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain) as secure,
    ):
        secure.sendall(request.encode())
        return secure.recv(4096)


@pytest.mark.parametrize("name", ["core", "border"])
@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "MESSAGE", "OPTIONS"])
def test_a_user_of_the_domain_is_no_node_of_it(
    network: NetworkOfNodes, tmp_path: Path, name: str, method: str
) -> None:
    ringfence("cert", "issue", f"alice@{DOMAIN}", "--out", tmp_path, "--config", network.config("core"))
    pair = (tmp_path / f"alice@{DOMAIN}.pem", tmp_path / f"alice@{DOMAIN}.key")
    answer = ask(network.tls[name], network.authority, pair, method)
    assert answer.startswith(b"SIP/2.0 403 Forbidden"), answer


def test_without_a_certificate_nobody_reaches_the_core(network: NetworkOfNodes) -> None:
    answer = b""
    with suppress(ssl.SSLError, ConnectionError):
        answer = ask(network.tls["core"], network.authority, None)
    assert answer == b""


def test_another_domain_does_not_come_in_by_the_border(network: NetworkOfNodes, outside: Node) -> None:
    pair = (outside.certificate, outside.directory / "tls" / "server.key")
    answer = ask(network.tls["border"], network.authority, pair, "INVITE")
    assert answer.startswith(b"SIP/2.0 403 Forbidden"), answer
