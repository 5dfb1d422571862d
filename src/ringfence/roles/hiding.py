"""Topology hiding: what is behind us is not shown to those outside (the paper's section 5.8; RFC 5853 section 3.1).

A proxy that hides, not a B2BUA. What a message tells of the way behind us is taken off before it goes out: the Via
and Record-Route entries of our phones and proxies, and where the configuration says so the address in Contact and the
Call-ID. Nothing is remembered for a dialog. The routes travel with it, sealed, as a parameter of our own Record-Route;
whoever is outside hands them back in each request and can neither read nor change them, and any node that has the key
restores them. A response finds the Via of its request in its transaction, without which it would go nowhere.

Two sides of a dialog may be outside or not; a ``View`` says which, for one request. Nothing here is done for a call
between two of ours.
"""

from __future__ import annotations

from typing import Final

from ringfence.message import Headers, Message, Request, Response, SipUri
from ringfence.message.fields import CONTACT, RECORD_ROUTE, Star
from ringfence.message.params import Params
from ringfence.roles.call import Call, Target, Trust
from ringfence.roles.view import View
from ringfence.security.sealing import Sealer
from ringfence.security.tokens import dialog_token

HIDDEN_PARAM: Final = "rh"
"""URI parameter of our Record-Route, always the last, that holds what is behind us, sealed."""

MASK: Final = "h."
"""How the user part of a Contact begins that stands for another one."""

_FOR_CALL_ID: Final = "call-id"
_FOR_CONTACT: Final = "contact"
_FOR_ROUTES: Final = "routes"

_DEVICE: Final = frozenset({"+sip.instance", "reg-id"})
"""Parameters of a Contact that name the device; only a registrar needs them."""


