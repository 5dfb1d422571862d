"""docs/machines.md is drawn from the tables that run."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_tables_say() -> None:
    drawn = runpy.run_path(str(ROOT / "scripts" / "draw_machines.py"))["page"]()
    assert (ROOT / "docs" / "machines.md").read_text(encoding="utf-8") == drawn, (
        "run scripts/draw_machines.py"
    )
