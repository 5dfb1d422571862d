"""A call drawn as a ladder: a lane for each address, an arrow for each message, in SVG.

The drawing has a title and a description, and each arrow can be reached by the keyboard and opens its message: it is a
link to the text below, which is a list of the same messages in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LANE = 290
"""Pixels between two lanes."""

ROW = 34
TOP = 56
MARGIN = 130


@dataclass(frozen=True, slots=True)
class Arrow:
    """One message. Lengths are in pixels."""

    number: int
    y: int
    x1: int
    x2: int
    label: str
    seconds: str
    secure: bool
    kind: str
    """request, good (below 300), challenge (401, 407) or bad."""

    @property
    def middle(self) -> int:
        """Where the label is."""
        return (self.x1 + self.x2) // 2

    @property
    def right(self) -> bool:
        """Whether it points to the right."""
        return self.x2 > self.x1


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the template puts into SVG."""

    width: int
    height: int
    lanes: list[tuple[int, str]]
    arrows: list[Arrow]


def draw(messages: list[dict[str, Any]], node: str) -> Drawing:
    """The messages of a call as seen from the node: whoever it hears first is on its left, the others on its right."""
    others = list(dict.fromkeys(each["remote"] for each in messages))
    order = [*others[:1], node, *others[1:]]
    places = {name: MARGIN + LANE * place for place, name in enumerate(order)}
    begun = messages[0]["time"] if messages else 0.0
    arrows = [
        _arrow(number, each, places, node, each["time"] - begun) for number, each in enumerate(messages, 1)
    ]
    height = TOP + ROW * (len(arrows) + 1)
    lanes = [(x, name) for name, x in places.items()]
    return Drawing(MARGIN * 2 + LANE * (len(order) - 1), height, lanes, arrows)


def _arrow(number: int, event: dict[str, Any], places: dict[str, int], node: str, seconds: float) -> Arrow:
    ends = (places[event["remote"]], places[node])
    x1, x2 = ends if event["direction"] == "in" else ends[::-1]
    label = event["start"] if len(event["start"]) <= 38 else event["start"][:37] + "…"
    return Arrow(number, TOP + ROW * number, x1, x2, label, f"{seconds:.3f}", event["secure"], _kind(event))


def _kind(event: dict[str, Any]) -> str:
    status = event["status"]
    if status is None:
        return "request"
    if status in (401, 407):
        return "challenge"
    return "good" if status < 300 else "bad"
