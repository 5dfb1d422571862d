"""A served node and a tester at 127.0.0.1 who sends thousands of mutants, as `python fuzz/wire.py` does in masses."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest
from fuzz.answers import Phone
from fuzz.wire import CONFIGS, answers, domain, faults, run

from tests.interop.node import Node
from tests.interop.raw import RawPhone

SHARE = 0.008
"""Of the mutants there are: some 3,000 by UDP, and a third of that by a connection."""

SLOW = 1.5
"""Seconds for an OPTIONS after a mutant: the program wants 0.2, but here others have the machine as well."""


@pytest.fixture(scope="module", params=CONFIGS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Node]]:
    name = str(request.param)
    node = domain(tmp_path_factory.mktemp("wire") / name, CONFIGS[name])
    yield name, node
    node.end()


def test_mutants_of_every_element_and_answers_with_something_wrong(served: tuple[str, Node]) -> None:
    name, node = served
    options = argparse.Namespace(share=SHARE, seed=1, private=name == "private", slow=SLOW)
    with Phone(RawPhone(node, "bob"), 1) as phone:
        for transport in ("tls", "ws") if options.private else ("udp", "tcp"):
            assert run(node, transport, options) == []
        assert phone.got > 100
        assert answers(node, phone, options) == []
        assert phone.sent > 1000
    assert faults(node) == []
    assert node.status()["bans"] == 0
