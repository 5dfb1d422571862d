"""What `ringfence check` says of a Redis that nodes have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringfence.service.config import Config
from ringfence.service.finding import Severity
from ringfence.service.shared_checks import shared_state_is_safe

SHARED = '[shared]\nredis = "{0}"\n'
REGISTRATIONS = '[registrations]\nredis = "{0}"\n'


def findings(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "ringfence.toml"
    path.write_text(f'[domain]\nname = "example.org"\n{text}', encoding="utf-8")
    found = list(shared_state_is_safe(Config.load(path)))
    assert {each.severity for each in found} <= {Severity.WARNING}
    return [str(each.problem) for each in found]


@pytest.mark.parametrize(
    "url",
    [
        "rediss://redis.example.org",
        "unix:///run/redis.sock",
        "redis://127.0.0.1:6379/0",
        "redis://[::1]",
        "redis://localhost/1",
    ],
)
def test_a_way_that_nobody_else_is_on(tmp_path: Path, url: str) -> None:
    assert findings(tmp_path, SHARED.format(url) + REGISTRATIONS.format(url)) == []


def test_a_way_across_a_network_without_tls_names_the_line_and_no_password(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, SHARED.format("redis://:secret@192.0.2.1:6379"))
    assert "line 4: shared.redis" in found
    assert "rediss://" in found
    assert "secret" not in found


def test_nodes_that_share_registrations_should_count_together(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, REGISTRATIONS.format("rediss://redis.example.org"))
    assert "write redis under [shared] too" in found
    assert findings(tmp_path, "") == []
