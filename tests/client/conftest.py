"""Phones on loopback that call each other without a server, with timers a tenth as long as usual."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.node import Node, serving
from tests.client.phones import Phones
from tests.client.stranger import Stranger


@pytest.fixture
async def phones(stranger: Stranger) -> AsyncIterator[Phones]:
    """Makes user agents: ``await phones("alice")``."""
    phones = Phones()
    try:
        yield phones
    finally:
        stranger.says_goodbye = True  # so that no agent waits for an answer to its BYE
        await phones.close()


@pytest.fixture
async def stranger() -> AsyncIterator[Stranger]:
    """A peer that does what the test writes, right or wrong."""
    stranger = await Stranger.open()
    try:
        yield stranger
    finally:
        stranger.close()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node of example.org with the users alice, bob and carol."""
    async with serving(tmp_path) as node:
        yield node
