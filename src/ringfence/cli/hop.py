"""The options by which commands agree with their server on the security of the hop to it (RFC 3329)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from ringfence.cli.failure import Exit, Failure

if TYPE_CHECKING:
    from ringfence.client import IpsecSettings

AgreeOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--agree",
        metavar="HOW",
        help="Agree on the security of the hop to the server: tls, digest, ipsec-3gpp, ipsec-ike or ipsec-man; several "
        "if several are good enough.",
    ),
]
IpsecOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ipsec",
        metavar="FILE",
        help="What IPsec needs, as TOML: subscriber, or keys, spi_in and spi_out, or vici and certificate; port, "
        "client_port.",
    ),
]


def agreement_of(agree: list[str] | None, ipsec: Path | None) -> dict[str, Any]:
    """What the agent is told."""
    return {
        "security_agreement": agree or False,
        "ipsec": read_settings(ipsec) if ipsec is not None else None,
    }


def read_settings(path: Path) -> IpsecSettings:
    """The settings in a file; its paths start from where it stands."""
    from ringfence.client import IpsecSettings

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in ("subscriber", "keys", "vici", "certificate"):
            if name in values:
                values[name] = path.parent / values[name]
        return IpsecSettings(**values)
    except OSError as error:
        raise Failure(Exit.BAD_DATA, f"{path}: {error.strerror}", "name a file that can be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise Failure(
            Exit.BAD_DATA, f"{path}: {error}", 'write subscriber = "alice.keys", or see --help'
        ) from None
