#!/usr/bin/env python3
"""Write docs/configuration.md: every section and key of ringfence.toml, from the classes that read it.

python scripts/configuration.py            # write the file
python scripts/configuration.py --print    # to the terminal
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from ringfence.service.config import Config
from ringfence.service.problems import example, section_in, toml

TARGET = Path(__file__).parents[1] / "docs" / "configuration.md"

INTRODUCTION = """\
# ringfence.toml

Made by `scripts/configuration.py` from the classes in `src/ringfence/service` that read the file; a test fails when
this page is not what they say. `ringfence check --reference` prints the same as a commented file.

`ringfence init DOMAIN` writes a configuration that is complete: only `[domain] name` has no default. Paths are relative
to the directory of the file. A key that does not exist, and a value of the wrong kind, are refused with file, line and
a fix; so is a private key that other users of the machine can read. `ringfence check` also looks at what follows for
security, such as an open relay.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for name, field in Config.model_fields.items():
        section = section_in(field.annotation)
        assert section is not None  # Config has sections only
        title = f"[{name}]" if section is field.annotation else f"[[{name}]]"
        yield f"## {title}\n\n{_text(section.__doc__)}\n\n| key | default | meaning |\n|---|---|---|"
        yield from _rows(section)
        yield ""


def _rows(section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if field.is_required():
            default = f"none; such as `{toml(example(field))}`"
        else:
            value = field.get_default(call_default_factory=True)
            default = "" if value is None else f"`{toml(value)}`"
        yield f"| `{name}` | {default} | {_text(field.description)} |"


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        print(page())
    else:
        TARGET.write_text(page(), encoding="utf-8")
