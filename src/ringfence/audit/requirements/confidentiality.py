"""6. Confidentiality: nobody outside reads the signalling, on any hop."""

from __future__ import annotations

from ringfence.audit import hello
from ringfence.audit.exchange import build, contact_of
from ringfence.audit.finding import Fix, Probe, Requirement, Verdict, failed, passed, unseen, weak
from ringfence.audit.hello import TLS12, VERSIONS, offer
from ringfence.audit.line import Line, Place
from ringfence.audit.pair import PAIR, Callee, registered
from ringfence.audit.site import Site, Unobservable

OLD = (hello.SSL3, hello.TLS10, hello.TLS11)
EVERY = tuple(range(hello.SSL3, hello.TLS13 + 1))

FORBIDDEN = {
    "without encryption": hello.NO_ENCRYPTION,
    "without authentication": hello.ANONYMOUS,
    "for export": hello.EXPORT,
    "with RC4, DES or triple DES": hello.BROKEN,
}
POOR = {"without forward secrecy": hello.STATIC_RSA, "with CBC": hello.FORWARD_CBC}


def _secure(site: Site) -> list[Place]:
    found = [place for place in site.places if place.secure]
    if not found:
        raise Unobservable("the server answers on no TLS port that was found")
    return found


async def _takes(site: Site, place: Place, version: int, ciphers: tuple[int, ...]) -> int:
    """The cipher that is chosen of these; 0 for none."""
    await site.pace.wait()
    flight = await offer(place.endpoint, version, ciphers, place.server_name, site.wait)
    return flight.cipher if flight.version == version else 0


async def versions(site: Site) -> Verdict:
    """Which versions of TLS are spoken, on each secure port."""
    told, old, newest = [], [], False
    for place in _secure(site):
        spoken = []
        for version in EVERY:
            ciphers = hello.MODERN if version == hello.TLS13 else hello.ANY
            if await _takes(site, place, version, ciphers):
                spoken.append(version)
        told.append(f"{place}: {', '.join(VERSIONS[each] for each in spoken) or 'none'}")
        old += [VERSIONS[each] for each in spoken if each in OLD]
        newest = newest or hello.TLS13 in spoken
    detail = "; ".join(told)
    if old:
        return failed(f"{old[0]} is spoken ({detail})")
    return passed(detail) if newest else weak(f"TLS 1.3 is not spoken ({detail})")


async def ciphers(site: Site) -> Verdict:
    """Which kinds of cipher are taken."""
    for place in _secure(site):
        for kind, group in FORBIDDEN.items():
            for version in (hello.TLS10, TLS12):
                if chosen := await _takes(site, place, version, group):
                    return failed(f"{place} takes a cipher {kind} (0x{chosen:04X})")
        for kind, group in POOR.items():
            if chosen := await _takes(site, place, TLS12, group):
                return weak(f"{place} takes a cipher {kind} (0x{chosen:04X})")
    return passed("only ciphers with forward secrecy and authenticated encryption")


async def plaintext(site: Site) -> Verdict:
    """Which ports anybody on the way can read."""
    plain = [place for place in site.places if not place.secure]
    if not plain:
        return passed("no port in plaintext answers")
    told = f"{', '.join(map(str, plain))} answer in plaintext"
    if any(place.secure for place in site.places):
        return weak(f"{told}: phones that use them can be listened to")
    return failed(f"{told}, and there is no other port: everything can be read on the way")


async def browsers(site: Site) -> Verdict:
    """Browsers have a port with TLS."""
    plain, secure = site.place("WS"), site.place("WSS")
    if secure is not None:
        return passed(f"{secure} answers")
    if plain is None:
        raise Unobservable("the server answers on no WebSocket port that was found")
    return failed(f"{plain} is WebSocket without TLS, and there is no other")


async def sips_stays_secure(site: Site) -> Verdict:
    """A call to a sips address does not go out to a phone without TLS."""
    login, other = site.login(0), site.login(1)
    place = site.need("UDP", "TCP")
    await site.drop(PAIR)  # or the callee would be found on its other port, too
    outgoing = await registered(site, login, "TLS", "WSS", "TCP", "UDP")
    try:
        incoming = await registered(site, other, place.transport)
        callee = Callee(site, other, incoming)
        callee.start()
        try:
            return await _call_sips(site, callee, outgoing)
        finally:
            await callee.close()
    finally:
        await site.register(outgoing, login, expires="0")
        await outgoing.close()


async def _call_sips(site: Site, callee: Callee, outgoing: Line) -> Verdict:
    login = site.login(0)
    uri = site.uri(callee.login.user, "sips")
    contact = f"<{contact_of(outgoing).replace('sip:', 'sips:', 1)}>"
    request = build(outgoing, "INVITE", uri, sender=site.uri(login.user, "sips"), contact=contact)
    script = callee.expect(request, 486)
    answer = await site.authorized(outgoing, login, request)
    if script.arrived:
        return failed(f"a call to {uri} was delivered over {callee.line.place.transport}, in plaintext")
    if answer.status in {400, 403, 404, 416, 421, 480, 488, 500, 503}:
        return passed(f"a call to {uri}, whose phone has no TLS, is answered {answer}")
    return unseen(f"the call was answered {answer}")


