"""The domain that most of these tests talk to, and skipping where a program is absent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.interop.node import Node

USERS = {"alice": 100, "bob": None, "carol": None, "dave": None}
"""Who there is, and how many calls each may have at a time. Alice makes thousands, a dozen at a time: with so few
more, she would soon be refused if a call that is over went on counting."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program (``@pytest.mark.interop("sipp")``) is not installed."""
    for mark in item.iter_markers("interop"):
        for program in mark.args:
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """example.org on UDP, TCP and TLS, with alice, bob, carol and dave. Tests leave it running and in order."""
    node = Node.create(tmp_path_factory.mktemp("example") / "node")
    for user, calls in USERS.items():
        node.add_user(user, calls=calls)
    node.serve()
    yield node
    node.end()
