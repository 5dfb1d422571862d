"""A terminal, and a domain that has been made in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.network import Network
from tests.cli.running import Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.fixture
def domain(shell: Shell) -> Shell:
    assert shell.type("init", "example.org").code == 0
    return shell


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A node of example.org with alice and bob, in a process of its own."""
    network = Network(tmp_path_factory.mktemp("network"))
    yield network
    network.close()
