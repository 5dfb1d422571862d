"""5. Integrity: what is signalled arrives as it was sent, and nobody on the way can weaken it."""

from __future__ import annotations

from ringfence.audit import digests
from ringfence.audit.exchange import Answer, token
from ringfence.audit.finding import Fix, Probe, Requirement, Verdict, failed, passed, unseen, weak
from ringfence.audit.line import Line
from ringfence.audit.pair import pair
from ringfence.audit.site import Site, Unobservable

CLIENT = "digest;d-alg=SHA-256, tls"
"""What a phone offers in a security agreement (RFC 3329 section 2.3.1)."""

AGREED = (("Require", "sec-agree"), ("Proxy-Require", "sec-agree"), ("Security-Client", CLIENT))

BODY = "The quick brown fox, in the clear; 0123456789 \u00e4\u00f6 \u20ac"

END_TO_END = ("From", "To", "Call-ID", "CSeq", "Subject", "Date", "Content-Type", "MIME-Version")
"""Header fields that no proxy may change (RFC 3261 section 23.4.1.1)."""


async def offers_tls(site: Site) -> Verdict:
    """There is a port on which nobody on the way can change a message."""
    secure = [place for place in site.places if place.secure]
    if not secure:
        return failed(f"no port with TLS answers; {', '.join(map(str, site.places))} do")
    async with site.open(secure[0]) as line:
        return passed(f"{', '.join(map(str, secure))}: {line.protection}")


async def offers_auth_int(site: Site) -> Verdict:
    """The body can be covered by the digest."""
    line = await site.line()
    _, answer = await digests.challenge(site, line, digests.stranger(site))
    found = digests.offered(answer)
    if any("auth-int" in each.qop for each in found):
        return passed("qop=auth-int is offered")
    return weak("only qop=auth is offered: a digest does not cover the body")


async def arrives_unchanged(site: Site) -> Verdict:
    """Body and end-to-end header fields of a request are what was sent."""
    both = await pair(site)
    subject = f"audit {token()}"
    found = await both.deliver(
        "MESSAGE",
        status=200,
        body=BODY.encode(),
        content_type="text/plain;charset=utf-8",
        contact="",
        extra=[("Subject", subject), ("Date", "Wed, 25 Nov 2026 12:00:00 GMT"), ("MIME-Version", "1.0")],
    )
    request = found.request
    if request.body != BODY.encode():
        return failed("the body was changed on the way")
    sent = {"Subject": subject, "Date": "Wed, 25 Nov 2026 12:00:00 GMT", "MIME-Version": "1.0"}
    changed = [name for name, value in sent.items() if request.headers.get(name) != value]
    if both.caller.user not in (request.headers.get("From") or ""):
        changed.append("From")
    if changed:
        return failed(f"{', '.join(changed)} were changed or removed: a signature over them would not hold")
    return passed(f"the body and {', '.join(END_TO_END)} arrive as they were sent")


async def _agree(site: Site, line: Line, *more: tuple[str, str]) -> Answer:
    user = site.logins[0].user if site.logins else site.nobody
    return await site.ask(
        "REGISTER", site.uri(), line=line, sender=site.uri(user), to=site.uri(user), extra=[*AGREED, *more]
    )


async def knows_agreement(site: Site) -> Verdict:
    """A phone that demands a security agreement gets one, or a clear no."""
    line = await site.line()
    answer = await _agree(site, line)
    if answer.status == 494 and answer.get("Security-Server"):
        return passed(f"answered {answer} with Security-Server: {answer.get('Security-Server')}")
    if answer.status == 420:
        return weak(
            f"answered {answer}: there is no agreement to be had, so nothing tells a phone of a downgrade"
        )
    if answer.status == 0:
        raise Unobservable("no answer to a REGISTER that demands an agreement")
    if line.place.secure and answer.challenged:
        return passed(f"over TLS it is answered {answer}")
    return failed(f"Require: sec-agree is passed over; the answer is {answer}")


async def notices_downgrade(site: Site) -> Verdict:
    """A list that somebody has shortened on the way is noticed."""
    line = await site.line()
    first = await _agree(site, line)
    if first.status != 494 or not first.get("Security-Server"):
        raise Unobservable(f"it makes no security agreement: {first}")
    shorter = await _agree(site, line, ("Security-Verify", "digest;q=0.1;d-alg=MD5;d-qop=auth"))
    if shorter.status == 494:
        return passed("a Security-Verify that differs from what it sent is answered 494")
    return failed(f"a Security-Verify that differs from what it sent is answered {shorter}")


