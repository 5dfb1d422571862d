"""``ringfence cert acme``: a certificate of the ACME server now, rather than when the node gets round to it."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import typer

from ringfence.cli.cert import cert
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import print_facts, print_json, remark
from ringfence.service.config import Config
from ringfence.service.control import CommandError
from ringfence.service.control_client import NodeUnavailable, stream


@cert.command()
def acme(
    force: Annotated[bool, typer.Option("--force", help="Also when it is not due yet.")] = False,
    revoke_old: Annotated[
        bool,
        typer.Option(
            "--revoke-old", help="Renew it, and have the old one revoked: its key is known to others."
        ),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Get the certificate of [acme], or renew it where that is due. A running node does it and uses it at once."""
    loaded = load_config(config)
    if not loaded.acme.enabled:
        fix = 'write directory = "https://..." under [acme] (docs/certificates.md)'
        raise Failure(Exit.NO, "no ACME server is named", fix)
    force = force or revoke_old
    try:
        answer = next(stream(loaded.control_socket, "acme", force=force, revoke=revoke_old), None)
    except NodeUnavailable:
        answer = _here(loaded, force, revoke_old)  # no node runs: nobody else orders
    except CommandError as error:
        if error.reason.startswith("unknown command"):
            fix = "start it again, so that it reads [acme]"
            raise Failure(Exit.NO, "the running node knows of no ACME server", fix) from None
        raise Failure(Exit.TRY_AGAIN, error.reason) from None
    if answer is None:
        raise Failure(Exit.UNAVAILABLE, "the node hung up", "see its log")
    if json:
        print_json(answer)
        return
    print_facts({name: value for name, value in answer.items() if name != "issued"})
    if not answer["issued"]:
        remark("It is not due yet; --force renews it all the same.")


def _here(config: Config, force: bool, revoke_old: bool) -> dict[str, Any]:
    from ringfence.service.acme import facts, obtain
    from ringfence.service.acme_client import AcmeError
    from ringfence.service.acme_files import current, is_for, renewal_due

    certificate = current(config)
    if certificate is not None and not force and is_for(config, certificate):
        due = renewal_due(certificate)
        if due > time.time():
            return facts(config, certificate) | {"issued": False}
    try:
        return facts(config, asyncio.run(obtain(config, revoke_old=revoke_old))) | {"issued": True}
    except AcmeError as error:
        raise Failure(Exit.TRY_AGAIN, str(error)) from None
