"""What ``register``, ``call``, ``answer`` and ``message`` share: who calls, by which server, and how it is told.

The password comes from a file, the environment or a prompt, never from the command line, which every user of the
machine can read.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.text import Text

from ringfence.cli.failure import Exit, Failure, debugging
from ringfence.cli.output import console, print_json
from ringfence.service.logs import configure

if TYPE_CHECKING:
    from ringfence.client import Media, RequestFailed, UserAgent

ADDRESS_VARIABLE = "RINGFENCE_ADDRESS"
PASSWORD_VARIABLE = "RINGFENCE_PASSWORD"  # noqa: S105  (the name of a variable)
STANDARD_INPUT = Path("-")

AddressArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="AOR", help="Your address, such as sips:alice@example.org.")
]
FromOption: TypeAlias = Annotated[
    str,
    typer.Option("--from", metavar="AOR", envvar=ADDRESS_VARIABLE, help="Your address.", show_envvar=True),
]
ProxyOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--proxy", metavar="URI", help="The server to send everything to. Default: that of your domain."
    ),
]
TrustOption: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--trust", metavar="FILE", help="Root certificates of servers. Default: those of the system."
    ),
]
TransportOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--transport", metavar="T", help="udp, tcp, tls, ws or wss, where the URI leaves it open."),
]
PasswordOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help=f"Its first line is the password; - is standard input. Else {PASSWORD_VARIABLE}, else a prompt.",
    ),
]
UserOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--username", metavar="NAME", help="Your name for the password. Default: that of the address."
    ),
]
Md5Option: TypeAlias = Annotated[
    bool, typer.Option("--md5", help="Answer a server that only knows MD5. What it sees can be cracked.")
]
DirectOption: TypeAlias = Annotated[
    bool, typer.Option("--direct", help="Use no server: send straight to the address, listen for calls.")
]
PlayOption: TypeAlias = Annotated[
    Path | None, typer.Option("--play", metavar="FILE", help="A WAV file to play.")
]
RecordOption: TypeAlias = Annotated[
    Path | None, typer.Option("--record", metavar="FILE", help="A WAV file to write what is heard to.")
]
EncryptionOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--srtp", metavar="HOW", help="off, optional or required. Default: required for sips: calls."
    ),
]


def make_agent(
    address: str,
    *,
    proxy: str | None,
    trust: list[Path] | None,
    transport: str | None,
    password_file: Path | None,
    username: str = "",
    md5: bool = False,
    direct: bool = False,
    register: bool = False,
    **more: Any,
) -> UserAgent:
    """The agent that the options describe, not open yet. Asks for the password if it has to."""
    from ringfence.client import UserAgent
    from ringfence.security.digest import STRONG, Algorithm

    if direct and proxy is not None:
        raise Failure(Exit.USAGE, "--direct uses no server, --proxy names one", "give one of them")
    return UserAgent(
        address,
        password=None if direct else read_password(password_file, address),
        username=username,
        algorithms=(*STRONG, Algorithm.MD5) if md5 else STRONG,
        proxy=proxy,
        trust=tuple(trust or ()),
        transport=transport,
        register=register and not direct,
        **more,
    )


def make_media(
    play: Path | None, record: Path | None, encryption: str | None, *, repeat: bool = False
) -> Media:
    """The audio that the options describe."""
    from ringfence.client import Encryption, Media

    if play is not None and not play.is_file():
        raise Failure(Exit.BAD_DATA, f"there is no file {play}", "name a WAV file")
    if record is not None and not os.access(record.parent, os.W_OK):
        raise Failure(
            Exit.UNAVAILABLE, f"{record.parent} can't be written to", "name another file for --record"
        )
    try:
        how = Encryption(encryption) if encryption is not None else None
    except ValueError:
        raise Failure(
            Exit.USAGE, f"--srtp {encryption} means nothing", "write off, optional or required"
        ) from None
    return Media(play=play, record=record, encryption=how, repeat=repeat)


def read_password(source: Path | None, address: str) -> str:
    """The password, from where it is. Raises Failure when it is nowhere, or empty."""
    if source == STANDARD_INPUT:
        password = sys.stdin.readline().rstrip("\r\n")
    elif source is not None:
        lines = source.read_text(encoding="utf-8").splitlines()
        password = lines[0] if lines else ""
    elif PASSWORD_VARIABLE in os.environ:
        password = os.environ[PASSWORD_VARIABLE]
    elif sys.stdin.isatty():
        password = getpass.getpass(f"Password of {address}: ")
    else:
        fix = f"use --password-file, or set {PASSWORD_VARIABLE}; --direct needs none"
        raise Failure(Exit.USAGE, f"no password for {address}, and no terminal to ask on", fix)
    if not password:
        raise Failure(
            Exit.BAD_DATA, f"the password of {address} is empty", "give the one that the server knows"
        )
    return password


# -- telling -------------------------------------------------------------------------------------------

_SENTENCES = {
    "registered": "Registered {address} for {seconds} s",
    "unregistered": "No longer registered",
    "failed": "Not registered: {reason}",
    "listening": "Listening at {addresses}",
    "calling": "Calling {to}",
    "ringing": "It rings",
    "progress": "{status} {reason}",
    "protection": "End to end: {protection}",
    "warning": "Warning: {reason}",
    "verdict": "Read by {read}; changed unnoticed by {change}, header fields by {fields}; audio heard by {audio}",
    "early-media": "Audio before the answer",
    "redirected": "Sent on to {to}",
    "incoming": "A call from {peer} ({evidence})",
    "answered": "Answered: {peer} ({evidence}); audio {audio}",
    "connected": "Connected with {peer} ({evidence})",
    "held": "The other side has put you on hold",
    "resumed": "The other side is back",
    "key": "Key {key}",
    "text": "{text}",
    "transferred": "Transferred to {to}",
    "ended": "Ended: {reason}",
    "sent": "Delivered to {to}",
}


class Teller:
    """Tells what happens: a line of JSON for each event, or a sentence."""

    def __init__(self, json: bool) -> None:
        self._json = json

    def __call__(self, event: str, **facts: object) -> None:
        if self._json:
            print_json({"event": event, **facts}, lines=True)
            return
        sentence = _SENTENCES.get(event)
        if "encrypted" in facts:
            facts["audio"] = "encrypted" if facts["encrypted"] else "not encrypted"
        if sentence is None:
            text = f"{event.capitalize()}: {', '.join(str(value) for value in facts.values())}"
        else:
            text = sentence.format_map(facts)
        console().print(Text("".join(each if each.isprintable() else "?" for each in text)))

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Show that something is awaited, on a terminal only."""
        if self._json or not sys.stderr.isatty():
            return nullcontext()
        return Console(stderr=True).status(text)


