"""The options by which ``call``, ``answer`` and ``message`` protect what they say end to end."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from ringfence.message import LocalError

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

RevocationOption: TypeAlias = Annotated[
    Literal["off", "try", "require"],
    typer.Option(
        "--revocation",
        envvar="RINGFENCE_REVOCATION",
        help="Ask whether the certificates of others are revoked, where they say so (lists, OCSP).",
    ),
]
FetchFromOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--fetch-from",
        metavar="NETWORK",
        envvar="RINGFENCE_FETCH_FROM",
        help="A network that is asked although it is not public, such as 10.0.0.0/8.",
    ),
]


def make_smime(
    certificate: Path | None, known: Path | None, revocation: str, fetch_from: Sequence[str] | None
) -> Smime:
    """What the agent signs, encrypts and verifies with; authorities are those of --trust.

    Raises:
        LocalError: for what is no network.
    """
    from ringfence.client import Smime
    from ringfence.transport.inquiry import Revocation

    for each in fetch_from or ():
        try:
            ip_network(each)
        except ValueError as error:
            raise LocalError(f"--fetch-from {each}: {error}") from None
    return Smime(
        certificate=certificate,
        directory=known,
        revocation=Revocation(revocation),
        fetch_from=tuple(fetch_from or ()),
    )


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
