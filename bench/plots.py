"""Draw what was measured as SVG: bars with their spread, in colours that can be read on white and on black.

python bench/plots.py            from what the package keeps, into docs/images/
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from ringfence.bench.measure import Measured, is_beside
from ringfence.bench.rows import ALL

ROOT = Path(__file__).parents[1]
OURS, THEIRS, GREY = "#2f81f7", "#d29922", "#8b949e"
"""Readable on white and on black."""
WIDTH, LEFT, BAR = 820, 330, 13
"""In pixels: of all, of the names, and of one bar."""

Bar = tuple[str, str, Sequence[float]]
"""The name of a bar's series, its colour, and the runs."""


def draw(kept: dict[str, Any], directory: Path) -> None:
    """Both pictures, of the rows that there are."""
    rows = [Measured.of(each) for each in kept.get("rows", []) if each["row"] in ALL]
    beside = [
        (f"{row.row}: {row.what}", [("Ringfence", OURS, row.us()), ("Kamailio", THEIRS, row.us("kamailio"))])
        for row in rows if is_beside(ALL[row.row])
    ]  # fmt: skip
    prices = [
        (f"{row.row}: {row.what}", [("Ringfence", OURS, row.us())]) for row in rows if ALL[row.row].price
    ]
    for name, title, groups in (
        ("bench-rows", "CPU microseconds a call, Ringfence and Kamailio", beside),
        ("bench-prices", "CPU microseconds a call, with one thing after another turned on", prices),
    ):
        if groups:
            (directory / f"{name}.svg").write_text(bars(title, groups), encoding="utf-8")


def bars(title: str, groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """A picture: a group of bars for each row, their medians at the end, least to most as a line."""
    most = max(max(runs) for _, group in groups for _, _, runs in group if runs)
    scale = (WIDTH - LEFT - 70) / most
    lines, told, top = [], [], 34
    for name, group in groups:
        shown = [each for each in group if each[2]]
        middle = top + len(shown) * BAR / 2 + 4
        lines.append(f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{escape(name)}</text>')
        for series, colour, runs in shown:
            value = statistics.median(runs)
            y = top + BAR / 2
            lines.append(
                f'<rect x="{LEFT}" y="{top}" width="{value * scale:.1f}" height="{BAR - 2}" fill="{colour}"/>'
            )
            ends = [LEFT + each * scale for each in (min(runs), max(runs))]
            lines.append(f'<path d="M{ends[0]:.1f} {y - 1}H{ends[1]:.1f}" stroke="{GREY}" stroke-width="2"/>')
            lines.append(f'<text x="{ends[1] + 6:.1f}" y="{top + BAR - 3}">{value:.0f}</text>')
            told.append(f"{name}, {series}: {value:.0f}")
            top += BAR
        top += 9
    legend, place = [], LEFT
    for series, colour in {each[0]: each[1] for _, group in groups for each in group}.items():
        legend.append(f'<rect x="{place}" y="10" width="11" height="11" fill="{colour}"/>')
        legend.append(f'<text x="{place + 16}" y="20">{escape(series)}</text>')
        place += 110
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 6}" role="img" '
            'aria-labelledby="title desc" font-family="system-ui, sans-serif" font-size="12" fill="#8b949e">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape("; ".join(told))}</desc>',
            *legend,
            *lines,
            "</svg>\n",
        ]
    )


def main() -> None:
    """Draw from what is kept."""
    kept = json.loads((ROOT / "src" / "ringfence" / "bench" / "measured.json").read_text(encoding="utf-8"))
    draw(kept, ROOT / "docs" / "images")


if __name__ == "__main__":
    main()
