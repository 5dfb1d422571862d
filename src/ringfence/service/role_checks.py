"""The rules of `ringfence check` about the nodes of one network: each is known to those that it has to do with."""

from __future__ import annotations

from collections.abc import Iterator

from ringfence.message import sip_uri
from ringfence.service.config import Config
from ringfence.service.finding import Finding, error, warning
from ringfence.service.lines import KeyPath

MET_BY = {"core": ("edge",), "outbound": ("core", "edge")}
"""Who sends to a role behind the edges: one of these has to be named, or nobody is served."""


def network_holds_together(config: Config) -> Iterator[Finding]:
    """Edges, core and border proxy name one another."""
    role = config.node.roles[0]
    if role in MET_BY and not any(peer.role in MET_BY[role] for peer in config.peer):
        wanted = " or ".join(MET_BY[role])
        reason = f"{role} serves only nodes of its own network, and no [[peer]] has the role {wanted}"
        yield error(config, ("node", "roles"), reason, f'add [[peer]] with role = "{MET_BY[role][0]}"')
    for key, name in (("core", config.proxy.core), ("outbound", config.proxy.outbound)):
        if name:
            yield from _known(config, key, name)


def _known(config: Config, role: str, uri: str) -> Iterator[Finding]:
    host = sip_uri(uri).host
    if any(peer.role == role and host in peer.certificate_names for peer in config.peer):
        return
    reason = f"{host} is no [[peer]] with role = {role!r}: what it sends is taken for a stranger's"
    fix = f'add [[peer]] with role = "{role}" and certificate_names = ["{host}"]'
    yield error(config, ("proxy", role), reason, fix)


def the_inside_is_closed(config: Config) -> Iterator[Finding]:
    """Behind the edges there is TLS with certificates on both sides, and nothing else."""
    role = config.node.roles[0]
    if role != "core":
        return
    for place, each in enumerate(config.listen):
        if each.transport != "tls":
            key: KeyPath = ("listen", place, "transport")
            reason = f"edges come to a core by TLS: nobody is served on {each.transport} {each.port}"
            yield warning(config, key, reason, 'write transport = "tls", or remove the port')
    if config.tls.client_certificates != "required":
        reason = "whoever has no certificate is refused by the core only after TLS has let it in"
        key = ("tls", "client_certificates")
        yield warning(config, key, reason, 'write client_certificates = "required"')


def the_border_signs(config: Config) -> Iterator[Finding]:
    """Calls are signed where they leave the domain."""
    inside = config.node.roles[0] == "core" or bool(config.proxy.core)
    if inside and config.identity.sign:
        reason = "nothing leaves the domain here, so nothing is signed"
        yield warning(config, ("identity", "sign"), reason, "write sign = true at the border proxy instead")
