"""The ringfence.toml of one node of several: what `ringfence init --role` writes, and adds to the core's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ringfence.service.config import Config
from ringfence.service.problems import toml

FIRST_METRICS_PORT = 9090
"""Of the core; each node that joins takes the next one, so that all of them can run on one machine."""


class Joined(NamedTuple):
    """The core that a node joins, by its configuration."""

    config: Config
    uri: str
    """How the other nodes reach it."""

    @property
    def name(self) -> str:
        """The name in its certificate that the others know it by."""
        return self.config.node.name


def uri_of(name: str, port: int | None) -> str:
    """How the other nodes of a network reach one of its nodes: by its name, over TLS."""
    return f"sip:{name}" if port in (None, 5061) else f"sip:{name}:{port}"


def render_node(
    domain: str,
    role: str,
    hosts: Sequence[str],
    listen: Sequence[tuple[str, str, int]],
    core: Joined | None,
) -> str:
    """The text of a configuration. ``hosts``: the node's names, the first the one that the others know it by."""
    ports = listen or ([("tls", "*", 5061)] if role != "edge" else ())
    return "".join(
        (
            f"# The {role} of {domain}. Check changes with: ringfence check\n"
            f"# All keys and their defaults: ringfence check --reference. The roles: docs/roles.md\n\n"
            f"[domain]\nname = {toml(domain)}\n\n"
            f"[node]\nroles = [{toml(role)}]\nname = {toml(hosts[0])}\nadvertise = {toml(tuple(hosts))}\n"
            f'data_dir = "data"\n\n',
            _tls(role),
            _database(core),
            _metrics(core),
            _identity(role, domain),
            "" if core is None else _proxy(role, core),
            "".join(_listen(*each) for each in ports),
            "" if core is None else peer("core", core.name),
        )
    )


def peer(role: str, name: str) -> str:
    """The section by which one node knows another."""
    return f"\n[[peer]]\nname = {toml(name)}\nrole = {toml(role)}\ncertificate_names = [{toml(name)}]\n"


def way_out(uri: str) -> str:
    """The section that a core gets when a border proxy joins."""
    return f"\n[proxy]\n# What leaves the domain goes through this node.\noutbound = {toml(uri)}\n"


def _tls(role: str) -> str:
    text = '[tls]\ncertificate = "tls/server.pem"\nkey = "tls/server.key"\nca = "tls/ca.pem"\n'
    if role == "core":
        text += (
            "# Only nodes of this network come here, and all of them have a certificate of this CA.\n"
            'client_certificates = "required"\nsystem_trust = false\n'
        )
    return text + "\n"


def _database(core: Joined | None) -> str:
    if core is None:
        return ""
    return (
        "[database]\n# The accounts, which the core has, too. For nodes on several machines: PostgreSQL.\n"
        f"url = {toml(core.config.database_url)}\n\n"
    )


def _metrics(core: Joined | None) -> str:
    number = 0 if core is None else 1 + len(core.config.peer)
    return f'[metrics]\nlisten = "127.0.0.1:{FIRST_METRICS_PORT + number}"\n'


def _identity(role: str, domain: str) -> str:
    if role != "outbound":
        return ""
    return (
        "\n[identity]\n# Calls that leave are signed here (RFC 8224) once others can fetch tls/identity.pem.\n"
        f'sign = false\n# url = "https://{domain}/.well-known/ringfence/identity.pem"\n'
    )


def _proxy(role: str, core: Joined) -> str:
    return f"\n[proxy]\ncore = {toml(core.uri)}\n" if role == "edge" else ""


def _listen(transport: str, host: str, port: int) -> str:
    return f"\n[[listen]]\ntransport = {toml(transport)}\nhost = {toml(host)}\nport = {port}\n"