async def refuses_unknown(site: Site) -> Verdict:
    """What is demanded of a proxy and not known is refused."""
    answer = await site.ask("INVITE", site.uri(site.nobody), extra=[("Proxy-Require", "audit-unknown")])
    if answer.status == 420:
        named = answer.get("Unsupported")
        return (
            passed(f"answered {answer}, Unsupported: {named}")
            if named
            else weak(f"answered {answer} without Unsupported")
        )
    if answer.challenged or answer.status == 403:
        return unseen(f"it asks for credentials first: {answer}")
    if answer.status == 0:
        return unseen("no answer")
    return failed(f"Proxy-Require: audit-unknown is passed over; the answer is {answer}")


async def signs_calls(site: Site) -> Verdict:
    """Calls that leave are signed, so that other domains can check them."""
    config = site.config
    if config is None:
        raise Unobservable("what leaves for other domains is not seen from here: run it with --config")
    if config.identity.sign:
        return passed(f"calls that leave are signed, the certificate is at {config.identity.url}")
    return weak("calls to other domains are not signed")


async def verifies_calls(site: Site) -> Verdict:
    """Signatures of calls that arrive are checked."""
    config = site.config
    if config is None:
        raise Unobservable("the rule for calls of other domains is not seen from here: run it with --config")
    rule = config.identity.verify
    if rule == "off":
        return failed("signatures are not looked at")
    return passed(f'signatures are checked: verify = "{rule}"')


AGREEMENT = Fix(
    '[security] agreement = "offer"',
    'if ($hdr(Require) =~ "sec-agree") { sl_send_reply("420", "Bad Extension"); exit; }',
    "(RFC 3329 with media plane only: pjsip.conf: [alice] type=endpoint security_negotiation=mediasec)",
)

REQUIREMENT = Requirement(
    5,
    "Integrity",
    "Signalling is verifiably unchanged; only trusted elements may modify it.",
    (
        Probe(
            "tls-offered",
            "There is a port with TLS",
            "RFC 3261 section 26.2.1",
            "Whoever is on the way can change any message: who is called, where the media go, what is charged.",
            Fix(
                '[[listen]] transport = "tls"\nport = 5061',
                "#!define WITH_TLS  and  listen=tls:ADDRESS:5061",
                "pjsip.conf: [transport-tls] type=transport protocol=tls bind=0.0.0.0:5061 cert_file=...",
            ),
            offers_tls,
            3,
        ),
        Probe(
            "digest-body",
            "The digest can cover the body",
            "RFC 7616 section 3.4.3",
            "Over UDP and TCP the body (where the media go) can be changed under valid credentials.",
            Fix(
                '[security] challenge = "first"',
                'modparam("auth", "qop", "auth-int")',
                "(no setting: use TLS)",
            ),
            offers_auth_int,
        ),
        Probe(
            "unchanged",
            "Body and end-to-end fields arrive unchanged",
            "RFC 3261 section 16.6",
            "Signatures of the caller (RFC 8224, S/MIME) do not survive the server.",
            Fix(
                "[proxy] record_route = true",
                "(remove subst(), replace_body() and uac_replace_from() from the route)",
                "(a B2BUA always changes them)",
            ),
            arrives_unchanged,
            2,
        ),
        Probe(
            "agreement-known",
            "A demand for a security agreement is not passed over",
            "RFC 3329 section 2.3.1",
            "A phone that demands protection believes that it has it.",
            AGREEMENT,
            knows_agreement,
        ),
        Probe(
            "agreement-downgrade",
            "A stripped agreement is noticed",
            "RFC 3329 section 2.3.1",
            "Somebody on the way can take the strong mechanisms out of the list, and both sides agree on a weak one.",
            AGREEMENT,
            notices_downgrade,
            2,
        ),
        Probe(
            "unknown-required",
            "An extension that is required and unknown is refused",
            "RFC 3261 section 16.3 step 5",
            "Phones that rely on an extension, as those for privacy and security, are not told that it is missing.",
            Fix(
                '[security] agreement = "offer"',
                'if (!sanity_check("17903", "7")) exit;  (8 of the first number: Proxy-Require)',
                "(always on in res_pjsip)",
            ),
            refuses_unknown,
        ),
        Probe(
            "calls-signed",
            "Calls that leave are signed",
            "RFC 8224 section 4",
            "Other domains cannot check who calls, nor that the call was not changed.",
            Fix(
                '[identity] sign = true\nurl = "https://example.org/identity.pem"',
                'loadmodule "stirshaken.so"; stirshaken_add_identity(...)',
                "stir_shaken.conf: [attestation] private_key_file=... public_cert_url=...",
            ),
            signs_calls,
        ),
        Probe(
            "calls-verified",
            "Signatures of calls that arrive are checked",
            "RFC 8224 section 6.2",
            "A call that was changed on the way passes for a good one.",
            Fix(
                '[identity] verify = "invalid"',
                'loadmodule "stirshaken.so"; stirshaken_check_identity()',
                "stir_shaken.conf: [verification] failure_action=reject_request",
            ),
            verifies_calls,
            2,
        ),
    ),
)
