"""How commands fail: the codes, one line, no traceback, no secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence.cli import app
from ringfence.cli.failure import Exit, Failure, explain
from ringfence.message import LocalError, PeerError
from ringfence.service.control import CommandError
from ringfence.service.control_client import NodeUnavailable
from ringfence.service.problems import ConfigError, Problem
from ringfence.store.errors import RecordExists, RecordMissing, SchemaError, StoreBusy, StoreError
from tests.cli.running import Shell


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (Failure(Exit.NO, "no", "do this"), 1, "no; do this"),
        (Failure(Exit.USAGE, "no"), 2, "no"),
        (ConfigError([Problem("f", 3, "k", "wrong", "mend it")]), 65, "f line 3: k: wrong; mend it"),
        (NodeUnavailable("no node", "start it"), 69, "no node; start it"),
        (CommandError("no such ban", "see the list"), 1, "no such ban; see the list"),
        (RecordExists("there is one"), 1, "there is one"),
        (RecordMissing("there is none"), 1, "there is none"),
        (StoreBusy("busy"), 75, "busy"),
        (SchemaError("old"), 69, "old"),
        (StoreError("down"), 69, "down"),
        (LocalError("bad"), 65, "bad"),
        (PeerError(400, "bad", header="To"), 65, "400 To: bad"),
        (PermissionError(13, "Permission denied", "/x"), 69, "/x: Permission denied"),
    ],
)
def test_each_kind_of_error_has_its_code_and_one_line(error: Exception, code: int, line: str) -> None:
    assert explain(error) == (code, [line])


def test_our_own_fault_is_said_in_one_line_and_written_to_a_report(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError('response="hunter2"')

    monkeypatch.setattr("ringfence.cli.check.examine", broken)
    shell.type("init", "example.org")
    result = shell.type("check")
    report = shell.directory / "state/ringfence/fault.log"
    assert result.code == 70
    assert result.out == ""
    assert result.err == (
        f"ringfence: this is a fault of ringfence (ZeroDivisionError); the report is in {report}, "
        "RINGFENCE_DEBUG=1 shows it here\n"
    )
    assert "in broken" in report.read_text()
    assert "hunter2" not in report.read_text()
    assert report.stat().st_mode & 0o777 == 0o600


def test_debugging_shows_the_traceback(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_DEBUG", "1")
    with pytest.raises(ConfigError):
        app.main(["user", "list"])


def run(*words: str, directory: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"XDG_STATE_HOME": str(directory)}
    environment.pop("RINGFENCE_CONFIG", None)
    return subprocess.run(
        [str(Path(sys.executable).with_name("ringfence")), *words],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["nonsense"], 2),
        (["init"], 2),
        (["--help"], 0),
        (["user", "list"], 65),
        (["status"], 65),
        (["serve"], 65),
        (["user", "list", "--config", "/"], 65),
    ],
)
def test_the_program_itself_fails_politely(tmp_path: Path, words: list[str], code: int) -> None:
    result = run(*words, directory=tmp_path)
    assert result.returncode == code
    assert "Traceback" not in result.stderr
    assert code == 0 or result.stderr or result.stdout


def test_the_version_is_told(tmp_path: Path) -> None:
    assert run("--version", directory=tmp_path).stdout.startswith("ringfence ")


def test_every_command_that_prints_facts_has_json() -> None:
    silent = {"serve", "console"}
    for command in app.COMMANDS:
        assert command.__doc__
        assert "json" in command.__annotations__ or command.__name__ in silent
    for _, group in app.GROUPS:
        for registered in group.registered_commands:
            assert registered.callback is not None
            assert registered.callback.__doc__
            assert "json" in registered.callback.__annotations__
