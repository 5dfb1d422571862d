"""The commands of ``ringfence``, and what happens to an error that none of them has dealt with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from ringfence.cli import admin_token, cert_acme, user_credit, user_import, user_privacy
from ringfence.cli.admin import admin
from ringfence.cli.answer import answer
from ringfence.cli.audit import audit
from ringfence.cli.ban import ban
from ringfence.cli.bench import bench
from ringfence.cli.call import call
from ringfence.cli.caller import caller
from ringfence.cli.cert import cert
from ringfence.cli.check import check
from ringfence.cli.console import console
from ringfence.cli.demo import demo
from ringfence.cli.failure import debugging, explain, show
from ringfence.cli.init import init
from ringfence.cli.ledger import ledger
from ringfence.cli.message import message
from ringfence.cli.node import reload, status, stop
from ringfence.cli.output import keep_output_whole
from ringfence.cli.parse import parse
from ringfence.cli.plan import plan
from ringfence.cli.register import register
from ringfence.cli.serve import serve
from ringfence.cli.trace import trace
from ringfence.cli.user import user
from ringfence.cli.verify import verify

COMMANDS: Sequence[Callable[..., None]] = (
    init,
    serve,
    console,
    demo,
    check,
    audit,
    bench,
    plan,
    status,
    reload,
    stop,
    trace,
    parse,
    verify,
    register,
    call,
    answer,
    message,
)
"""One file for each. A new one is imported above and named here."""

GROUPS: Sequence[tuple[str, typer.Typer]] = (
    ("user", user),
    ("admin", admin),
    ("cert", cert),
    ("caller", caller),
    ("ban", ban),
    ("ledger", ledger),
)
"""Commands that have commands of their own."""

MORE_COMMANDS = (admin_token, cert_acme, user_import, user_credit, user_privacy)
"""Files that add commands to a group."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (that of the process, if None) and exit with its code."""
    keep_output_whole()
    try:
        build()(args=arguments, prog_name="ringfence")
    except Exception as error:
        if debugging():
            raise
        code, lines = explain(error)
        show(lines)
        sys.exit(code)


def build() -> typer.Typer:
    """The command line as an object of typer."""
    app = typer.Typer(
        name="ringfence",
        help="A secure-by-default SIP network for a domain.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global_options)
    for command in COMMANDS:
        app.command()(command)
    for name, group in GROUPS:
        app.add_typer(group, name=name)
    return app


def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _show_version(wanted: bool) -> None:
    from importlib.metadata import version
    from platform import python_version

    from ringfence.message import parser

    if wanted:
        compiled = not (parser.__file__ or "").endswith(".py")
        made = "compiled" if compiled else "not compiled"
        typer.echo(f"ringfence {version('ringfence')} ({made}, Python {python_version()})")
        raise typer.Exit
