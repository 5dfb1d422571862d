"""The ringfence.toml that `ringfence init` writes: what its owner has to see, and no more.

Every key has a default that is good; those here are the ones that differ from place to place.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from ringfence.service.config import Config
from ringfence.service.problems import example, section_in, toml

_TEMPLATE = """\
# Ringfence for {domain}. Check changes with: ringfence check
# All keys and their defaults: ringfence check --reference

[domain]
name = {name}

[node]
name = {host}
# Names of this machine in DNS, if phones reach it by others than its addresses.
advertise = {advertise}
data_dir = "data"

[tls]
certificate = "tls/server.pem"
key = "tls/server.key"
ca = "tls/ca.pem"

[security]
# true closes the plaintext ports. Leave it false while there are phones without TLS.
require_tls = {require_tls}

[identity]
# Calls to other domains are signed (RFC 8224) when others can fetch tls/identity.pem: copy it to a web server, or
# serve it here with publish = "0.0.0.0:8443"; then name its URL and write sign = true. Domains that have not been
# given tls/ca.pem believe a certificate of a public CA for this domain, with a key on P-256, in its place.
sign = false
# url = "https://{domain}/.well-known/ringfence/identity.pem"
{listen}"""

_LISTEN = """
[[listen]]
transport = {transport}
host = {host}
port = {port}
"""

_DEFAULTS = """
# Without [[listen]] sections, these ports are open on every address:
# tls 5061, wss 5443, tcp 5060, udp 5060
"""


def render(
    domain: str,
    *,
    host: str,
    advertise: Sequence[str] = (),
    require_tls: bool = False,
    listen: Sequence[tuple[str, str, int]] = (),
) -> str:
    """The text of a configuration. `host` is the name of this machine; `listen` has transport, host, port."""
    ports = "".join(
        _LISTEN.format(transport=toml(transport), host=toml(address), port=port)
        for transport, address, port in listen
    )
    return _TEMPLATE.format(
        domain=domain,
        name=toml(domain),
        host=toml(host),
        advertise=toml(tuple(advertise)),
        require_tls=toml(require_tls),
        listen=ports or _DEFAULTS,
    )


def reference() -> str:
    """Every section and key with its meaning and default, as a commented configuration."""
    return "\n".join(_reference())


def _reference() -> Iterator[str]:
    for name, field in Config.model_fields.items():
        section = section_in(field.annotation)
        assert section is not None  # Config has sections only
        yield from _comment(section.__doc__)
        keys = list(_keys(section))
        if section is field.annotation:
            yield from (f"[{name}]", *keys)
        else:  # an example: as it stands it would take the place of the default list
            yield f"# [[{name}]]"
            yield from (line if line.startswith("#") else f"# {line}" for line in keys)
        yield ""


def _keys(section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield from _comment(field.description)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        value = toml(example(field) if default is None else default)
        yield f"{name} = {value}" if field.is_required() else f"# {name} = {value}"


def _comment(text: str | None) -> list[str]:
    return textwrap.wrap(" ".join((text or "").split()), 100, initial_indent="# ", subsequent_indent="# ")
