"""What ``ringfence check`` says about the privacy service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringfence.service.config import Config
from ringfence.service.privacy_checks import privacy_can_be_given


def findings(tmp_path: Path, **sections: Any) -> list[str]:
    values = {"domain": {"name": "example.org"}} | sections
    config = Config.from_values(values, tmp_path / "ringfence.toml")
    return [str(finding.problem.key) for finding in privacy_can_be_given(config)]


@pytest.mark.parametrize(
    ("sections", "keys"),
    [
        ({}, []),
        ({"privacy": {"enabled": False}}, []),
        ({"media": {"relay": "off"}}, ["media.relay"]),
        ({"media": {"relay": "off"}, "privacy": {"enabled": False}}, []),
        ({"node": {"roles": ["privacy"]}, "privacy": {"enabled": False}}, ["privacy.enabled"]),
    ],
)
def test_what_can_t_be_given_is_named(tmp_path: Path, sections: dict[str, Any], keys: list[str]) -> None:
    assert findings(tmp_path, **sections) == keys
