"""A terminal, and a domain that has been made in it."""

from pathlib import Path

import pytest

from tests.cli.running import Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.fixture
def domain(shell: Shell) -> Shell:
    assert shell.type("init", "example.org").code == 0
    return shell
