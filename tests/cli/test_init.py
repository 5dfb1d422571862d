"""ringfence init: everything that a domain needs, once."""

import asyncio
import stat
import time
from pathlib import Path

import pytest

from ringfence.cli import init as module
from ringfence.security.certificates import Match, judge_domain, matches_domain
from ringfence.security.pem import check_pair, read_chain, read_key
from ringfence.service.config import Config
from ringfence.store.database import Database
from ringfence.store.passwords import verify_password
from ringfence.store.records import AdministratorRole
from tests.cli.running import Shell


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_a_domain_is_made_that_check_finds_no_error_in(shell: Shell) -> None:
    result = shell.type("init", "example.org")
    assert result.code == 0
    assert "ringfence serve" in result.out
    assert shell.type("check").code == 0
    assert {path.name for path in shell.directory.iterdir()} == {"ringfence.toml", "tls", "data"}


def test_nobody_else_can_read_anything_of_it(shell: Shell) -> None:
    assert shell.type("init", "example.org", "--dir", "there/below").code == 0
    for path in (shell.directory / "there/below").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((shell.directory / "there/below").stat().st_mode) == 0o700


def test_a_second_time_changes_nothing(domain: Shell) -> None:
    before = files(domain.directory)
    result = domain.type("init", "example.org")
    assert result.code == 1
    assert result.err.startswith("ringfence: tls, data, ringfence.toml exists already; nothing was changed")
    assert files(domain.directory) == before


@pytest.mark.parametrize("name", ["tls", "data", "ringfence.toml"])
def test_nothing_of_somebody_elses_is_touched(shell: Shell, name: str) -> None:
    (shell.directory / name).write_text("mine")
    assert shell.type("init", "example.org").code == 1
    assert files(shell.directory) == {name: b"mine"}


def test_a_run_that_fails_leaves_nothing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_config: Config, _admin: str) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_make_database", full)
    result = shell.type("init", "example.org", "--dir", "d")
    assert (result.code, result.err) == (69, "ringfence: No space left on device\n")
    assert list((shell.directory / "d").iterdir()) == []


def test_the_certificate_proves_the_domain_and_every_host(shell: Shell) -> None:
    names = (
        "--host",
        "sip.example.org",
        "--host",
        "192.0.2.1",
        "--host",
        "pbx.example.com",
        "--host",
        "2001:db8::1",
    )
    assert shell.type("init", "example.org", *names).code == 0
    chain = read_chain((shell.directory / "tls/server.pem").read_bytes())
    check_pair(chain[0], read_key((shell.directory / "tls/server.key").read_bytes()))
    anchors = read_chain((shell.directory / "tls/ca.pem").read_bytes())
    for name in ("example.org", "sip.example.org", "192.0.2.1", "pbx.example.com", "[2001:db8::1]"):
        assert judge_domain(chain, anchors, time.time(), name).reasons == ()
    assert matches_domain(chain[0], "example.com") is Match.OTHER_DOMAIN
    config = Config.load(shell.directory / "ringfence.toml")
    assert config.node.advertise == ("sip.example.org", "192.0.2.1", "pbx.example.com", "2001:db8::1")


def test_the_administrator_signs_in_with_the_password_that_was_shown(shell: Shell) -> None:
    shown = shell.type("init", "example.org", "--admin", "olga", "--json").json
    assert shown["administrator"] == "olga"
    assert shown["password"] not in (shell.directory / "ringfence.toml").read_text()

    async def find() -> None:
        database = await Database.open(f"sqlite:///{shell.directory}/data/ringfence.db")
        owner = await database.administrators.find("olga")
        await database.close()
        assert owner is not None
        assert owner.role is AdministratorRole.OWNER
        assert verify_password(shown["password"], owner.password_hash)

    asyncio.run(find())


def test_ports_can_be_chosen(shell: Shell) -> None:
    ports = ("--listen", "tls:127.0.0.1:15061", "--listen", "udp:*:15060", "--listen", "tcp:[::1]:15060")
    assert shell.type("init", "example.org", *ports, "--require-tls").code == 0
    config = Config.load(shell.directory / "ringfence.toml")
    assert [(each.transport, each.host, each.port) for each in config.listen] == [
        ("tls", "127.0.0.1", 15061),
        ("udp", "*", 15060),
        ("tcp", "::1", 15060),
    ]
    assert [each.transport for each in config.listeners] == ["tls"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("init",), 2),
        (("init", "not a domain"), 65),
        (("init", "192.0.2.1"), 65),
        (("init", "example.org", "--host", "a b"), 65),
        (("init", "example.org", "--listen", "5060"), 2),
        (("init", "example.org", "--listen", "tls:host:5060"), 2),
        (("init", "example.org", "--listen", "sctp:*:5060"), 65),
    ],
)
def test_what_can_not_be_made_is_refused_and_leaves_nothing(
    shell: Shell, words: tuple[str, ...], code: int
) -> None:
    result = shell.type(*words)
    assert result.code == code
    assert result.err
    assert "Traceback" not in result.err
    assert list(shell.directory.iterdir()) == []
