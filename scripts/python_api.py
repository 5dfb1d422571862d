#!/usr/bin/env python3
"""Write what docs/python-api.md takes from the source: every public name, and the examples.

python scripts/python_api.py            # write the file
python scripts/python_api.py --print    # the names, to the terminal
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import ringfence

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "python-api.md"

BEGIN, END = "<!-- made by scripts/python_api.py -->", "<!-- end -->"

EXAMPLE = re.compile(r"<!-- example (\w+\.py) -->\n```python\n.*?```", re.DOTALL)
"""A block with the whole of a file in examples/."""


def page() -> str:
    """The whole page, with names and examples as they are."""
    text = TARGET.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return EXAMPLE.sub(_example, f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")


def table() -> str:
    """Each name of ``ringfence.__all__`` with what it is, and the first sentence of its docstring."""
    return "\n".join(["| name | is | |", "|---|---|---|", *_rows()])


def _rows() -> Iterator[str]:
    for name in ringfence.__all__:
        value = getattr(ringfence, name)
        yield f"| `{name}` | {_kind(value)} | {_first_sentence(value)} |"


def _kind(value: object) -> str:
    if not isinstance(value, type):
        return "function"
    return "exception" if issubclass(value, Exception) else "class"


def _first_sentence(value: object) -> str:
    paragraph = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    sentence = re.split(r"(?<=\.) (?=[A-Z`])", paragraph, maxsplit=1)[0]
    return sentence.replace("``", "`").replace("|", "\\|")


def _example(found: re.Match[str]) -> str:
    program = (ROOT / "examples" / found[1]).read_text(encoding="utf-8")
    return f"<!-- example {found[1]} -->\n```python\n{program}```"


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(table())
    else:
        TARGET.write_text(page(), encoding="utf-8")
