"""A user of ours calls one of Kamailio, which runs with the configuration that its package brings, over UDP and TCP.

Kamailio stays in the path of every call, as we do, so that each request passes two proxies that record their routes. In
that configuration it relays nothing to other domains; ``test_kamailio_federation.py`` has calls in that direction.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from ringfence.client import CallError, MessageError, UserAgent
from ringfence.security.digest import STRONG, Algorithm
from tests.interop.federation import MEMORY, listens
from tests.interop.node import Node, password_of
from tests.interop.processes import HOST, Program, eventually, free_port

pytestmark = pytest.mark.interop("kamailio")

STOCK = Path("/etc/kamailio/kamailio.cfg")
T = TypeVar("T")


async def soon(what: Awaitable[T]) -> T:
    """What should happen at once."""
    async with asyncio.timeout(10):
        return await what


@pytest.fixture(scope="module")
def kamailio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its port for UDP and TCP."""
    if not STOCK.exists():
        pytest.skip(f"there is no {STOCK}")
    directory, port = tmp_path_factory.mktemp("kamailio"), free_port()
    shutil.copy(STOCK, directory / "kamailio.cfg")
    listen = ["-l", f"udp:{HOST}:{port}", "-l", f"tcp:{HOST}:{port}"]
    program = Program(
        ["kamailio", "-f", "kamailio.cfg", "-w", directory, "-Y", directory, "-DD", "-E", *MEMORY, *listen],
        directory,
    )
    eventually(lambda: listens(HOST, port), "kamailio listens")
    yield port
    program.end()


@dataclass
class Pair:
    """A phone of each domain, and how the second is called from the first."""

    alice: UserAgent
    carol: UserAgent
    to_carol: str


@pytest.fixture(params=["udp", "tcp"])
async def pair(node: Node, kamailio: int, request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    transport = request.param
    hop = f";transport={transport}"
    alice = UserAgent(
        f"sip:alice@{node.domain}",
        password=password_of("alice"),
        algorithms=(*STRONG, Algorithm.MD5),
        proxy=f"sip:{HOST}:{node.listen['tls']};transport=tls",
        trust=node.authority,
    )
    carol = UserAgent(f"sip:carol@{HOST}:{kamailio}", proxy=f"sip:{HOST}:{kamailio}{hop}", password="none")
    async with alice, carol:
        yield Pair(alice, carol, f"sip:carol@{HOST}:{kamailio}{hop}")


@pytest.mark.rfc("3261", "16.6")
@pytest.mark.parametrize("by_caller", [True, False])
async def test_a_call_with_hold_by_either_side(pair: Pair, by_caller: bool) -> None:
    call = await pair.alice.call(pair.to_carol)
    theirs = await soon(anext(pair.carol.incoming()))
    await theirs.answer()
    await soon(call.answered)
    for one in theirs, call:
        await soon(one.hold())
        await soon(one.resume())
    await (call if by_caller else theirs).hang_up()
    assert (await soon((theirs if by_caller else call).ended)).by == "peer"


async def test_calls_that_come_to_nothing(pair: Pair) -> None:
    call = await pair.alice.call(pair.to_carol)
    theirs = await soon(anext(pair.carol.incoming()))
    await call.hang_up()
    assert (await soon(theirs.ended)).status == 487
    call = await pair.alice.call(pair.to_carol)
    (await soon(anext(pair.carol.incoming()))).reject(486)
    with pytest.raises(CallError) as caught:
        await soon(call.answered)
    assert caught.value.status == 486


async def test_texts_and_pings(pair: Pair) -> None:
    await pair.alice.send_text(pair.to_carol, "from us")
    assert (await soon(anext(pair.carol.texts()))).text == "from us"
    assert (await soon(pair.alice.options(pair.to_carol))).status == 200
    with pytest.raises(MessageError) as caught:
        await pair.alice.send_text(pair.to_carol.replace("carol", "nobody"), "anybody there?")
    assert caught.value.status in {404, 480}
