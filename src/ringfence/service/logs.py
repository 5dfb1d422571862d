"""Logs: one line for each event, for machines (JSON) or people (console), with no secret in it.

A logger call passes this list, in order: too many of one event are dropped, the exception becomes text, then
everything is redacted and made harmless, and only then rendered. So whatever a peer sent or an exception
said, credentials don't reach the log, and no value can forge a line or move a terminal's cursor.

A call about somebody who asked for privacy (RFC 3323) is logged with ``private=True``; identities are then
left out.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"
PRIVATE = "[private]"

MAX_LINES_PER_SECOND = 100
"""Of one event name below "error". A flood must not fill the disk or take the processor; the next line of
that name says how many were left out."""

MAX_VALUE = 2000
"""Characters of one value: a long header value tells no more, and a line stays a line."""

LONGEST_READ = 2 * MAX_VALUE
"""Characters of one value that are looked at: nobody must have us search the longest datagram there is."""

SECRET_KEYS = frozenset(
    {
        "authorization",
        "cnonce",
        "cookie",
        "credentials",
        "ha1",
        "key",
        "nonce",
        "opaque",
        "passphrase",
        "password",
        "private_key",
        "proxy_authorization",
        "secret",
        "token",
    }
)
"""Names whose value is never written, whatever it is."""

IDENTITY_KEYS = frozenset(
    {
        "account",
        "aor",
        "call_id",
        "callee",
        "caller",
        "contact",
        "display_name",
        "from",
        "identity",
        "peer",
        "remote",
        "to",
        "uri",
        "user",
    }
)
"""Names whose value tells who somebody is, or where. Phones write their address into the Call-ID."""

_SECRETS: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (
        ("authorization", "cookie"),
        re.compile(r"(?im)\b((?:proxy-)?authorization|cookie)(\s*[:=]\s*)[^\r\n]+"),
        rf"\1\2{REDACTED}",
    ),
    (
        ("response=", "nonce=", "rspauth=", "opaque=", "password=", "passwd=", "ha1="),
        re.compile(
            r"""(?i)\b(response|c?nonce|nextnonce|rspauth|opaque|password|passwd|ha1)=("[^"]*(?:"|\Z)|[^\s,;"']+)"""
        ),
        rf"\1={REDACTED}",
    ),
    (
        ("-----begin ",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
        REDACTED,
    ),
    (("a=crypto:",), re.compile(r"(?i)\b(a=crypto:\d+ \S+ inline:)[^\s|;]+"), rf"\1{REDACTED}"),
    (
        ("a=ice-pwd:", "a=key-mgmt:"),
        re.compile(r"(?im)^(a=(?:ice-pwd|key-mgmt):(?:mikey )?)\S+"),
        rf"\1{REDACTED}",
    ),
    (("k=",), re.compile(r"(?m)^(k=(?:clear|base64|uri):)\S+"), rf"\1{REDACTED}"),
    (
        ("@",),
        re.compile(
            r"(?i)\b(sips?:[^\s:@<>\"]{1,128}|[a-z][a-z0-9+.-]{0,31}://[^\s:@/]{0,128}):[^\s@/]{1,256}@"
        ),
        rf"\1:{REDACTED}@",
    ),
)
"""Credentials as they stand in messages, SDP (RFC 4566, 4567, 4568, 8839), configuration and URLs: words without which
there are none, the pattern, what stays. Most texts have none, and finding a word costs a twentieth of a pattern. What
is repeated has a bound wherever it could begin at each character: the text is a stranger's, and a search must not take
its square."""

_IDENTITIES = re.compile(r"(?i)\b(sips?|tel|im|pres|mailto):[^\s<>\"',;?]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What forges a line, moves a cursor or turns the direction of text; and octets of a peer that are no UTF-8, which
stand in text as lone surrogates and could not be written to a file."""


def redact(text: str) -> str:
    """The text without credentials."""
    folded = text.casefold()  # not lower(): a long s, too, is an s to a pattern that ignores case
    for words, pattern, replacement in _SECRETS:
        if any(word in folded for word in words):
            text = pattern.sub(replacement, text)
    return text


def redact_identities(text: str) -> str:
    """The text without addresses of people."""
    return _IDENTITIES.sub(rf"\1:{PRIVATE}", text)


def configure(*, level: str = "info", console: bool = False, stream: TextIO | None = None) -> None:
    """Send the logs of Ringfence and of the libraries it uses to the stream (standard error).

    To be called once for a process. `level` is "debug", "info", "warning" or "error"; `console` is for
    people.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=processors(console=console, color=console and (stream or sys.stderr).isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    # One level less of libraries: their "info" is our "debug", and their "debug" may hold statements and values.
    root.setLevel(max(threshold + 10, logging.INFO))


def log_file(path: Path | None) -> TextIO | None:
    """The file to log to, a line at a time; None for standard error. Raises OSError."""
    return None if path is None else path.open("a", encoding="utf-8", buffering=1)


def processors(*, console: bool, color: bool = False) -> list[Processor]:
    """What a log event passes, in order."""
    render: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if console:
        render = structlog.dev.ConsoleRenderer(colors=color)
    return [
        FloodLimit(),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        explain_exception,
        redact_event,
        render,
    ]


class FloodLimit:
    """Let at most `MAX_LINES_PER_SECOND` events of one name through in a second; errors always pass."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = 0
        self._seen: Counter[str] = Counter()
        self._suppressed: Counter[str] = Counter()

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if method in ("error", "exception", "critical"):
            return event
        name = str(event["event"])
        if (second := int(self._clock())) != self._second:
            self._second = second
            self._seen.clear()
        self._seen[name] += 1
        if self._seen[name] > MAX_LINES_PER_SECOND:
            self._suppressed[name] += 1
            raise structlog.DropEvent
        if suppressed := self._suppressed.pop(name, 0):
            event["suppressed"] = suppressed
        return event


def explain_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put an exception into one line: what it is, and the calls that led to it."""
    raised = event.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        event["error"] = f"{type(error).__name__}: {error}"
        calls = traceback.extract_tb(error.__traceback__)
        event["trace"] = " > ".join(
            f"{call.filename.rpartition('/')[2]}:{call.lineno} {call.name}" for call in calls
        )
    return event


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out credentials, identities where ``private`` is set, and whatever would break the line."""
    private = bool(event.pop("private", False))
    return {key: _clean(key, value, private) for key, value in event.items()}


def _clean(key: str, value: Any, private: bool) -> Any:
    name = key.lower().replace("-", "_")
    if value is None or isinstance(value, bool):
        return value
    if name in SECRET_KEYS:
        return REDACTED
    if private and name in IDENTITY_KEYS:
        return PRIVATE
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {str(inner): _clean(str(inner), each, private) for inner, each in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes | bytearray):
        return [_clean(key, each, private) for each in value]
    text = value if isinstance(value, str) else _text(value)
    whole = len(text) <= MAX_VALUE
    text = redact(text[:LONGEST_READ])
    if private:
        text = redact_identities(text)
    text = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
    return text if whole and len(text) <= MAX_VALUE else text[:MAX_VALUE] + "..."


def _text(value: object) -> str:
    return (
        bytes(value).decode("utf-8", "backslashreplace")
        if isinstance(value, bytes | bytearray)
        else str(value)
    )


class _Forward(logging.Handler):
    """What libraries log by `logging` goes the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(structlog.get_config()["logger_factory"], structlog.stdlib.LoggerFactory):
            return  # somebody has turned it round since: it came from there, and would come back for ever
        log = structlog.get_logger()
        log.log(record.levelno, record.name, text=record.getMessage(), exc_info=record.exc_info)
