"""2. Anonymity: a caller can hide who calls, and is charged all the same."""

from __future__ import annotations

from ringfence.audit.finding import Fix, Probe, Requirement, Verdict, failed, passed, weak
from ringfence.audit.pair import Delivery, Pair, pair
from ringfence.audit.site import Site, Unobservable

ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
"""RFC 3323 section 4.1.1.3."""

NAMING = (
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "Authorization",
    "Proxy-Authorization",
    "Identity",
)
"""Header fields that name a caller who did not write them for the callee."""


async def anonymous_call(site: Site) -> Verdict:
    """A caller with an account may write that it is anonymous."""
    both = await pair(site)
    found = await both.deliver(sender=ANONYMOUS, extra=[("Privacy", "id")])
    if found.arrived is None:
        return failed(f"an anonymous call of an account is answered {found.answer}")
    if both.caller.user in found.get("From"):
        return failed("the callee's From names the caller")
    return passed(f"the callee gets From: {found.get('From')}")


async def asserted_is_kept(site: Site) -> Verdict:
    """With Privacy: id nothing that the network knows of the caller goes to the callee."""
    both = await pair(site)
    found = await both.deliver(sender=ANONYMOUS, extra=[("Privacy", "id"), _preferred(both)])
    named = [name for name in NAMING if both.caller.user in found.get(name)]
    if named:
        return failed(f"the callee gets the caller's name in {', '.join(named)}")
    return passed("no field that the network adds names the caller")


def _preferred(both: Pair) -> tuple[str, str]:
    return ("P-Preferred-Identity", f"<{both.site.uri(both.caller.user)}>")


def traces(both: Pair, found: Delivery) -> list[str]:
    """Header fields in which the callee could read who calls, or from where."""
    local = both.outgoing.local
    marks = (f"{both.caller.user}@", str(local), f"{local.host};rport={local.port}", f"rport={local.port}")
    headers = found.request.headers
    skipped = {"From", "To", "Authorization", "Proxy-Authorization", *NAMING}
    names = [name for name in dict.fromkeys(headers.names) if name not in skipped]
    return [name for name in names if any(mark in value for value in headers.all(name) for mark in marks)]


async def header_privacy(site: Site) -> Verdict:
    """With Privacy: header the path back to the caller is hidden."""
    both = await pair(site)
    found = await both.deliver(sender=ANONYMOUS, extra=[("Privacy", "header")])
    left = traces(both, found)
    if left:
        return weak(f"the callee can read the caller's address in {', '.join(left)}: the request was ignored")
    return passed("neither name nor address of the caller is left")


async def user_privacy(site: Site) -> Verdict:
    """With Privacy: user the network takes the caller's name out."""
    both = await pair(site)
    named = f'"Audit" <{site.uri(both.caller.user)}>'
    found = await both.deliver(sender=named, extra=[("Privacy", "user"), ("Subject", "audit")])
    if both.caller.user in found.get("From"):
        return weak("the callee's From still names the caller: the request was ignored")
    return passed(f"the callee gets From: {found.get('From')}")


async def critical_privacy(site: Site) -> Verdict:
    """What cannot be hidden, and must be, is refused."""
    both = await pair(site)
    found = await both.deliver(
        sender=ANONYMOUS, extra=[("Proxy-Require", "privacy"), ("Privacy", "header;session;critical")]
    )
    if found.arrived is None:
        if found.answer.status in {420, 433, 500} or found.answer.status == 403:
            return passed(f"refused: {found.answer}")
        raise Unobservable(f"the call did not arrive: {found.answer}")
    if traces(both, found) or b"192.0.2.1" in found.arrived.body:
        return failed(
            "delivered with the caller's addresses in it, although the caller said that this must not be"
        )
    return passed("delivered, with neither the caller's address nor that of its media")


PRIVACY = Fix(
    "[privacy] enabled = true",
    'loadmodule "topoh.so"  and, for P-Asserted-Identity: remove_hf("P-Asserted-Identity") when $hdr(Privacy) =~ "id"',
    "pjsip.conf: [bob] type=endpoint trust_id_outbound=no send_pai=yes",
)

REQUIREMENT = Requirement(
    2,
    "Anonymity",
    "The caller can call anonymously: the callee cannot learn who it is, and accounting works all the same.",
    (
        Probe(
            "anonymous-call",
            "An account may call anonymously",
            "RFC 3323 section 4.1.1.3",
            "Nobody can call without giving the name away.",
            Fix(
                '[security] challenge = "first"',
                'if (is_present_hf("Privacy") || $fd == "anonymous.invalid") { ... }  before From is compared with $au',
                "pjsip.conf: [alice] type=endpoint identify_by=auth_username",
            ),
            anonymous_call,
            2,
        ),
        Probe(
            "privacy-id",
            "Privacy: id is honoured",
            "RFC 3325 section 9.3",
            "The caller asked not to be named, and the network names it.",
            PRIVACY,
            asserted_is_kept,
            3,
        ),
        Probe(
            "privacy-header",
            "Privacy: header is honoured",
            "RFC 3323 section 5.1",
            "The address of the caller's phone tells who and where the caller is.",
            PRIVACY,
            header_privacy,
            2,
        ),
        Probe(
            "privacy-user",
            "Privacy: user is honoured",
            "RFC 3323 section 5.3",
            "A phone that cannot hide the name itself relies on the network to do it.",
            PRIVACY,
            user_privacy,
        ),
        Probe(
            "privacy-critical",
            "Critical privacy is granted or refused",
            "RFC 3323 section 5",
            "A caller for whom it matters is exposed without being told.",
            PRIVACY,
            critical_privacy,
            2,
        ),
    ),
)