# -- running -------------------------------------------------------------------------------------------


def run(work: Coroutine[Any, Any, Exit], *, interrupted: Exit = Exit.GOOD) -> None:
    """Do the work of a command and exit with its code; a signal ends it in good order, with the other code."""
    from ringfence.client import RequestFailed  # all of the client: other commands save the time

    configure(level="debug" if debugging() else "critical", console=True)
    try:
        code = asyncio.run(_stoppable(work, interrupted))
    except RequestFailed as error:
        raise failure_of(error) from None
    if code is not Exit.GOOD:
        raise typer.Exit(code)


async def _stoppable(work: Coroutine[Any, Any, Exit], interrupted: Exit) -> Exit:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return interrupted
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def failure_of(error: RequestFailed) -> Failure:
    """What a request that failed means for the command: the answer is no, or nobody could be asked."""
    status = error.status
    retry = error.response is not None and "Retry-After" in error.response.headers
    if status in (401, 403, 407):
        return Failure(Exit.NO, str(error), "check the address, the name and the password")
    if status == 503 and not retry:
        tls = "TLS" in error.reason
        fix = "name its certificate authority with --trust" if tls else "check --proxy and --transport"
        return Failure(Exit.UNAVAILABLE, str(error), fix)
    if retry or status == 491:
        return Failure(Exit.TRY_AGAIN, str(error), "try again later")
    if status == 408 or 500 <= status < 600:
        return Failure(Exit.UNAVAILABLE, str(error), "the other side does not do its part")
    return Failure(Exit.NO, str(error))
