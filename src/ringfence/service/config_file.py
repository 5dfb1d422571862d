"""The file of a configuration, and the files with secrets that it names: what can be wrong with them as files."""

from __future__ import annotations

import re
from pathlib import Path

from ringfence.security.pem import key_file_flaw
from ringfence.service.problems import ConfigError, Problem

MAX_CONFIG_BYTES = 1_000_000
"""A configuration is some kilobytes; a larger file is another file."""


def exposure(secret: Path) -> str | None:
    """Why the mode of a file with a secret is too open, or None; also None where there is no file."""
    try:
        flaw = key_file_flaw(secret.stat().st_mode)
    except OSError:
        return None
    return flaw and flaw.partition(": chmod")[0]


def read_text(path: Path) -> str:
    """The text of a configuration. Raises `ConfigError`."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(
                [Problem(str(path), None, "", "too large for a configuration", "name another file")]
            )
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        fix = "run ringfence init DOMAIN, or name the file with --config"
        raise ConfigError([Problem(str(path), None, "", "there is no such file", fix)]) from None
    except OSError as error:
        raise ConfigError([Problem(str(path), None, "", f"can't be read: {error.strerror}", "")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(path), None, "", "is not UTF-8", "save it as UTF-8")]) from None


def syntax_problem(path: Path, message: str, text: str) -> Problem:
    """What tomllib objects to. It puts the place at the end of its message: "... (at line 3, column 5)"."""
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = int(place[1] or len(text.splitlines())) if place else None
    reason = message[: place.start()] if place else message
    fix = 'write key = value; a text stands in quotes: name = "example.org"'
    return Problem(path.name, line, "", f"is not TOML: {reason[:1].lower()}{reason[1:]}", fix)
