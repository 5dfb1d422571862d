"""docs/scenarios.md names tests: they have to be there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "scenarios.md"


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`([a-z0-9]+/test_\w+\.py)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 15
    assert [name for name in named if not (TESTS / name).is_file()] == []
