"""ringfence cert acme, where no node runs. tests/interop has a real server, and a node."""

import time

from ringfence.security.authority import Authority, new_key
from ringfence.security.pem import chain_pem
from ringfence.service import acme_files
from ringfence.service.config import Config
from tests.cli.running import Shell

SECTION = '[acme]\ndirectory = "https://127.0.0.1:1/directory"\nhost = "127.0.0.1"\nport = 0\n'
"""Port 1 refuses."""


def with_acme(domain: Shell) -> Config:
    path = domain.directory / "ringfence.toml"
    path.write_text(path.read_text() + SECTION)
    return Config.load(path)


def test_without_a_server_there_is_nothing_to_ask(domain: Shell) -> None:
    result = domain.type("cert", "acme")
    assert result.code == 1
    assert "no ACME server is named" in result.err


def test_a_server_that_is_away_is_one_line(domain: Shell) -> None:
    with_acme(domain)
    result = domain.type("cert", "acme")
    assert result.code == 75
    assert result.err.startswith("ringfence: https://127.0.0.1:1/directory can't be reached: ")
    assert result.err.count("\n") == 1
    assert "refused" in domain.type("check").out


def test_what_is_not_due_is_shown_and_left(domain: Shell) -> None:
    config, key, now = with_acme(domain), new_key(), time.time()
    authority = Authority.create("Public CA", now=now, serial=1)
    leaf = authority.issue_server(key.public_key(), ["example.org"], now=now, serial=2)
    acme_files.keep(config, chain_pem([leaf, authority.certificate]), key)
    result = domain.type("cert", "acme", "--json")
    assert result.code == 0
    assert result.json["issued"] is False
    assert result.json["names"] == ["example.org"]
    assert "not due yet" in domain.type("cert", "acme").err
    assert domain.type("cert", "acme", "--force").code == 75
