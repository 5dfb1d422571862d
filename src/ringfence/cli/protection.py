"""The options by which ``call``, ``answer`` and ``message`` protect what they say end to end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from ringfence.client import Protection, Smime

SignOption: TypeAlias = Annotated[bool, typer.Option("--sign", help="Sign it, so that changes are noticed.")]
EncryptOption: TypeAlias = Annotated[
    bool, typer.Option("--encrypt", help="Encrypt it to the other side: no server on the way can read it.")
]
TunnelOption: TypeAlias = Annotated[
    bool, typer.Option("--tunnel", help="Protect the header fields too, by a copy of them inside.")
]
AibOption: TypeAlias = Annotated[
    bool, typer.Option("--aib", help="Add a signed statement of who you are (RFC 3893).")
]
SubjectOption: TypeAlias = Annotated[
    str,
    typer.Option("--subject", metavar="TEXT", help="What it is about; with --encrypt nobody else sees it."),
]
CertificateOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        metavar="FILE",
        envvar="RINGFENCE_CERTIFICATE",
        help="Your certificate, from ringfence cert issue --user; its key is beside it, as .key.",
        show_envvar=True,
    ),
]
KnownOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--certificates",
        metavar="DIR",
        envvar="RINGFENCE_CERTIFICATES",
        help="Certificates of others; new ones are kept there, so that a change is noticed.",
        show_envvar=True,
    ),
]


def make_smime(certificate: Path | None, known: Path | None) -> Smime:
    """What the agent signs, encrypts and verifies with; authorities are those of --trust."""
    from ringfence.client import Smime

    return Smime(certificate=certificate, directory=known)


def facts_of(protection: Protection | None) -> dict[str, object]:
    """What is told about the protection of something that came; nothing where there was none."""
    if protection is None:
        return {}
    signer = protection.signer.text if protection.signer is not None else None
    return {
        "protection": str(protection),
        "signer": signer,
        "changed": [line.name for line in protection.changed],
        "hidden": protection.hidden,
        "warnings": list(protection.warnings),
    }
