"""What `ringfence check` says about certificates from an ACME server. `RULES` in `checks` lists it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec

from ringfence.service.acme_files import current, is_for, last_failure, names_of
from ringfence.service.config import Config
from ringfence.service.finding import Finding, error, warning
from ringfence.service.lines import KeyPath


def certificates_can_be_ordered(config: Config) -> Iterator[Finding]:
    """The library is there, the names are the right ones, and the last order was filled."""
    if not config.acme.enabled:
        return
    key: KeyPath = ("acme", "directory")
    if find_spec("acme") is None:
        yield error(config, key, "the library for ACME is not there", "run pip install 'ringfence[acme]'")
    if not config.acme.agree_to_terms and config.acme.ca is None:
        reason = "a public authority has terms of service, and issues nothing before they are agreed to"
        yield warning(config, ("acme", "agree_to_terms"), reason, "read them and write agree_to_terms = true")
    yield from _names(config)
    certificate, failure = current(config), last_failure(config)
    if failure is not None:
        reason = (
            f"the order of {time.strftime('%Y-%m-%d %H:%M', time.localtime(failure[1]))} failed: {failure[0]}"
        )
        yield warning(config, key, reason, "mend that; ringfence cert acme tries again")
    elif certificate is None or not is_for(config, certificate):
        reason = f"no certificate for {', '.join(names_of(config))} has been issued yet"
        yield warning(config, key, reason, "start the node, or run ringfence cert acme")


def _names(config: Config) -> Iterator[Finding]:
    key: KeyPath = ("acme", "names")
    names = names_of(config)
    for domain in sorted(config.domains.difference(names)):
        reason = f"{domain} is not among the names: other domains refuse to connect (RFC 5922)"
        yield error(config, key, reason, f'add "{domain}"')
    if config.inside_names and config.node.name in names:
        reason = f"the other nodes know {config.node.name} by a certificate of our own CA, and would be shown this one"
        yield error(config, key, reason, f'leave out "{config.node.name}"')
