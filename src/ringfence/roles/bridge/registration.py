"""Anonymous registration: a registrar elsewhere gets a Contact that leads to us and tells of no phone (RFC 3323 4.4).

Nothing is remembered. The Contact holds the phone's own one and the flow that leads to it, sealed; whoever calls it
comes by us, and we open it. The same phone always gets the same one, so that a refresh refreshes. Call-ID and branch
are ours; To, From and the credentials stay, since the registrar has to know whose registration it is.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from ringfence.message import Headers, NameAddr, PeerError, Request, Response, SipUri, response_to, sip_uri
from ringfence.message.fields import CONTACT, Star
from ringfence.roles.bridge.legs import NAME
from ringfence.roles.bridge.opening import inner_call
from ringfence.roles.bridge.translate import own_place
from ringfence.roles.call import Call, Target
from ringfence.roles.forward import Forwarding, ProxyBranch
from ringfence.roles.outgoing import needs_flow
from ringfence.roles.pipeline import Hand, Verdict
from ringfence.security.privacy import BRIDGED, NO_WISH, ON_A_REGISTRATION, passed, settle
from ringfence.security.sealing import Sealer
from ringfence.transport.flow import Flow

_PURPOSE: Final = "registration"
_KEPT: Final = frozenset({"expires", "q"})
"""Parameters of a Contact that the registrar needs; the others name the device."""

_MARK: Final = "r-"


class Registering(Forwarding):
    """A REGISTER on its way to the registrar, and its answer back to the phone."""

    __slots__ = ("_outer",)

    def __init__(self, outer: Call, inner: Call, targets: tuple[Target, ...]) -> None:
        super().__init__(inner, targets)
        self._outer = outer

    def _goes_on(self, response: Response) -> bool:
        return True

    def _leave(self, branch: ProxyBranch, request: Request, flow: Flow) -> None:
        own = own_place(self._call.services.policy, flow, secure=self._call.uri.secure)
        for value in _anonymous_contacts(self._outer, own):
            request.headers.add("Contact", value)
        super()._leave(branch, request, flow)

    def _upstream(self, response: Response) -> None:
        bridges = self._call.services.bridges
        assert bridges is not None
        asked = self._outer.request
        back = response_to(asked, response.status, response.reason, to_tag=self._call.services.driver.token())
        for name, value in passed(response.headers, frozenset()):
            if name not in _OURS:
                back.headers.add(name, value)
        for value in _own_contacts(response.headers, bridges.sealer):
            back.headers.add("Contact", value)
        back.set_body(response.body, response.headers.get("Content-Type"))
        self._call.services.driver.respond(self._server, back)


_OURS: Final = frozenset({"Content-Type", "Path", "Service-Route"})


def open_registration(call: Call) -> Verdict:
    """Take a REGISTER for a registrar elsewhere on, with an anonymous Contact.

    Raises:
        PeerError: 400 when its Contact can't be read.
    """
    request, services = call.request, call.services
    bridges = services.bridges
    assert bridges is not None
    wish = call.findings.private or NO_WISH
    call_id = bridges.sealer.seal(request.call_id, _PURPOSE, "call-id")
    headers = Headers([("From", str(request.from_)), ("To", str(request.to)), ("Call-ID", call_id)])
    headers.add("CSeq", str(request.cseq))
    if "Max-Forwards" in request.headers.names:
        headers.add("Max-Forwards", request.headers.get("Max-Forwards") or "70")
    for name, value in passed(request.headers, wish.values, keep=ON_A_REGISTRATION | {"Route"}):
        if name != "From":
            headers.add(name, value)
    settle(headers, BRIDGED)
    headers.set("Content-Length", 0)
    inner = inner_call(call, Request("REGISTER", request.uri, headers))
    return Hand(Registering(call, inner, call.targets))


def to_registered(call: Call) -> bool:
    """Send a request for an anonymous Contact on to the phone; whether it is one."""
    bridges = call.services.bridges
    user = call.uri.user or ""
    if bridges is None:
        return False
    text = bridges.sealer.open(user.removeprefix(NAME).removeprefix(_MARK), _PURPOSE, "contact")
    if text is None:
        return False
    flow, _, contact = text.partition("\n")
    call.retarget(sip_uri(contact))
    call.findings.for_us = False
    call.findings.flow = flow
    call.findings.hides = BRIDGED - {"session"}
    return True


def _anonymous_contacts(outer: Call, own: str) -> list[str]:
    bridges = outer.services.bridges
    assert bridges is not None
    flow = outer.flow.key if needs_flow(outer) else ""
    scheme, _, place = own.partition(":")
    values = []
    for contact in outer.request.headers.every(CONTACT):
        if isinstance(contact, Star):
            values.append("*")
            continue
        sealed = bridges.sealer.seal(f"{flow}\n{contact.sip}", _PURPOSE, "contact")
        params = "".join(
            f";{name}" if value is None else f";{name}={value}"
            for name, value in contact.params
            if name.lower() in _KEPT
        )
        values.append(f"<{scheme}:{NAME}{_MARK}{sealed}@{place}>{params}")
    return values


def _own_contacts(headers: Headers, sealer: Sealer) -> list[str]:
    """The Contacts of a 200 as the phone knows them: its own, and those of others as they stand."""
    values = []
    with suppress(PeerError):
        for contact in headers.every(CONTACT):
            uri = None if isinstance(contact, Star) else contact.uri
            user = uri.user or "" if isinstance(uri, SipUri) else ""
            text = sealer.open(user.removeprefix(NAME).removeprefix(_MARK), _PURPOSE, "contact")
            if text is None or isinstance(contact, Star):
                values.append(str(contact))
            else:
                values.append(str(NameAddr(sip_uri(text.partition("\n")[2]), "", contact.params)))
    return values
