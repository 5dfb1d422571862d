"""Ask one probe of one server."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ringfence.audit.finding import Finding, Requirement
from ringfence.audit.line import Pace, Place
from ringfence.audit.requirements import REQUIREMENTS
from ringfence.audit.run import audit
from ringfence.audit.site import Login, Site
from ringfence.audit.target import Target
from ringfence.service.config import Config
from ringfence.transport.contexts import Contexts, TlsSettings
from tests.audit.server import DOMAIN, PASSWORDS, Server, certificates

WAIT = 0.4
"""Seconds for an answer: it comes at once, and silence costs so much."""

LOGINS = tuple(Login(user, password) for user, password in PASSWORDS.items())

PROBES = {probe.name: (requirement, probe) for requirement in REQUIREMENTS for probe in requirement.probes}


def site_of(
    server: Server,
    *,
    logins: tuple[Login, ...] = LOGINS,
    trust: tuple[Path, ...] = (),
    config: Config | None = None,
) -> Site:
    places = tuple(Place(transport, endpoint, DOMAIN) for transport, endpoint in server.places)
    return Site(Target("weak", DOMAIN, places), WAIT, Pace(400), logins, config, trust=trust, patience=3.0)


async def probe(name: str, site: Site) -> Finding:
    """The finding of one probe."""
    requirement, chosen = PROBES[name]
    only = Requirement(requirement.number, requirement.name, requirement.demand, (chosen,))
    return (await audit(site, [only], seconds=30)).findings[0]


def tls(
    directory: Path,
    *names: str,
    lifetime: float = 90 * 86_400.0,
    age: float = 0.0,
    ask: Literal["none", "optional", "required"] = "optional",
    weak_key: bool = False,
) -> tuple[Contexts, Path]:
    """Contexts of a server with a certificate for these names, and its root."""
    root, leaf, key = certificates(
        directory, *(names or (DOMAIN,)), lifetime=lifetime, age=age, bits=1024 if weak_key else 0
    )
    settings = TlsSettings(trust=(root,), client_certificates=ask)
    if not weak_key:
        return Contexts(replace(settings, certificates=((leaf, key),))), root
    contexts = Contexts(settings)
    contexts.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    contexts.server.set_ciphers("ALL:@SECLEVEL=0")
    contexts.server.load_cert_chain(leaf, key)
    return contexts, root
