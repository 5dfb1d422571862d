"""1. Identification: who calls has to prove it, and so has the server."""

from __future__ import annotations

from ringfence.audit import digests, proofs
from ringfence.audit.exchange import contact_of, token
from ringfence.audit.finding import Fix, Probe, Requirement, Verdict, failed, passed, unseen, weak
from ringfence.audit.pair import pair
from ringfence.audit.site import Site

BOGUS = (
    "eyJhbGciOiJFUzI1NiIsInBwdCI6InNoYWtlbiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9hdWRpdC5pbnZhbGlkL2EucGVtIn0"
    ".e30.bm90IGEgc2lnbmF0dXJl;info=<https://audit.invalid/a.pem>;alg=ES256"
)
"""An Identity whose certificate is nowhere and whose signature is none."""


async def register_challenged(site: Site) -> Verdict:
    """A REGISTER without credentials is refused."""
    user = site.logins[0].user if site.logins else site.nobody
    answer = await site.ask("REGISTER", site.uri(), sender=site.uri(user), to=site.uri(user))
    if answer.challenged:
        return passed(f"answered {answer}")
    if answer.status == 0:
        return unseen("no answer to REGISTER: the server may be no registrar, or drops what it does not know")
    if answer.status in {421, 494}:
        return passed(f"refused without a challenge: {answer}")
    if answer.status in {403, 404, 405, 501, 503}:
        return unseen(
            f"refused without a challenge: {answer}. It may be no registrar, or serve another --domain"
        )
    if answer.status < 300:
        return failed(f"answered {answer}: whoever asks is told, or becomes, {user}")
    return weak(f"answered {answer}, which is neither a challenge nor a refusal")


async def wrong_password(site: Site) -> Verdict:
    """Credentials with a wrong password are refused."""
    login = digests.stranger(site) if not site.logins else site.logins[0]._replace(password=token())
    async with site.open() as line:
        answer = await digests.attempt(site, line, login)
    if answer.status in {401, 403, 404, 407, 429} or answer.status >= 500:
        return passed(f"a wrong password is answered {answer}")
    if answer.status == 0:
        return passed("a wrong password is not answered")
    return failed(f"a wrong password is answered {answer}")


async def stranger_identity(site: Site) -> Verdict:
    """A call with a signature that is none does not pass for a signed one."""
    both = await pair(site)
    async with site.open() as line:
        found = await both.deliver(
            line=line,
            sender="sip:+12025550100@audit.invalid",
            contact=f"<{contact_of(line)}>",
            extra=[("Identity", BOGUS)],
            authenticate=False,
        )
    if found.arrived is None:
        return passed(f"refused: {found.answer}")
    if found.mark:
        return passed(f"it arrives marked as unproved ({found.mark})")
    if "verstat=TN-Validation-Passed" in found.get("P-Asserted-Identity") + found.get("From"):
        return failed("it arrives marked as verified")
    if "Identity" in found.arrived.headers.names:
        return failed("the callee gets the false Identity as it was sent, and no word of warning")
    return weak("the call arrives without the Identity, as if it had never been signed")


REQUIREMENT = Requirement(
    1,
    "Identification",
    "The called party can be sure who calls, unless the call is anonymous; and the caller, which server it is.",
    (
        Probe(
            "register-challenged",
            "Registrations have to be proved",
            "RFC 3261 section 10.3 step 3",
            "Whoever can register as somebody else receives that person's calls, and can make calls in that name.",
            Fix(
                '[security] challenge = "first"',
                "#!define WITH_AUTH  (www_challenge in route[AUTH])",
                "pjsip.conf: [alice] type=endpoint auth=alice  + [alice] type=auth",
            ),
            register_challenged,
            3,
        ),
        Probe(
            "wrong-password",
            "A wrong password is refused",
            "RFC 3261 section 22.2",
            "Credentials are asked for but not looked at.",
            Fix(
                '[security] challenge = "first"',
                'if (!auth_check("$fd", "subscriber", "1")) { auth_challenge("$fd", "0"); exit; }',
                "pjsip.conf: [alice] type=auth auth_type=digest password=...",
            ),
            wrong_password,
            3,
        ),
        *digests.PROBES,
        *proofs.PROBES,
        Probe(
            "false-signature",
            "A false signature is noticed",
            "RFC 8224 section 6.2",
            "A forged call looks signed to the callee, whose phone may show it as verified.",
            Fix(
                '[identity] verify = "invalid"',
                'if (!stirshaken_check_identity()) { send_reply("438", "Invalid Identity Header"); exit; }',
                "stir_shaken.conf: [verification] failure_action=reject_request",
            ),
            stranger_identity,
            2,
        ),
    ),
)
