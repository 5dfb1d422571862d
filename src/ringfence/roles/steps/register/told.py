"""What a phone is told of its registration (RFC 3261 section 10.3 step 8)."""

from __future__ import annotations

from email.utils import formatdate
from urllib.parse import quote as escape

from ringfence.message import SipUri
from ringfence.message.fields import CONTACT, PATH, SUPPORTED, Star
from ringfence.message.grammar import quote
from ringfence.roles.call import Call
from ringfence.roles.peers import PeerRole
from ringfence.roles.pipeline import Answer
from ringfence.security.credentials import AuthenticationInfo, Credentials
from ringfence.security.digest import algorithm_of, authentication_info
from ringfence.security.gruu import make_temporary_gruu
from ringfence.store.records import Binding

IN_URI_PARAM = "[]/:&+$-_.!~*'()"
"""What may stand in the value of a URI parameter as it is (RFC 3261 section 25.1, paramchar)."""


def told(call: Call, bindings: tuple[Binding, ...], now: float) -> Answer:
    """200 with every binding, and what else a phone wants to hear."""
    supported = call.request.headers.every(SUPPORTED)
    gruu = "gruu" in supported
    headers: list[tuple[str, str]] = [("Contact", _contact(call, each, now, gruu=gruu)) for each in bindings]
    if "path" in supported:
        headers += (("Path", value) for value in call.request.headers.all("Path"))  # RFC 3327 section 5.3
    headers += (("Service-Route", f"<{uri}>") for uri in _service_route(call))
    if _is_outbound(call, bindings):
        headers += (("Supported", "path, outbound"), ("Require", "outbound"))  # RFC 5626 section 6
    headers.append(("Date", formatdate(now, usegmt=True)))
    if (info := _authentication_info(call, now)) is not None:
        headers.append(("Authentication-Info", info))
    return Answer(200, headers=tuple(headers))


def _service_route(call: Call) -> tuple[str, ...]:
    """The way that a phone's requests should take (RFC 3608): what the owner wrote, else back through its edge.

    The Path turned round: an edge of ours has put each of its two sides there (RFC 3608 section 6.2). The flow that
    it names, in the user part, is the phone's own, which it has no need to be told.
    """
    configured = call.services.policy.registrar.service_route
    if configured or call.findings.role != PeerRole.EDGE:
        return configured
    return tuple(
        str(SipUri(entry.uri.scheme, None, entry.uri.host, entry.uri.port, entry.uri.params.without("ob")))
        for entry in reversed(call.request.headers.every(PATH))
        if isinstance(entry.uri, SipUri)
    )


def _is_outbound(call: Call, bindings: tuple[Binding, ...]) -> bool:
    """Whether this REGISTER, and not an earlier one, made a binding with a reg-id."""
    asked = any(
        not isinstance(each, Star) and "reg-id" in each.params for each in call.request.headers.every(CONTACT)
    )
    return asked and any(each.reg_id and each.call_id == call.request.call_id for each in bindings)


def _contact(call: Call, binding: Binding, now: float, *, gruu: bool) -> str:
    parts = [f"<{binding.contact}>"]
    if binding.q != 1.0:
        parts.append(f";q={binding.q:g}")
    if binding.instance:
        parts.append(f";+sip.instance={quote(binding.instance)}")
    if binding.reg_id:
        parts.append(f";reg-id={binding.reg_id}")
    parts.append(f"{binding.params};expires={max(0, round(binding.expires_at - now))}")
    if gruu and binding.temporary_gruu:
        parts += _gruus(call, binding, now)
    return "".join(parts)


def _gruus(call: Call, binding: Binding, now: float) -> tuple[str, str]:
    """RFC 5627 section 5.2; of the scheme that the contact has (RFC 5630 section 5.2.1)."""
    domain = call.services.policy.domain
    scheme = "sips" if binding.contact[:5].lower() == "sips:" else "sip"
    user = binding.aor.removeprefix("sip:")
    instance = escape(binding.public_gruu, safe=IN_URI_PARAM, errors="surrogateescape")
    temporary = make_temporary_gruu(call.services.gruu_key, binding.temporary_gruu, int(now * 1e6))
    return (f';pub-gruu="{scheme}:{user};gr={instance}"', f';temp-gruu="{scheme}:{temporary}@{domain};gr"')


def _authentication_info(call: Call, now: float) -> str | None:
    """RFC 7616 section 3.5: our proof that we know the password too, and a fresh nonce before the old one ends."""
    user, credentials = call.findings.user, call.findings.credentials
    algorithm = algorithm_of(credentials) if credentials is not None else None
    if user is None or credentials is None or algorithm is None:
        return None
    services = call.services
    if services.remote is not None and services.remote.nonces is not None:
        nextnonce = call.findings.nextnonce or None  # RFC 5090 section 3.5: as the server wants it
    else:
        nextnonce = services.new_nonce(call.flow) if services.nonces.ageing(credentials.nonce, now) else None
    ha1 = user.account.credentials.get(algorithm.plain) if services.remote is None else None
    if ha1 is None:  # somebody else knows the password, who may have sent the proof (RFC 5090 section 2.1.3)
        return _without_password(credentials, nextnonce, call.findings.rspauth)
    return str(authentication_info(credentials, ha1, nextnonce=nextnonce))


def _without_password(credentials: Credentials, nextnonce: str | None, rspauth: str) -> str | None:
    if rspauth:
        return str(
            AuthenticationInfo(nextnonce, credentials.qop, rspauth, credentials.cnonce, credentials.nc)
        )
    return str(AuthenticationInfo(nextnonce)) if nextnonce is not None else None
