"""The option by which commands ask for privacy (RFC 3323)."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

PrivacyOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--privacy",
        metavar="WHAT",
        help="What to keep from the other side: header, session, user, id, history, and critical where the call is "
        "rather not made than without; several with commas. none: nothing, whatever the account asks for.",
    ),
]
