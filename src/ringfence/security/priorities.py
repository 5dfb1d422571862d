"""What an ``rph`` token (RFC 8443) authorizes, and who may sign it.

Such a token says that its caller may use the values of Resource-Priority that it lists. It says so on the authority of
whoever gives out the priorities of a namespace, who is seldom the one that speaks for the caller's address. So it
proves no caller, and a certificate for a domain or a number gives no right to sign one: policy names who may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence.message.errors import PeerError
from ringfence.message.fields.resource_priority import ResourcePriority, parse_resource_priority
from ringfence.security.identity import IdentityFlaw
from ringfence.security.reasons import Reason
from ringfence.security.tnauth import Credential

PPT = "rph"
"""The PASSporT type, and the name of its claim (RFC 8443 section 3)."""

MAX_PRIORITIES = 64
"""Most values in one token: there are some fifty namespaces, and a caller has one or two."""


def authorized(claims: Mapping[str, Any]) -> frozenset[ResourcePriority]:
    """The values in ``auth`` of the ``rph`` claim; empty when it is missing or malformed. Other keys are left to
    future specifications (RFC 8443 section 5)."""
    claim = claims.get(PPT)
    values = claim.get("auth") if isinstance(claim, dict) else None
    if not isinstance(values, list) or len(values) > MAX_PRIORITIES:
        return frozenset()
    found: set[ResourcePriority] = set()
    for value in values:
        if not isinstance(value, str):
            return frozenset()
        try:
            found.add(parse_resource_priority(value))
        except PeerError:
            return frozenset()
    return frozenset(found)


def priority_flaws(
    credential: Credential, claims: Mapping[str, Any], authorities: Mapping[str, frozenset[str]]
) -> list[Reason]:
    """Why the certificate may not sign these priorities (RFC 8443 section 7.2); empty when it may.

    ``authorities`` has, for each namespace in lower case, domains and SHA-256 fingerprints of certificates. One value
    of a foreign namespace spoils the token: "there is only one authority per claim" (section 3).
    """
    names = credential.domains | {credential.fingerprint}
    strange = {
        each.namespace
        for each in authorized(claims)
        if names.isdisjoint(authorities.get(each.namespace, frozenset()))
    }
    return [
        Reason(IdentityFlaw.PRIORITY, f"{credential.subject} may not give priority in {name:.20}")
        for name in sorted(strange)
    ]