async def sips_contact(site: Site) -> Verdict:
    """A sips contact is not registered by a sip request."""
    login = site.login()
    async with site.open(site.place("UDP", "TCP")) as line:
        contact = contact_of(line).replace("sip:", "sips:", 1)
        answer = await site.register(line, login, contact=contact)
        if answer.status < 300 and answer.status:
            await site.register(line, login, contact=contact, expires="0")
            return failed(
                f"a REGISTER to sip: with a sips: contact, over {line.place.transport}, is answered {answer}"
            )
    return passed(f"a REGISTER to sip: with a sips: contact is answered {answer}")


async def sips_over_plaintext(site: Site) -> Verdict:
    """A sips request that came in plaintext is not treated as a secure one."""
    async with site.open(site.need("UDP", "TCP")) as line:
        uri = site.uri(site.nobody, "sips")
        user = site.logins[0].user if site.logins else site.nobody
        contact = contact_of(line).replace("sip:", "sips:", 1)
        request = build(line, "INVITE", uri, sender=site.uri(user, "sips"), contact=f"<{contact}>")
        if site.logins:
            answer = await site.authorized(line, site.logins[0], request)
        else:
            answer = await site.send(line, request)
    if answer.challenged:
        return unseen(f"it asks for credentials first: {answer}")
    if answer.status in {400, 403, 416, 421, 480, 488} or answer.status == 0:
        return passed(f"a sips call over {line.place.transport} is answered {answer}")
    return weak(f"a sips call that came over {line.place.transport} goes as far as {answer}")


TLS_FIX = Fix(
    '[tls] min_version = "1.2"',
    "tls.cfg: [server:default] method = TLSv1.2+",
    "pjsip.conf: [transport-tls] method=tlsv1_2",
)
SIPS = Fix(
    "[security] require_tls = true",
    'if ($rU != $null && $ru =~ "^sips:" && $proto != "tls") { sl_send_reply("403", "TLS required"); exit; }',
    "pjsip.conf: [bob] type=endpoint transport=transport-tls",
)

REQUIREMENT = Requirement(
    6,
    "Confidentiality",
    "Outsiders cannot intercept the signalling between the calling parties.",
    (
        Probe(
            "tls-versions",
            "TLS 1.2 and 1.3 only",
            "RFC 8996, RFC 9325 section 3.1",
            "Old versions can be broken, and clients can be led to use them.",
            TLS_FIX,
            versions,
            2,
        ),
        Probe(
            "tls-ciphers",
            "Strong ciphers only",
            "RFC 9325 section 4.1",
            "What is recorded today can be read when a key is stolen, or sooner.",
            Fix(
                '[tls] min_version = "1.2"',
                "tls.cfg: [server:default] cipher_list = ECDHE+AESGCM:ECDHE+CHACHA20",
                "pjsip.conf: [transport-tls] cipher=ECDHE-ECDSA-AES256-GCM-SHA384,ECDHE-RSA-AES256-GCM-SHA384",
            ),
            ciphers,
            2,
        ),
        Probe(
            "plaintext-ports",
            "No port in plaintext",
            "RFC 3261 section 26.2.1",
            "Whoever is on the way reads who calls whom, and the keys of SRTP with it.",
            Fix(
                "[security] require_tls = true",
                "(remove listen=udp:... and listen=tcp:...)",
                "pjsip.conf: (remove [transport-udp] and [transport-tcp])",
            ),
            plaintext,
        ),
        Probe(
            "browsers",
            "Browsers call over TLS",
            "RFC 7118 section 8",
            "Calls from web pages can be read and changed on the way.",
            Fix(
                '[[listen]] transport = "wss"\nport = 5443',
                'listen=tls:ADDRESS:5443  and  loadmodule "websocket.so"',
                "http.conf: [general] tlsenable=yes tlsbindaddr=0.0.0.0:8089",
            ),
            browsers,
        ),
        Probe(
            "sips-delivery",
            "sips never leaves TLS",
            "RFC 5630 section 5.3",
            "The caller asked for encryption on every hop, and is not told that the last had none.",
            SIPS,
            sips_stays_secure,
            3,
        ),
        Probe(
            "sips-contact",
            "A sips contact needs a sips registration",
            "RFC 5630 section 5.2",
            "Secure calls are sent to where somebody in plaintext said.",
            SIPS,
            sips_contact,
        ),
        Probe(
            "sips-arrival",
            "A sips request in plaintext is refused",
            "RFC 3261 section 26.4.4",
            "A call passes for secure that was not on its first hop.",
            SIPS,
            sips_over_plaintext,
            2,
        ),
    ),
)
