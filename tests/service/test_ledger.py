"""The ledger of a node that is configured, checked, served, and killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringfence.ledger.reading import reading
from ringfence.ledger.records import records_of
from ringfence.service.config import Config
from ringfence.service.ledger import make_radius, open_ledger
from ringfence.service.process import running
from ringfence.store.memory import MemoryStore

from .test_checks import Domain


@pytest.fixture
def domain(tmp_path: Path) -> Domain:
    return Domain(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[ledger]\nenabled = false\n", "no call is recorded"),
        ("[ledger]\nrequired = false\n", "although it can't be recorded"),
        ("[proxy]\nrecord_route = false\n", "does not see calls end"),
        ('[[radius]]\nserver = "192.0.2.1:1813"\nsecret = "absent"\n', "there is no file"),
        (
            '[ledger]\nenabled = false\n[[radius]]\nserver = "192.0.2.1:1813"\nsecret = "absent"\n',
            "none is kept",
        ),
    ],
)
def test_what_keeps_calls_from_being_recorded_is_remarked_on(domain: Domain, text: str, says: str) -> None:
    assert any(says in finding for finding in domain.findings(text))


def test_radius_servers_are_read(domain: Domain) -> None:
    domain.write("radius.secret", b"testing123\n")
    config = domain.config('[[radius]]\nserver = "192.0.2.1:1813"\nsecret = "radius.secret"\n')
    assert make_radius(config, b"k" * 32) is not None
    assert make_radius(domain.config(), b"k" * 32) is None


async def test_no_ledger_is_kept_where_none_is_wanted(domain: Domain) -> None:
    assert await open_ledger(domain.config("[ledger]\nenabled = false\n")) is None
    assert not (domain.directory / "data" / "ledger.db").exists()


def quiet(domain: Domain) -> Config:
    return domain.config('[metrics]\nlisten = ""\n').model_copy(update={"listen": ()})


async def test_a_node_writes_when_it_begins_and_ends(domain: Domain) -> None:
    config = quiet(domain)
    async with running(config, MemoryStore()) as node:
        assert node.parts.services.charging is not None
    with reading(config.ledger_url) as ledger:
        kinds = [str(event.kind) for event in ledger.events()]
        assert kinds == ["open", "close"]
        assert list(records_of(ledger.events())) == []
    assert (domain.directory / "data" / "ledger.key").stat().st_mode & 0o777 == 0o600
