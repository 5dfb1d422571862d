"""``ringfence console``: the web console, beside a node of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, load_config
from ringfence.cli.output import remark
from ringfence.message import LocalError
from ringfence.service.addresses import Address, parse_address
from ringfence.service.config import Config
from ringfence.service.logs import configure

Pair = Callable[[], tuple[Path, Path]]
"""The certificate and the key, as they are now."""

DEFAULT = "127.0.0.1:8443"

RENEW_SECONDS = 600.0
"""How often the certificate is read again: the node may have a new one."""


def console(
    listen: Annotated[
        str, typer.Option(metavar="ADDRESS:PORT", help="Where browsers find it, over https.")
    ] = DEFAULT,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name by which browsers may ask for it, besides the domain."),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its certificate. Default: that of the node.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The key of that certificate.")] = None,
    config: ConfigOption = None,
) -> None:
    """Serve the web console over https, until Ctrl-C. Sign in as an administrator (ringfence admin)."""
    import uvloop

    loaded = load_config(config)
    try:
        address = parse_address(listen)
    except ValueError:
        raise Failure(Exit.USAGE, f"{listen!r} is not an address", f"write one such as {DEFAULT}") from None

    def tls() -> tuple[Path, Path]:
        return certificate or loaded.shown_pair[0], key or loaded.shown_pair[1]

    _check(*tls())
    hosts = [loaded.domain.name, "localhost", "127.0.0.1", "[::1]", *loaded.node.advertise, *(host or ())]
    configure(level=loaded.log.level, console=True)
    raise typer.Exit(uvloop.run(_serve(loaded, address, tls, hosts)))


def _check(certificate: Path, key: Path) -> None:
    """Before anything is opened, since the server reads them late."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # SSLError is one
        reason = f"{certificate} with {key} is no certificate to serve with: {error.strerror or error}"
        raise Failure(Exit.UNAVAILABLE, reason, "name others with --certificate and --key") from None


async def _serve(config: Config, address: Address, tls: Pair, hosts: list[str]) -> int:
    from ringfence.console.app import make_app, opened
    from ringfence.service.web import WebServer

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with opened(config) as office:
        web = WebServer(make_app(office, hosts), address, tls())
        try:
            await web.start()
        except OSError as error:
            reason = f"cannot listen on {address}: {(error.strerror or str(error)).partition(' (')[0]}"
            raise Failure(Exit.UNAVAILABLE, reason, "name another port with --listen") from None
        remark(f"The console is at https://{web.address}/ ; sign in as an administrator.")
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), RENEW_SECONDS)
            with contextlib.suppress(LocalError):  # half written: the old one holds until the next look
                web.renew(*tls())
        await web.stop()
    return 0
