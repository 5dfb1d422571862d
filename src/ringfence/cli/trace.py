"""``ringfence trace``: the messages that pass a running node, as they pass, drawn as a ladder."""

from __future__ import annotations

import os
import sys
from base64 import b64decode
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeAlias

import typer
from rich.text import Text

from ringfence.cli.failure import Exit, Failure
from ringfence.cli.ladder import Arrow, Ladder
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import console, print_json, remark
from ringfence.cli.plain import clean
from ringfence.message import PeerError, parse
from ringfence.service.capture import beginning, packet
from ringfence.service.capture_file import opened
from ringfence.service.capture_reader import Heard, messages
from ringfence.service.control import CommandError
from ringfence.service.control_client import stream
from ringfence.service.logs import redact
from ringfence.service.trace import FILTER_KEYS, Filter, facts_of

OnlyOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        "-f",
        metavar="KEY=WORD[,WORD...]",
        help=f"Only messages that fit; may be repeated. Keys: {', '.join(FILTER_KEYS)}. Status: 486 or 4xx.",
    ),
]
TextOption: TypeAlias = Annotated[
    bool, typer.Option("--text", help="Show whole messages, without credentials.")
]
WhoOption: TypeAlias = Annotated[
    bool,
    typer.Option("--who", help="Say of each INVITE and MESSAGE who could read it and who change it."),
]
CountOption: TypeAlias = Annotated[
    int | None, typer.Option("--count", min=1, help="End after that many messages.")
]
PcapOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--pcap",
        metavar="FILE",
        allow_dash=True,
        help="Write a capture (pcapng) for Wireshark instead, TLS taken off; - for: | wireshark -k -i -",
    ),
]
ReadOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--read", metavar="FILE", help="Draw the messages of a capture file (pcap, pcapng), without any node."
    ),
]


def trace(
    only: OnlyOption = None,
    text: TextOption = False,
    who: WhoOption = False,
    count: CountOption = None,
    pcap: PcapOption = None,
    read: ReadOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Watch the messages that pass the running node. Ctrl-C ends it."""
    wanted = _check(only or [])
    if read is not None:
        if pcap is not None or who:
            raise Failure(Exit.USAGE, "--read goes with --filter, --text, --count and --json")
        _draw_capture(read, wanted, text=text, count=count, json=json)
        return
    if pcap is not None and (json or text or who):
        raise Failure(
            Exit.USAGE, "--pcap has whole messages, and nothing else", "leave out --json, --text, --who"
        )
    loaded = load_config(config)
    if pcap is not None:
        events = stream(loaded.control_socket, "trace", filter=only or [], data=True)
        _capture(pcap, events, count)
        return
    screen = console()
    ladder = Ladder(width=screen.width)
    try:
        for shown, event in enumerate(
            stream(loaded.control_socket, "trace", filter=only or [], text=text), 1
        ):
            if json:
                print_json(event, lines=True)
            else:
                screen.print(ladder.rows(arrow_of(event, loaded.domain.name)))
                _show_rest(event, who=who)
            if shown == count:
                return
    except KeyboardInterrupt:
        return  # it is how a trace ends


def _capture(path: Path, events: Iterable[dict[str, Any]], count: int | None) -> None:
    to_pipe = str(path) == "-"
    if to_pipe and sys.stdout.isatty():
        raise Failure(Exit.USAGE, "a capture is nothing for a terminal", "pipe it: | wireshark -k -i -")
    written = 0
    try:
        with open(sys.stdout.fileno(), "wb", closefd=False) if to_pipe else _private_file(path) as file:
            file.write(beginning(f"ringfence {version('ringfence')}"))
            file.flush()
            for written, event in enumerate(events, 1):
                file.write(packet(event, b64decode(event["data"])))
                file.flush()  # who reads along sees it now, and what ends this by a signal loses nothing
                if lost := event.get("lost"):
                    remark(f"{lost} messages are missing: they came faster than they were written")
                if written == count:
                    break
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # Ctrl-C, or Wireshark was closed: it is how a capture ends
    if not to_pipe:
        remark(f"{written} messages in {path}")


def _private_file(path: Path) -> BinaryIO:
    """A file that nobody else may read: who calls whom stands in it."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _draw_capture(path: Path, wanted: Filter, *, text: bool, count: int | None, json: bool) -> None:
    try:
        data = opened(path.read_bytes())
    except OSError as error:
        raise Failure(Exit.UNAVAILABLE, f"{path}: {error.strerror}") from None
    screen = console()
    ladder = Ladder(width=screen.width)
    shown = 0
    for heard in messages(data):
        event = captured_event(heard, text=text)
        if not wanted.fits(event):
            continue
        if json:
            print_json(event, lines=True)
        else:
            row = (event["time"], event["source"], event["target"], event["start"])
            note = "" if event["transport"] == "UDP" else event["transport"]
            screen.print(ladder.rows(Arrow(*row, status=event["status"], note=note)))
            _show_rest(event, who=False)
        shown += 1
        if shown == count:
            break
    if not shown:
        remark("no SIP message fits" if wanted.conditions else f"no SIP message is in {path}")


def captured_event(heard: Heard, *, text: bool) -> dict[str, Any]:
    """A message of a capture as a trace has it. One that can't be read has its first line, and why."""
    event: dict[str, Any] = {
        "time": heard.time,
        "transport": heard.transport,
        "source": heard.source,
        "target": heard.target,
        "remote": f"{heard.source} {heard.target}",
    }
    try:
        event |= facts_of(parse(heard.whole_lines()))
    except PeerError as error:
        if error.message is not None:
            event |= facts_of(error.message)
        else:
            start = heard.data.lstrip(b"\r\n").partition(b"\r\n")[0][:60].decode("utf-8", "replace")
            event |= dict.fromkeys(("method", "cseq", "call_id", "from", "to"), "") | {"status": None}
            event["start"] = clean(start)
        if not heard.missing:
            event["fault"] = error.reason
            event["start"] += f" [malformed: {clean(error.reason)}]"
    if heard.missing:
        event["fault"] = heard.cut()
        event["start"] += f" [cut: {heard.missing} octets]"
    if text:
        event["text"] = redact(heard.data.decode("utf-8", "replace").replace("\r\n", "\n"))
    return event


def _check(filters: list[str]) -> Filter:
    try:
        return Filter.parse(filters)
    except CommandError as error:
        raise Failure(Exit.USAGE, error.reason, error.fix) from None


TOLD = frozenset({"INVITE", "MESSAGE"})
"""Requests that somebody on the way would want to read: who could is shown below them."""


def arrow_of(event: dict[str, Any], node: str) -> Arrow:
    """The row of a trace event, with the node under that name."""
    incoming = event["direction"] == "in"
    source, target = (event["remote"], node) if incoming else (node, event["remote"])
    note = "" if event["secure"] else event["transport"]
    return Arrow(event["time"], source, target, event["start"], event["secure"], event["status"], note)


def _show_rest(event: dict[str, Any], *, who: bool) -> None:
    if lost := event.get("lost"):
        remark(f"{lost} messages were not shown: they came faster than this terminal reads")
    if who and event["method"] in TOLD and (exposure := event.get("exposure")):
        console().print(Text(f"  {exposure}", "dim"))
    if text := event.get("text"):
        safe = "".join(each if each.isprintable() or each == "\n" else "" for each in text)
        console().print(Text(safe, "dim"))
