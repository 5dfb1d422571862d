#!/usr/bin/env python3
"""Write the table in docs/privacy.md: what becomes of each header field, from `security/privacy.py`.

python scripts/privacy_table.py            # write the file
python scripts/privacy_table.py --print    # to the terminal
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from ringfence.roles.bridge.bodies import NAMING
from ringfence.security.privacy import HARMLESS, OTHERS, TABLE, Privacy, Row, Treatment

TARGET = Path(__file__).parents[1] / "docs" / "privacy.md"

BEGIN, END = "<!-- made by scripts/privacy_table.py -->", "<!-- end -->"

VALUES = (Privacy.HEADER, Privacy.SESSION, Privacy.USER, Privacy.ID, Privacy.HISTORY)


def page() -> str:
    """The whole page, with the table as the code has it."""
    text = TARGET.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def table() -> str:
    """Both tables: header fields and bodies."""
    return "\n".join([*_fields(), "", *_bodies()])


def _fields() -> Iterator[str]:
    yield f"| header field | {' | '.join(VALUES)} | why |"
    yield "|---|" + "---|" * (len(VALUES) + 1)
    rows = [row for row in TABLE.values() if row.treatment is not Treatment.KEEP]
    for (treatment, values, why), same in groupby(rows, key=lambda row: (row.treatment, row.values, row.why)):
        yield _row(", ".join(row.name for row in same), Row("", treatment, values, why))
    yield _row(OTHERS.name, OTHERS)
    yield f"| {', '.join(sorted(HARMLESS))} |{' |' * len(VALUES)} kept: says what is wanted, not by whom |"


def _row(names: str, row: Row) -> str:
    cells = [row.treatment if value in row.values else "" for value in VALUES]
    return f"| {names} | {' | '.join(cells)} | {row.why} |"


def _bodies() -> Iterator[str]:
    yield "| body, for `user` | what becomes of it |"
    yield "|---|---|"
    lost = "loses o= user, s=, i=, u=, e=, p=, tool, CNAMEs and other names; for `session` it is written anew"
    yield f"| application/sdp | {lost} |"
    yield "| message/sipfrag | reduced to its first line |"
    for kind, why in NAMING.items():
        yield f"| {kind} | left out: it {why} |"
    yield "| S/MIME | passes as it is, or the request is refused where privacy is `critical` |"
    yield "| anything else | kept: it is what the person says |"


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(table())
    else:
        TARGET.write_text(page(), encoding="utf-8")
