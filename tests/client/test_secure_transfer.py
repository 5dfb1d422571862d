"""A call that is handed on stays as protected as it was, or is not made."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ringfence.client import CallError, CallState, Media
from tests.client.keys import person
from tests.client.phones import Phones, address, event
from tests.client.test_secure import ALICE, BOB, World, soon

CAROL = "sip:carol@127.0.0.1"


@pytest.fixture
async def world(phones: Phones, tmp_path: Path) -> World:
    return World(phones, tmp_path)


@pytest.mark.parametrize(
    "wish",
    [{"sign": True}, {"sign": True, "encrypt": True}, {"sign": True, "encrypt": True, "tunnel": True}],
    ids=lambda wish: " ".join(wish),
)
async def test_the_next_call_is_protected_as_this_one(world: World, wish: dict[str, bool]) -> None:
    alice = await world.agent("alice", person(ALICE, world.root))
    bob = await world.agent("bob", person(BOB, world.root), accept_transfers=True)
    carol = await world.agent("carol", person(CAROL, world.root))
    call = await alice.call(address(bob), media=Media(), **wish)  # type: ignore[arg-type]
    theirs = await soon(anext(bob.incoming()))
    await theirs.answer()
    await call.answered
    transferring = asyncio.create_task(call.transfer(address(carol)))
    third = await soon(anext(carol.incoming()))
    found = third.peer.protection
    assert found is not None
    assert found.signed
    assert bool(found.encrypted) == wish.get("encrypt", False)
    assert (found.comparison is not None) == wish.get("tunnel", False)
    assert found.warnings == ()
    await third.answer()
    await soon(transferring)
    assert theirs.successor is not None
    assert theirs.successor.wish == theirs.wish


async def test_a_target_that_nothing_can_be_encrypted_to_is_not_called(world: World) -> None:
    alice = await world.agent("alice", person(ALICE, world.root))
    bob = await world.agent("bob", person(BOB, world.root), accept_transfers=True)
    carol = await world.agent("carol", None)
    call = await alice.call(address(bob), media=Media(), sign=True, encrypt=True)
    theirs = await soon(anext(bob.incoming()))
    await theirs.answer()
    await call.answered
    with pytest.raises(CallError, match="no certificate of"):
        await soon(call.transfer(address(carol)))
    warning = await event(theirs, "warning")
    assert "is not called" in str(warning.facts["reason"])
    assert theirs.successor is None
    assert call.state is CallState.ANSWERED
