#!/usr/bin/env python3
"""Write docs/machines.md: every state machine of the engine, drawn from the table that runs.

python scripts/draw_machines.py            # write the file
python scripts/draw_machines.py --print    # to the terminal
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from ringfence.engine import dialog_states, invite_client, invite_server, request_client, request_server
from ringfence.engine.machine import Machine

TARGET = Path(__file__).parents[1] / "docs" / "machines.md"

INTRODUCTION = """\
# State machines

Drawn by `scripts/draw_machines.py` from the tables in `src/ringfence/engine`; a test fails when this page is not what
they say. An arrow is an event, then what is done. What is not drawn changes nothing; the lists say why.
"""

SOURCES: tuple[tuple[Machine, str, str], ...] = (
    (invite_client.MACHINE, "invite_client.py", "RFC 3261 section 17.1.1, RFC 6026 figure 5"),
    (request_client.MACHINE, "request_client.py", "RFC 3261 section 17.1.2, figure 6"),
    (invite_server.MACHINE, "invite_server.py", "RFC 3261 section 17.2.1, RFC 6026 figure 7"),
    (request_server.MACHINE, "request_server.py", "RFC 3261 section 17.2.2, figure 8; RFC 4320"),
    (dialog_states.MACHINE, "dialog_states.py", "RFC 5407 figures 1 and 2"),
)


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(chapter(*source) for source in SOURCES)])


def chapter(machine: Machine, file: str, source: str) -> str:
    """One machine: where it is from, its diagram, what it absorbs."""
    title = f"## {machine.name[0].upper()}{machine.name[1:]}\n\n`engine/{file}`: {source}.\n"
    return "\n".join([title, diagram(machine), absorbed(machine)])


def diagram(machine: Machine) -> str:
    """The table as a Mermaid state diagram; events that do the same share an arrow."""
    arrows: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (state, event), (following, *actions) in machine.table.items():
        done = ", ".join(action.__name__.replace("_", " ") for action in actions)
        arrows[state, following, done].append(event)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {machine.states[0]}"]
    for (state, following, done), events in arrows.items():
        label = ", ".join(events) + (f" / {done}" if done else "")
        lines.append(f"    {state} --> {following}: {label}")
    return "\n".join([*lines, f"    {machine.states[-1]} --> [*]", "```", ""])


def absorbed(machine: Machine) -> str:
    """What changes nothing, by reason."""
    reasons: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (state, event), reason in machine.absorbed.items():
        reasons[reason][state].append(event)
    lines = []
    for reason, states in reasons.items():
        if reason.endswith("is gone"):
            continue  # the last state: every event
        where = "; ".join(f"{state}: {', '.join(events)}" for state, events in states.items())
        lines.append(f"- {where}: {reason}.")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        print(page())
    else:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(page(), encoding="utf-8")
