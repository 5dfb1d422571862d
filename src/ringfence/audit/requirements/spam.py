"""8. Spam resistance: no forged call is placed over the system."""

from __future__ import annotations

from ringfence.audit.catcher import Catcher
from ringfence.audit.exchange import Answer, build, contact_of, token
from ringfence.audit.finding import Fix, Probe, Requirement, Verdict, failed, passed, unseen, weak
from ringfence.audit.pair import pair
from ringfence.audit.site import Site

FORGED = "audit-forged"
Shapes = dict[str, tuple[str, str, str, list[tuple[str, str]]]]

TRIED = frozenset({408, 477, 478, 502, 504})
"""Answers of a server that has tried to send a request on."""


async def relays(site: Site, shapes: Shapes, catcher: Catcher) -> Verdict:
    """Send each of these (method, Request-URI, To tag, further fields), from a stranger and in a user's name."""
    told: dict[str, str] = {}
    sent: dict[str, str] = {}
    tried = ""
    user = site.logins[0].user if site.logins else site.nobody
    for name, (method, uri, tag, extra) in shapes.items():
        for sender in ("sip:audit@audit.invalid", site.uri(user)):
            call_id = f"{token(8)}@audit.invalid"
            to = f"<{site.uri(site.nobody)}>{f';tag={tag}' if tag else ''}"
            answer = await site.ask(method, uri, sender=sender, to=to, extra=extra, call_id=call_id)
            sent[call_id] = f"{name}: a {method} of {sender} without credentials"
            told[name] = f"{name} {answer}"
            if answer.final is None and await catcher.hears([call_id]):
                return failed(f"{sent[call_id]} reached the third party")
            if answer.status in TRIED:
                tried = tried or f"{sent[call_id]} is answered {answer}: it tried to pass it on"
    caught = await catcher.hears(sent)
    if caught:
        return failed(f"{sent[caught]} reached the third party")
    return weak(tried) if tried else passed("; ".join(told.values()))


def _catching(site: Site) -> Catcher:
    return Catcher(site.tape)


async def by_uri(site: Site) -> Verdict:
    """A Request-URI that names somebody else."""
    async with _catching(site) as catcher:
        await catcher.open(site.main.endpoint.host)
        third = f"{catcher.local}"
        return await relays(
            site,
            {
                "foreign Request-URI": ("INVITE", f"sip:third@{third}", "", []),
                "maddr": (
                    "INVITE",
                    f"{site.uri(site.nobody)};maddr={catcher.local.host};transport=udp",
                    "",
                    [],
                ),
                "message": ("MESSAGE", f"sip:third@{third}", "", []),
                "registration": ("REGISTER", f"sip:{third}", "", []),
            },
            catcher,
        )


async def by_route(site: Site) -> Verdict:
    """A Route that leads on to somebody else."""
    async with _catching(site) as catcher:
        await catcher.open(site.main.endpoint.host)
        third = f"<sip:{catcher.local};lr>"
        own = f"<sip:{site.main.endpoint};lr>"
        return await relays(
            site,
            {
                "Route": ("INVITE", site.uri(site.nobody), "", [("Route", third)]),
                "Route through the server": (
                    "INVITE",
                    site.uri(site.nobody),
                    "",
                    [("Route", f"{own}, {third}")],
                ),
            },
            catcher,
        )


async def by_dialog(site: Site) -> Verdict:
    """A request that looks as if it were in a dialog."""
    async with _catching(site) as catcher:
        await catcher.open(site.main.endpoint.host)
        own = f"<sip:{site.main.endpoint};lr>"
        uri = f"sip:third@{catcher.local}"
        extra = [("Route", own), ("Record-Route", own)]
        methods = ("INVITE", "BYE", "MESSAGE", "REFER", "NOTIFY")
        shapes = {
            f"{method} with a made up dialog": (
                method,
                uri,
                token(4),
                [*extra, *([("Refer-To", f"<{uri}>")] if method == "REFER" else [])],
            )
            for method in methods
        }
        return await relays(site, shapes, catcher)


async def forged_from(site: Site) -> Verdict:
    """An account does not call in the name of another."""
    login = site.login()
    other = site.uri(site.logins[1].user if len(site.logins) > 1 else FORGED)
    async with site.open() as line:
        request = build(line, "INVITE", site.uri(site.nobody), sender=other)
        answer = await site.authorized(line, login, request)
    if answer.status in {401, 403, 407, 436, 438, 428}:
        return passed(f"with the password of {login.user}, a call from {other} is answered {answer}")
    if answer.status in {0, 429, 500, 503}:
        return unseen(f"the call is answered {answer}")
    return failed(f"with the password of {login.user}, a call from {other} goes as far as {answer}")


async def asserted(site: Site) -> Verdict:
    """An asserted identity of a stranger or of a phone is not believed."""
    both = await pair(site)
    forged = f'"The boss" <{site.uri(FORGED)}>'
    extra = [("P-Asserted-Identity", forged), ("Remote-Party-ID", forged)]
    inside = await both.deliver(extra=extra)
    async with site.open() as line:
        outside = await both.deliver(
            line=line,
            sender="sip:audit@audit.invalid",
            contact=f"<{contact_of(line)}>",
            extra=extra,
            authenticate=False,
        )
    for who, found in (("an account", inside), ("a stranger", outside)):
        if found.arrived is None:
            continue
        kept = [name for name in ("P-Asserted-Identity", "Remote-Party-ID") if FORGED in found.get(name)]
        if "P-Asserted-Identity" in kept:
            return failed(f"the P-Asserted-Identity that {who} wrote reaches the callee")
        if kept:
            return weak(f"the Remote-Party-ID that {who} wrote reaches the callee")
    if inside.arrived is None and outside.arrived is None:
        return unseen(f"no call arrived: {inside.answer}")
    return passed("an identity that a phone or a stranger asserts is taken out")


