"""What the demo says of what was seen: promises, kept or broken, as a line for people and as facts for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.text import Text

from ringfence.cli.ladder import Arrow


class Promise(NamedTuple):
    """Something that the network promises, and whether it was kept."""

    text: str
    kept: bool


def verdict(promises: Sequence[Promise]) -> Text:
    """The promises in one line; of broken ones, what was not kept."""
    good = all(promise.kept for promise in promises)
    text = Text().append("✓ " if good else "✗ ", "bold green" if good else "bold red")
    shown = [promise.text for promise in promises if promise.kept is good]
    return text.append(("" if good else "broken: ") + "; ".join(shown))


def message_facts(arrow: Arrow, start: float) -> dict[str, Any]:
    """One arrow, for a program."""
    return {
        "seconds": round(arrow.time - start, 6),
        "from": arrow.source,
        "to": arrow.target,
        "message": arrow.label,
        "secure": arrow.secure,
        "status": arrow.status,
    }
