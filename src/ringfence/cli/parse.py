"""``ringfence parse``: what a SIP message says, or what is wrong with it.

One message gives one JSON object. Several (more files than one, a stream, a capture) give JSON lines, an object a line,
in the order of the input. A message with a fault has ``error``, and what could be read of it besides.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.cli.failure import Exit
from ringfence.cli.plain import clean, plain
from ringfence.message import PeerError, Request, Response, sdp
from ringfence.message import parse as read
from ringfence.message.fields import REGISTRY
from ringfence.message.framing import Framer, FramingError, Mark
from ringfence.message.grammar import split_list
from ringfence.message.multipart import Entity
from ringfence.message.validate import validate
from ringfence.service.capture_file import is_capture, opened
from ringfence.service.capture_reader import messages

STDIN = Path("-")
# JSON escapes C0 controls; a terminal would obey DEL and C1 too, and a message comes from anybody.
_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
CHUNK = 65_536
"""Octets that are handed to the framing at once, as a socket would."""


def parse(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            help="Files of one message each, or captures (pcap, pcapng); standard input without one, or for -.",
            show_default=False,
        ),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="The input is a stream: messages one after the other.")
    ] = False,
    lf: Annotated[
        bool, typer.Option("--lf", help="Take LF for CRLF, as in a message that was saved as text.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON for each message.")] = False,
) -> None:
    """Read SIP messages and print them as JSON: start line, header fields with their values, body, or the error.

    Exit code 65 when one of them is malformed.
    """
    paths = files or [STDIN]
    good = True
    for path in paths:
        data = _octets(path)
        captured = is_capture(data)
        if lf and not captured:
            data = with_crlf(data)
        for shown in _captured(data) if captured else _stream(data) if stream else [describe(data)]:
            good = good and "error" not in shown
            named = {"file": str(path), **shown} if len(paths) > 1 else shown
            _print(named, one_line=json or stream or captured or len(paths) > 1)
    if not good:
        raise typer.Exit(Exit.BAD_DATA)


def _octets(path: Path) -> bytes:
    try:
        return opened(sys.stdin.buffer.read() if path == STDIN else path.read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from None


def _print(shown: dict[str, Any], *, one_line: bool) -> None:
    text = dumps(shown, indent=None if one_line else 2, ensure_ascii=False)
    print(text.translate(_CONTROLS), flush=one_line)


def with_crlf(data: bytes) -> bytes:
    """A message that was saved as text, as it was sent."""
    data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    # Editors drop the empty line at the end of a message without a body.
    return data if b"\r\n\r\n" in data else data.rstrip(b"\r\n") + b"\r\n\r\n"


def _captured(data: bytes) -> Iterator[dict[str, Any]]:
    """Each SIP message of a capture file, with when and between whom it passed."""
    for heard in messages(data):
        passed = {
            "time": heard.time,
            "transport": heard.transport,
            "source": heard.source,
            "target": heard.target,
        }
        if not heard.missing:
            yield {"packet": passed, **describe(heard.data)}
            continue
        shown = describe(heard.whole_lines()) | _faults([PeerError(400, heard.cut())])
        yield {"packet": passed | {"missing": heard.missing}, **shown}


def _stream(data: bytes) -> Iterator[dict[str, Any]]:
    """Each message of a stream, and the error that ends it; keepalives are left out."""
    framer = Framer()
    for start in range(0, len(data), CHUNK):
        try:
            items = framer.feed(data[start : start + CHUNK])
        except FramingError as error:
            yield from (describe(item) for item in error.complete if not isinstance(item, Mark))
            yield _refused(error)
            return
        yield from (describe(item) for item in items if not isinstance(item, Mark))
    if framer.pending:
        yield _refused(PeerError(400, "the stream ends within a message"))


def describe(data: bytes) -> dict[str, Any]:
    """One message as JSON has it."""
    try:
        message = read(data)
    except PeerError as error:
        return _refused(error)
    shown, faults = _message(message), validate(message)
    if message.body:
        shown["body"] = _entity(Entity(message.headers, message.body), faults)
    return _faults(faults) | shown if faults else shown


def _refused(error: PeerError) -> dict[str, Any]:
    shown = _faults([error])
    if error.message is not None:
        shown |= _message(error.message)
        if error.header is None:  # the start line may be what is wrong
            del shown["start_line"]
    return shown


def _faults(errors: list[PeerError]) -> dict[str, Any]:
    told = []
    for error in errors:
        reason = clean(error.reason)
        if "LF alone" in reason:
            reason += "; --lf takes such a file"
        told.append({"status": error.status, "header": error.header, "reason": reason})
    return {"error": told[0], "errors": told}


def _message(message: Request | Response) -> dict[str, Any]:
    shown: dict[str, Any] = {"start_line": _start_line(message)}
    shown["headers"] = [
        {"name": name, "received": clean(line), "text": clean(text)} | _value(name, text)
        for (name, text), line in zip(message.headers, message.headers.lines, strict=True)
    ]
    return shown


def _start_line(message: Request | Response) -> dict[str, Any]:
    if isinstance(message, Response):
        return {
            "kind": "response",
            "version": "SIP/2.0",
            "status": message.status,
            "reason": clean(message.reason),
        }
    shown = {"kind": "request", "method": message.method, "uri": clean(message.uri), "version": "SIP/2.0"}
    try:
        return shown | {"target": plain(message.target)}
    except PeerError:
        return shown


def _value(name: str, text: str) -> dict[str, Any]:
    """The typed value of one line: a list where the field is one; nothing for a field that we do not know."""
    field = REGISTRY.get(name)
    if field is None:
        return {}
    try:
        if not field.many:
            return {"value": plain(field.parse(text))}
        return {"value": [plain(field.parse(part)) for part in split_list(text, name)]}
    except PeerError as error:
        return {"fault": clean(error.reason)}


def _entity(entity: Entity, faults: list[PeerError]) -> dict[str, Any]:
    """A body or a part of one: its type, and what is in it. What can't be read of it goes to the faults."""
    shown: dict[str, Any] = {"type": None, "length": len(entity.body)}
    content = entity.body
    try:
        shown["type"] = clean(str(entity.media_type))
        parts = entity.parts()
        if parts:
            return shown | {"parts": [_entity(part, faults) for part in parts]}
        content = entity.content()
        if entity.media_type.essence == "application/sdp":
            shown["sdp"] = plain(sdp.parse(content))
    except PeerError as error:
        if error.header != "Content-Type":  # a fault of that field is told already
            faults.append(error)
    try:
        return shown | {"text": content.decode("utf-8")}
    except UnicodeDecodeError:
        return shown | {"base64": base64.b64encode(content).decode("ascii")}
