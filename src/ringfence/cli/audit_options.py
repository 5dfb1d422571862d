"""The options of ``ringfence audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

TargetArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="[TARGET]",
        help='"sips:example.org", "example.org", or "sip:192.0.2.1:5060;transport=udp". '
        "Default: the node of the configuration.",
    ),
]
Domain: TypeAlias = Annotated[
    str | None,
    typer.Option("--domain", metavar="NAME", help="The domain that it serves, if the target is an address."),
]
Also: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--also", metavar="URI", help="Another port of it: sip:192.0.2.1:5061;transport=tls."),
]
User: TypeAlias = Annotated[
    str | None, typer.Option("--user", metavar="NAME", help="A test account on it: no phone of anybody.")
]
PasswordFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--password-file", metavar="FILE", help="Its password, in the first line; - is standard input."
    ),
]
SecondUser: TypeAlias = Annotated[
    str | None,
    typer.Option("--second-user", metavar="NAME", help="Another one, to see what reaches a callee."),
]
SecondPasswordFile: TypeAlias = Annotated[
    Path | None, typer.Option("--second-password-file", metavar="FILE", help="Its password.")
]
Trust: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--trust", metavar="FILE", help="Roots that its certificate may come from. Default: the system's."
    ),
]
Only: TypeAlias = Annotated[
    list[str] | None, typer.Option("--only", metavar="NAME", help="Only this requirement, by number or name.")
]
Rate: TypeAlias = Annotated[float, typer.Option("--rate", min=1, max=1000, help="Messages a second.")]
WholeTime: TypeAlias = Annotated[float, typer.Option("--seconds", min=5, max=3600, help="For all of it.")]
Wait: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--wait", min=0.1, max=30, help="Seconds for an answer. Default: 1 on this machine, else 3."
    ),
]
Burst: TypeAlias = Annotated[
    bool, typer.Option("--burst/--no-burst", help="Send 120 requests at once and 12 wrong passwords, too.")
]
Evidence: TypeAlias = Annotated[
    bool, typer.Option("--evidence", help="Show the messages of what is not good.")
]
Html: TypeAlias = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a report for people, too.")
]
Junit: TypeAlias = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write one for build servers, too.")
]
Operated: TypeAlias = Annotated[
    bool, typer.Option("--i-operate-this", help="The server is yours, and you want it to be probed.")
]
Strict: TypeAlias = Annotated[bool, typer.Option("--strict", help="What is weak counts as failed.")]
