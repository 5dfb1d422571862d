"""Connected identity (RFC 4916): who has answered is told by a request of the callee, and shown to the caller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from ringfence.client import Evidence
from ringfence.store.records import Account
from tests.client.node import Node
from tests.client.phones import event
from tests.client.test_with_node import connect


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what is entered."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.rfc("4916", "4.2")
async def test_our_server_asserts_who_has_answered(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice"))
    bob = await stack.enter_async_context(node.agent("bob"))
    call, theirs = await connect(alice, bob)
    await event(call, "connected")
    assert (call.peer.identity, call.peer.evidence) == ("sip:bob@example.org", Evidence.ASSERTED)
    await theirs.hang_up()
    await call.ended


@pytest.mark.rfc("4916", "4.4.1")
@pytest.mark.rfc("4916", "4.4.2")
async def test_somebody_else_has_answered_than_was_called(node: Node, stack: AsyncExitStack) -> None:
    """sales@example.org is another address of Bob's account, and who is called is in To."""
    accounts = node.running.parts.store.accounts
    account = accounts.by_aor("sip:bob@example.org")
    assert isinstance(account, Account)
    accounts.hold(replace(account, aliases=("sip:sales@example.org",)))  # type: ignore[attr-defined]  # in memory
    alice = await stack.enter_async_context(node.agent("alice"))
    bob = await stack.enter_async_context(node.agent("bob"))
    call = await alice.call("sales")
    theirs = await anext(bob.incoming())
    await theirs.answer()
    await call.answered
    assert call.peer.identity == "sips:sales@example.org"
    await event(call, "connected")
    assert (call.peer.identity, call.peer.evidence) == ("sip:bob@example.org", Evidence.ASSERTED)
    assert call.dialog is not None
    assert theirs.dialog is not None
    assert str(call.dialog.remote_uri.uri) == "sips:bob@example.org"  # whom our requests are to from now on
    assert str(theirs.dialog.local_uri.uri) == "sips:bob@example.org"
    await call.hang_up()
    await theirs.ended


async def test_whoever_keeps_its_identity_private_tells_nothing(node: Node, stack: AsyncExitStack) -> None:
    alice = await stack.enter_async_context(node.agent("alice"))
    bob = await stack.enter_async_context(node.agent("bob", privacy=["id"]))
    call, theirs = await connect(alice, bob)
    await call.hold()
    await theirs.hang_up()
    await call.ended
    assert call.peer.evidence is not Evidence.ASSERTED
