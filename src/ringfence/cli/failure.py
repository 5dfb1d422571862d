"""How a command fails: an exit code, and one line that names the thing, the reason and the next step.

Nobody who types a command sees a traceback. What we did not foresee is our fault: exit code 70, and the
traceback goes to a file, without credentials, for a bug report. ``RINGFENCE_DEBUG=1`` shows it at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

from ringfence.message import LocalError, PeerError
from ringfence.service.control import CommandError
from ringfence.service.control_client import NodeUnavailable
from ringfence.service.logs import redact
from ringfence.service.problems import ConfigError
from ringfence.store.errors import RecordExists, RecordMissing, StoreBusy, StoreError

DEBUG_VARIABLE = "RINGFENCE_DEBUG"


def debugging() -> bool:
    """Whether the user wants to see tracebacks."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


class Exit(IntEnum):
    """The exit codes, as sysexits.h has them from 64 on."""

    GOOD = 0
    NO = 1
    """The command worked and the answer is no."""
    USAGE = 2
    BAD_DATA = 65
    UNAVAILABLE = 69
    OUR_BUG = 70
    TRY_AGAIN = 75


class Failure(Exception):
    """A command can't do what was asked. `reason` names the thing and what is wrong, `fix` the next step."""

    def __init__(self, code: Exit, reason: str, fix: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.fix = fix


def explain(error: Exception) -> tuple[Exit, list[str]]:
    """The exit code and the lines to show for an error."""
    match error:
        case Failure():
            return error.code, [_line(error.reason, error.fix)]
        case ConfigError():
            return Exit.BAD_DATA, list(map(str, error.problems))
        case NodeUnavailable():
            return Exit.UNAVAILABLE, [_line(error.reason, error.fix)]
        case CommandError():
            return Exit.NO, [_line(error.reason, error.fix)]
        case RecordExists() | RecordMissing():
            return Exit.NO, [str(error)]
        case StoreBusy():
            return Exit.TRY_AGAIN, [str(error)]
        case StoreError():
            return Exit.UNAVAILABLE, [str(error)]
        case LocalError() | PeerError():
            return Exit.BAD_DATA, [str(error)]
        case OSError():
            return Exit.UNAVAILABLE, [_system(error)]
        case _:
            return Exit.OUR_BUG, [_our_bug(error)]


def show(lines: Iterable[str]) -> None:
    """Write lines for people to standard error."""
    for line in lines:
        print(f"ringfence: {redact(line)}", file=sys.stderr)


def _line(reason: str, fix: str) -> str:
    return f"{reason}; {fix}" if fix else reason


def _system(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{error.strerror or error}"


def _our_bug(error: Exception) -> str:
    report = _write_report("".join(traceback.format_exception(error)))
    return (
        f"this is a fault of ringfence ({type(error).__name__}); {report}, {DEBUG_VARIABLE}=1 shows it here"
    )


def _write_report(text: str) -> str:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "ringfence" / "fault.log"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
            file.write(f"{redact(' '.join(sys.argv))}\n{redact(text)}\n")
    except OSError:
        return "its report could not be written"
    return f"the report is in {path}"
