"""From the bindings of a user to the targets of a request (RFC 3261 section 16.5, RFC 5626 section 7)."""

from __future__ import annotations

from dataclasses import replace

from ringfence.message import SipUri, parse_uri
from ringfence.roles.call import Target
from ringfence.roles.outgoing import request_uri
from ringfence.store.records import Binding


def targets_for(bindings: tuple[Binding, ...], *, secure: bool) -> tuple[Target, ...]:
    """One target for each phone, best q first. ``secure``: the request is ``sips``, and goes to such contacts only.

    Bindings come in the order in which they are to be tried. Those of one instance are one phone: "the proxy MUST NOT
    populate the target set with more than one contact with the same AOR and instance-id at a time". The latest is
    tried, and another one only when its flow turns out to be dead.
    """
    if len(bindings) == 1:
        only = _target(bindings[0], secure)
        return (only,) if only is not None else ()
    phones: dict[object, list[Target]] = {}
    for binding in sorted(bindings, key=lambda each: (-each.q, -each.updated)):
        target = _target(binding, secure)
        if target is None:
            continue
        phone = (
            (binding.aor, binding.instance) if binding.instance else (target.uri, target.flow, target.route)
        )
        others = phones.setdefault(phone, [])
        if binding.instance or not others:  # "any given URI MUST NOT be added to the set more than once"
            others.append(target)
    return tuple(replace(flows[0], others=tuple(flows[1:])) for flows in phones.values())


def _target(binding: Binding, secure: bool) -> Target | None:
    uri = parse_uri(binding.contact)
    if not isinstance(uri, SipUri) or (secure and not uri.secure):
        return None
    text = request_uri(uri, binding.contact)
    tls = uri.secure and not secure
    if tls:
        # RFC 5630 section 5.3: "the proxy MUST replace that SIPS scheme with a SIP scheme while leaving the rest of
        # the URI as is", and use TLS.
        text = f"sip{text[4:]}"
    only_flow = binding.reg_id > 0 or uri.host.endswith(".invalid")
    target = Target(text, binding.path, binding.flow, only_flow, binding.q, tls, True)
    if binding.privacy:
        target.privacy = frozenset(binding.privacy)
    return target
