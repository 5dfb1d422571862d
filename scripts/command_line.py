"""Write docs/command-line.md: every command with its arguments and options, from the program itself.

Run it after a change of the command line: ``make docs``. A test compares its output with the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from ringfence.cli.app import build
from ringfence.cli.failure import Exit

PAGE = Path(__file__).parents[1] / "docs" / "command-line.md"

HEAD = """# The command line

Made from the program by `make docs`; with `--help` each command says the same. Where one reads the configuration,
`--config` names it; without, it is `ringfence.toml` in this directory, then `/etc/ringfence/ringfence.toml`.
`--json` prints facts for programs. Errors are one line each on standard error, never a traceback.

| exit code | meaning |
|---|---|
"""

CODES = {
    Exit.GOOD: "done",
    Exit.NO: "done, and the answer is no: refused, not there, not proven",
    Exit.USAGE: "the command line is wrong",
    Exit.BAD_DATA: "a file or value is wrong: the configuration, a message, an address",
    Exit.UNAVAILABLE: "what is needed is not there: the node, the database, a file",
    Exit.OUR_BUG: "a fault of ours; a report is kept",
    Exit.TRY_AGAIN: "busy; try again",
}


def page() -> str:
    """The whole page."""
    root = typer.main.get_command(build())
    codes = "".join(f"| {code.value} | {text} |\n" for code, text in CODES.items())
    return HEAD + codes + "".join(_commands("ringfence", root))


def _commands(name: str, command: Any) -> Iterator[str]:
    if inner_commands := getattr(command, "commands", None):
        for each, inner in inner_commands.items():
            yield from _commands(f"{name} {each}", inner)
        return
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    words = [f"[{_name(each)}]" if not each.required else _name(each) for each in arguments]
    yield f"\n## {name}\n\n    {' '.join([name, '[OPTIONS]', *words])}\n\n{_text(command.help)}\n"
    rows = [each for each in command.params if each.name != "help" and not getattr(each, "hidden", False)]
    if rows:
        yield "\n| | |\n|---|---|\n"
        yield from map(_row, rows)


def _name(parameter: Any) -> str:
    return (parameter.metavar or parameter.name or "").strip("{}[]").upper()


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"| `{_name(parameter)}` | {_text(getattr(parameter, 'help', '') or '')} |\n"
    names = [*parameter.opts, *parameter.secondary_opts]
    metavar = "" if parameter.is_flag else f" {parameter.metavar or (parameter.name or '').upper()}"
    text = _text(getattr(parameter, "help", "") or "")
    if parameter.required:
        text += " Required."
    default = getattr(parameter, "default", None)
    if default not in (None, False, True, "", (), []) and not callable(default):
        text += f" Default: `{default}`."
    written = f"{', '.join(names)}{metavar}".replace("|", "\\|")
    return f"| `{written}` | {text.strip()} |\n"


def _text(text: str | None) -> str:
    return " ".join((text or "").replace("\b", "").split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
