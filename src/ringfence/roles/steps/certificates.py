"""The certificate service of RFC 6072: whoever wants to encrypt to a user of ours asks the domain for the certificate.

A SUBSCRIBE to the event ``certificate`` is answered here, and its one NOTIFY carries the certificate, or nothing. The
subscription ends with it (section 4: "immediately terminate subscription, setting the reason parameter to probation"),
so nothing is kept: who needs to know more asks again. A user without a certificate, and one that there is not, look the
same. The NOTIFY is From the user, and signed by us as the domain's authentication service (section 6.7), now by
RFC 8224. That signature covers no body, which RFC 4474 did: so a receiver believes the certificate for what stands
behind it, or on the word of its own server by TLS.

Private keys (the event ``credential``) are not kept here: a server that has them can read everything.
"""

from __future__ import annotations

import structlog

from ringfence.engine.dialog import Dialog
from ringfence.engine.machine import ClientTransaction
from ringfence.engine.routing import is_sips
from ringfence.message import PeerError, Response, response_to
from ringfence.message.fields import EVENT
from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Answer, Drop, Verdict
from ringfence.security.canonical import identity_of
from ringfence.security.identity import sign_request
from ringfence.transport.flow import Flow

log = structlog.get_logger("ringfence.roles")

PACKAGE = "certificate"
CERTIFICATE_TYPE = "application/pkix-cert"

RETRY_SECONDS = 86_400
"""After which it makes sense to ask again (section 4: a default of one day is recommended)."""


class _Told:
    """The user of a NOTIFY: what becomes of it makes no difference."""

    def responded(self, response: Response, transaction: ClientTransaction) -> None:
        """An answer."""

    def failed(self, transaction: ClientTransaction, status: int, reason: str) -> None:
        """No answer."""


_TOLD = _Told()


def tell_certificate(call: Call) -> Verdict:
    """Answer a SUBSCRIBE for the certificate of a user of ours."""
    directory = call.services.directory
    request = call.request
    if (
        directory is None
        or request.method != "SUBSCRIBE"
        or not call.findings.for_us
        or call.transaction is None
    ):
        return CONTINUE
    event = request.headers.first(EVENT)
    if event is None or event.package.lower() != PACKAGE or request.to.tag is not None:
        return CONTINUE
    if call.uri.user is None:
        return Answer(404, "Not Found (a certificate is of a user)")
    driver = call.services.driver
    response = response_to(request, 200, to_tag=driver.token())
    response.headers.add("Contact", f"<{_contact(call, call.flow)}>")
    response.headers.add("Expires", 0)
    dialog = Dialog.uas(request, response, tls=call.flow.secure)
    driver.respond(call.transaction, response)
    _notify(call, dialog, directory.find(call.services.policy.canonical(call.uri), call.services.clock()))
    return Drop("a certificate was told")


def _notify(call: Call, dialog: Dialog, certificate: bytes | None) -> None:
    services, flow = call.services, call.flow
    notify = dialog.request("NOTIFY")
    headers = notify.headers
    headers.add("Contact", f"<{_contact(call, flow)}>")
    headers.add("Event", PACKAGE)
    headers.add("Subscription-State", f"terminated;reason=probation;retry-after={RETRY_SECONDS}")
    if certificate is not None:
        notify.set_body(certificate, CERTIFICATE_TYPE)
        headers.add("Content-Disposition", "signal")  # section 6.4
    signing = services.signing
    if signing is not None:
        source, now = notify.from_.uri, services.clock()
        try:
            signer = signing.signer_for(identity_of(source, signing.plan), source, now)
            signed = sign_request(notify, signer, now, plan=signing.plan)
        except PeerError as error:
            log.info("certificate not signed", reason=error.reason)
        else:
            for name, value in signed.fields:
                headers.add(name, value)
    branch = f"z9hG4bK{services.driver.token()}"
    sent_by = services.policy.addresses.sent_by(flow)
    headers.prepend("Via", f"SIP/2.0/{flow.transport} {sent_by};branch={branch};rport")
    # The way that the SUBSCRIBE came is the first hop of its route back.
    services.driver.request(notify, flow, _TOLD)


def _contact(call: Call, flow: Flow) -> str:
    sent_by = call.services.policy.addresses.sent_by(flow)
    return f"sips:{sent_by}" if is_sips(call.request) else f"sip:{sent_by};transport={flow.transport.lower()}"
