"""The ways into a running node besides SIP: the control socket, and HTTP for health, metrics and certificates."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ringfence.service.charging import unblock_command
from ringfence.service.control import ControlServer
from ringfence.service.expiry import expired, expiring
from ringfence.service.health import Check, health_app
from ringfence.service.publish import publisher
from ringfence.service.web import WebServer

if TYPE_CHECKING:
    from ringfence.service.process import Node


async def open_control(node: Node, stack: contextlib.AsyncExitStack) -> None:
    """Take commands on the control socket."""
    control = ControlServer(
        node.parts.config.control_socket,
        {
            "status": node.status,
            "reload": node.reload_command,
            "stop": node.stop_command,
            "trace": node.trace.command,
            **node.parts.protection.commands(),
            "unblock": unblock_command(node.parts.services.charging),
            **node.acme.commands(),
        },
    )
    await control.start()
    stack.push_async_callback(control.stop)


async def open_http(node: Node, stack: contextlib.AsyncExitStack) -> None:
    """Serve /metrics and /healthz."""
    config = node.parts.config
    address = config.metrics.address
    if address is None:
        return
    checks: dict[str, Check] = {
        "database": lambda: _check_database(node),
        "certificates": lambda: expired(config),
    }
    app = health_app(
        node.metrics,
        checks,
        node.facts,
        {"certificates": lambda: expiring(config), "acme": node.acme.problem},
    )
    await _open_web(node, stack, WebServer(app, address))


async def open_publisher(node: Node, stack: contextlib.AsyncExitStack) -> None:
    """Serve the certificates that calls are signed with."""
    config = node.parts.config
    address = config.identity.publish_address
    if address is None:
        return
    app = publisher((url, path) for url, path, _ in config.identity.signers)
    await _open_web(node, stack, WebServer(app, address, config.shown_pair))


async def _open_web(node: Node, stack: contextlib.AsyncExitStack, web: WebServer) -> None:
    await web.start()
    node.web.append(web)
    stack.push_async_callback(web.stop)


async def _check_database(node: Node) -> str | None:
    await node.parts.store.refresh()
    return None