async def strangers(site: Site) -> Verdict:
    """A call of an unknown domain is refused, or told apart."""
    both = await pair(site)
    async with site.open() as line:
        found = await both.deliver(
            line=line,
            sender='"Your bank" <sip:service@bank.invalid>',
            contact=f"<{contact_of(line)}>",
            authenticate=False,
        )
    if found.arrived is None:
        return passed(f"an unsigned call of a stranger is answered {found.answer}")
    if found.mark:
        return passed(f"an unsigned call of a stranger is marked for the callee ({found.mark})")
    return weak("an unsigned call of a stranger arrives like any other")


async def recursion(site: Site) -> Verdict:
    """A redirection by a phone does not send calls to just anybody."""
    both = await pair(site)
    async with _catching(site) as catcher:
        await catcher.open(site.main.endpoint.host)
        contact = [("Contact", f"<sip:third@{catcher.local}>")]
        found = await both.deliver(status=302, answering=contact)
        heard = bool(await catcher.hears([found.request.call_id]))
    if heard:
        return weak("a 302 of the callee makes the server call a third party, on the caller's account")
    return passed(f"a 302 of the callee is passed to the caller: {found.answer}")


async def transfers(site: Site) -> Verdict:
    """A REFER of a stranger makes no phone call."""
    user = site.logins[1].user if len(site.logins) > 1 else site.nobody
    async with _catching(site) as catcher:
        await catcher.open(site.main.endpoint.host)
        third = f"<sip:third@{catcher.local}>"
        answer: Answer = await site.ask(
            "REFER", site.uri(user), extra=[("Refer-To", third), ("Referred-By", third)]
        )
        heard = bool(catcher.caught)
    if heard:
        return failed("a REFER of a stranger made the server call a third party")
    if 200 <= answer.status < 300:
        return failed(f"a REFER of a stranger is answered {answer}")
    return passed(f"a REFER of a stranger is answered {answer}")


RELAY = Fix(
    '[security] challenge = "first"',
    'if (from_uri != myself && uri != myself) { sl_send_reply("403", "Not relaying"); exit; }',
    "pjsip.conf: (no [anonymous] endpoint; the context of a trunk has no Dial(PJSIP/${EXTEN}@...))",
)
DIALOG = Fix(
    "[proxy] record_route = true",
    'route[WITHINDLG]: if (!is_known_dlg()) { sl_send_reply("481", "No such dialog"); exit; }  (dialog.so)',
    "(always on in res_pjsip)",
)
TOLL = "Strangers place calls and send texts through it to anywhere, in its name and on its bill."

REQUIREMENT = Requirement(
    8,
    "Spam resistance",
    "It is not possible to place forged calls over the system.",
    (
        Probe("relay-uri", "No relay by Request-URI", "RFC 3261 section 26.3.1.2", TOLL, RELAY, by_uri, 3),
        Probe(
            "relay-route",
            "No relay by Route",
            "RFC 3261 section 16.4, section 26.3.1.2",
            TOLL,
            RELAY,
            by_route,
            3,
        ),
        Probe(
            "relay-dialog",
            "No relay by an invented dialog",
            "RFC 3261 section 16.12, section 26.3.1.2",
            TOLL,
            DIALOG,
            by_dialog,
            3,
        ),
        Probe(
            "forged-from",
            "An account calls in its own name",
            "RFC 3261 section 22.1, RFC 3325 section 5",
            "Whoever has one account can be anybody in the domain.",
            Fix(
                '[security] challenge = "first"',
                'if ($au != $fU) { sl_send_reply("403", "Forbidden auth ID"); exit; }',
                'pjsip.conf: [alice] type=endpoint trust_id_inbound=no callerid="Alice" <100>',
            ),
            forged_from,
            3,
        ),
        Probe(
            "asserted-outside",
            "An asserted identity from outside is not believed",
            "RFC 3325 section 5",
            "Phones show as certain what any stranger wrote.",
            Fix(
                '[[peer]] name = "carrier"\ndomain = "example.net"\ntrusted = true',
                'remove_hf("P-Asserted-Identity"); remove_hf("Remote-Party-ID");  unless the source is a trusted peer',
                "pjsip.conf: [alice] type=endpoint trust_id_inbound=no",
            ),
            asserted,
            3,
        ),
        Probe(
            "strangers-marked",
            "Calls of strangers are told apart",
            "RFC 8224 section 6.2.2, RFC 5039 section 3.9",
            "A callee cannot tell a bank from somebody who writes that he is one.",
            Fix(
                '[callers] unverified = "mark"',
                'append_hf("Alert-Info: <urn:alert:source:external>\\r\\n");  for from_uri != myself',
                "extensions.conf: Set(CALLERID(name)=? ${CALLERID(name)})",
            ),
            strangers,
        ),
        Probe(
            "redirect-followed",
            "A phone's redirection is not followed for the caller",
            "RFC 3261 section 16.5, section 21.3",
            "A callee makes the caller pay for a call to anywhere.",
            Fix(
                '[proxy] fork = "parallel"',
                "(do not call get_redirects() in a failure_route)",
                "pjsip.conf: [bob] type=endpoint redirect_method=user",
            ),
            recursion,
        ),
        Probe(
            "refer-stranger",
            "A stranger's REFER is refused",
            "RFC 3515 section 5.2",
            "Strangers make phones call where they like.",
            RELAY,
            transfers,
            2,
        ),
    ),
)