class Hiding:
    """The policy, and the key. ``everybody``: our own phones are shown nothing either."""

    __slots__ = ("call_id", "contact", "everybody", "sealer")

    def __init__(
        self, key: bytes, *, everybody: bool = False, contact: bool = False, call_id: bool = False
    ) -> None:
        self.sealer = Sealer(key)
        self.everybody = everybody
        self.contact = contact
        self.call_id = call_id

    def view(self, call: Call, target: Target, *, trusted: bool) -> View | None:
        """Who is outside on the way to a target; None when nobody is. ``trusted``: the next hop is a trusted peer.

        A registrar has to see the Path and the Via as they are, so a REGISTER is left alone. Inside a dialog it is as
        it was when the dialog began.
        """
        findings = call.findings
        if findings.in_dialog or findings.view is not None:
            return findings.view
        if call.request.method == "REGISTER":
            return None
        sender = findings.peer is not Trust.TRUSTED and (self.everybody or findings.user is None)
        receiver = not trusted and (self.everybody or not (target.registered or target.flow))
        if not sender and not receiver:
            return None
        return View(sender, receiver, self.call_id and receiver and not sender)

    # -- a request goes out ----------------------------------------------------------------------------

    def hide(self, call: Call, view: View, request: Request, here: str) -> None:
        """Take from the copy of a request what is behind us. ``here`` is our own Contact on this flow, a URI.

        To be called before our own Via and Record-Route are put on.
        """
        headers = request.headers
        if view.masked:
            self._translate_call_id(view, headers)
        if not view.to_outside:
            return
        headers.remove("Via")
        headers.remove("Record-Route")
        if self.contact:
            self._mask_contact(request, here)

    def call_id_of(self, view: View | None, call: Call) -> str:
        """The Call-ID by which the receiver of a request knows the call."""
        seen = call.request.call_id
        if view is None or not view.masked:
            return seen
        return self.sealer.seal(seen, _FOR_CALL_ID) if view.to_outside else self.real_call_id(seen)

    def real_call_id(self, masked: str) -> str:
        """What a masked Call-ID stands for; itself when it is none of ours."""
        return self.sealer.open(masked, _FOR_CALL_ID) or masked

    def parameter(self, call: Call, view: View, dialog: str) -> str:
        """What our Record-Route gets besides in the request, for the dialog of that token."""
        routes = call.request.headers.every(RECORD_ROUTE) if view.to_outside else []
        return self._parameter(view, [str(each) for each in routes], dialog)

    def _parameter(self, view: View, routes: list[str], dialog: str) -> str:
        sealed = self.sealer.seal("\n".join([view.marks, *routes]), _FOR_ROUTES, dialog)
        return f";{HIDDEN_PARAM}={sealed}"

    def opened(self, token: str, dialog: str) -> list[str]:
        """The marks and the routes that a parameter holds; nothing when it is not of this dialog, or not ours."""
        text = self.sealer.open(token, _FOR_ROUTES, dialog)
        return [] if text is None else text.split("\n")

    # -- its response comes back -----------------------------------------------------------------------

    def restore(self, call: Call, view: View, response: Response, ours: list[str]) -> None:
        """Give a response from outside what was taken from its request: the Via and the Record-Route behind us.

        ``ours`` are our own entries as the sender is to have them, where the receiver has others; else empty.
        """
        if not view.to_outside:
            return
        headers, asked = response.headers, call.request.headers
        headers.remove("Via")
        for value in reversed(asked.all("Via")):
            headers.prepend("Via", value)
        if not headers.has("Record-Route"):
            return
        if ours:
            beyond, found, _ = _entries(headers, 0)
            if found:
                headers.remove("Record-Route")
                for value in (*beyond, *(f"{each[:-1]};{HIDDEN_PARAM}=0>" for each in ours)):
                    headers.add("Record-Route", value)  # ``show`` puts in what it hides
        for value in asked.all("Record-Route"):
            headers.add("Record-Route", value)

    def show(self, call: Call, view: View, response: Response) -> None:
        """Fit a response to whoever asked."""
        headers = response.headers
        if view.masked:
            headers.set("Call-ID", call.request.call_id)
        if headers.has("Record-Route"):
            known = len(call.request.headers.every(RECORD_ROUTE))
            beyond, ours, asked = _entries(headers, known)
            secret, request = call.services.policy.secret, call.request
            dialog = dialog_token(secret, request.call_id, request.from_.tag or "")
            more = self._parameter(view, beyond if view.from_outside else [], dialog)
            ours = [f"{_without_parameter(each)[:-1]}{more}>" for each in ours]
            headers.remove("Record-Route")
            for value in (*(() if view.from_outside else beyond), *ours, *asked):
                headers.add("Record-Route", value)
        if view.from_outside and self.contact and response.status < 300:
            self._mask_contact(response, _own_contact(call))

    # -- Contact and Call-ID ---------------------------------------------------------------------------

    def _translate_call_id(self, view: View, headers: Headers) -> None:
        seen = headers.get("Call-ID") or ""
        real = self.sealer.seal(seen, _FOR_CALL_ID) if view.to_outside else self.real_call_id(seen)
        headers.set("Call-ID", real)

    def _mask_contact(self, message: Message, here: str) -> None:
        """Our own address for that of a phone. A GRUU is one of ours already (RFC 5627)."""
        headers = message.headers
        if not headers.has("Contact") or not here:
            return
        contact = headers.first(CONTACT)
        if contact is None or isinstance(contact, Star) or not isinstance(contact.uri, SipUri):
            return
        if "gr" in contact.uri.params:
            return
        user = MASK + self.sealer.seal(str(contact.uri), _FOR_CONTACT, headers.get("Call-ID") or "")
        scheme, _, place = here.partition(":")
        kept = Params(tuple(each for each in contact.params.items if each[0].lower() not in _DEVICE))
        display = f'"{contact.display}" ' if contact.display.isalnum() else ""
        headers.set("Contact", f"{display}<{scheme}:{user}@{place}>{kept}")

    def unmasked(self, uri: SipUri, call_id: str) -> SipUri | None:
        """The address of a phone that the Request-URI of a request from outside stands for; None for any other."""
        user = uri.user or ""
        if not user.startswith(MASK):
            return None
        text = self.sealer.open(user[len(MASK) :], _FOR_CONTACT, call_id)
        if text is None:
            return None
        contact = CONTACT.parse(f"<{text}>")
        return None if isinstance(contact, Star) else contact.sip


def _entries(headers: Headers, known: int) -> tuple[list[str], list[str], list[str]]:
    """The Record-Route of a response: what is beyond us, our own entries, and the ``known`` last of the request."""
    entries = [str(each) for each in headers.every(RECORD_ROUTE)]
    end = max(0, len(entries) - known)
    begin = end
    while begin and f";{HIDDEN_PARAM}=" in entries[begin - 1]:
        begin -= 1
    return entries[:begin], entries[begin:end], entries[end:]


def _without_parameter(entry: str) -> str:
    """One of our entries as it was before it hid anything."""
    head, mark, _ = entry.partition(f";{HIDDEN_PARAM}=")
    return head + ">" if mark else entry


def _own_contact(call: Call) -> str:
    """Where requests to us come in, on the flow of whoever asked."""
    return own_contact(
        call.services.policy.addresses.sent_by(call.flow), call.flow.transport, call.uri.secure
    )


def own_contact(sent_by: str, transport: str, secure: bool) -> str:
    """A URI of ours without a user part."""
    if secure and transport in {"TLS", "WSS"}:
        return f"sips:{sent_by}" if transport == "TLS" else f"sips:{sent_by};transport=ws"
    return f"sip:{sent_by}" if transport == "UDP" else f"sip:{sent_by};transport={transport.lower()}"
