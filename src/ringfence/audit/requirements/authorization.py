"""3. Authorization: only who has a right to the network may use it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ringfence.audit.exchange import Answer, build, contact_of, token
from ringfence.audit.finding import Fix, Probe, Requirement, Verdict, failed, passed, unseen, weak
from ringfence.audit.site import Site

REFUSED = frozenset(
    {400, 401, 403, 405, 407, 420, 421, 428, 433, 436, 437, 438, 469, 470, 494, 501, 603, 607}
)
"""Answers that let nobody in."""

UNAVAILABLE = frozenset({429, 500, 503})
LOOKED_UP = frozenset({404, 410, 480, 484, 485, 486, 487, 488, 600, 604, 606, 408})
"""Answers of somebody who has gone on to look for the callee."""

SEARCHED = frozenset({408, 477, 478, 480, 486, 487, 488, 600, 603})
"""Those that only come when a phone was looked for."""


def judge(method: str, answer: Answer) -> Verdict:
    """What an answer to a request without credentials, in the name of a user of the domain, says."""
    status = answer.status
    if status in REFUSED:
        return passed(f"{method} is answered {answer}")
    if status == 0:
        return passed(f"{method} is not answered")
    if status in UNAVAILABLE:
        return unseen(f"{method} is answered {answer}")
    if 200 <= status < 300:
        return failed(f"{method} in the name of a user, without credentials, is answered {answer}")
    if status in LOOKED_UP or status < 200 or status < 400:
        return failed(f"{method} in the name of a user, without credentials, goes as far as {answer}")
    return weak(f"{method} is answered {answer}")


def unauthenticated(*methods: str, **parts: str) -> Callable[[Site], Awaitable[Verdict]]:
    """A probe that sends these methods to a user, from a user of the domain, without credentials."""

    async def ask(site: Site) -> Verdict:
        verdicts = []
        user = site.logins[0].user if site.logins else site.nobody
        for method in methods:
            extra = {
                "REFER": [("Refer-To", f"<{site.uri(site.nobody)}>")],
                "PUBLISH": [("Event", "presence"), ("Expires", "60")],
                "NOTIFY": [("Event", "presence"), ("Subscription-State", "active")],
            }.get(method, [])
            body = b"audit" if method == "MESSAGE" else None
            answer = await site.ask(
                method,
                site.uri(site.nobody),
                sender=site.uri(user),
                extra=extra,
                body=body,
                content_type="text/plain" if body else "application/sdp",
            )
            verdicts.append(judge(method, answer))
        order = ("fail", "weak", "not observable", "pass")
        first = min(verdicts, key=lambda verdict: order.index(verdict.result))
        same = [each.detail for each in verdicts if each.result is first.result]
        return Verdict(first.result, "; ".join(same))

    return ask


async def binds(site: Site) -> Verdict:
    """Nobody registers a phone without credentials."""
    line = await site.line()
    uri = site.uri(site.nobody)
    answer = await site.ask(
        "REGISTER", site.uri(), sender=uri, to=uri, contact=f"<{contact_of(line)}>", extra=[("Expires", "60")]
    )
    if 200 <= answer.status < 300:
        await site.ask("REGISTER", site.uri(), sender=uri, to=uri, contact=f"<{contact_of(line)}>;expires=0")
        return failed(f"a phone of a user that there is not was registered: {answer}")
    return judge("REGISTER", answer) if answer.status != 404 else passed(f"answered {answer}")


async def empties(site: Site) -> Verdict:
    """Nobody takes a user's registrations away without credentials."""
    uri = site.uri(site.nobody)
    answer = await site.ask("REGISTER", site.uri(), sender=uri, to=uri, contact="*", extra=[("Expires", "0")])
    if 200 <= answer.status < 300:
        return failed(f"all phones of a user can be removed by anybody: {answer}")
    return judge("REGISTER", answer) if answer.status != 404 else passed(f"answered {answer}")


async def registers_another(site: Site) -> Verdict:
    """An account registers its own address and no other."""
    login = site.login()
    other = site.uri(site.logins[1].user if len(site.logins) > 1 else site.nobody)
    async with site.open() as line:
        for sender in (site.uri(login.user), other):
            contact = f"<{contact_of(line)}>"
            request = build(
                line,
                "REGISTER",
                site.uri(),
                sender=sender,
                to=other,
                contact=contact,
                extra=[("Expires", "60")],
            )
            answer = await site.authorized(line, login, request)
            if 200 <= answer.status < 300:
                gone = build(
                    line, "REGISTER", site.uri(), sender=sender, to=other, contact=f"{contact};expires=0"
                )
                await site.authorized(line, login, gone)
                return failed(f"with the password of {login.user}, {other} was registered: {answer}")
    return passed(f"with the password of {login.user}, registering {other} is answered {answer}")


async def registers_abroad(site: Site) -> Verdict:
    """The registrar is for its own domains."""
    line = await site.line()
    uri = "sip:audit@audit.invalid"
    answer = await site.ask(
        "REGISTER",
        "sip:audit.invalid",
        sender=uri,
        to=uri,
        contact=f"<{contact_of(line)}>",
        extra=[("Expires", "60")],
    )
    if 200 <= answer.status < 300:
        return failed(f"an address of another domain was registered: {answer}")
    if answer.status in {408, 478, 500, 502, 503, 504}:
        return weak(f"answered {answer}: it may have tried to pass it on")
    return passed(f"answered {answer}" if answer.status else "not answered")


async def false_dialog(site: Site) -> Verdict:
    """A request in a dialog that there is not goes nowhere."""
    told = []
    for method in ("BYE", "INVITE", "INFO"):
        user = site.uri(site.nobody)
        answer = await site.ask(method, user, sender=user, to=f"<{user}>;tag={token(4)}")
        if 100 < answer.status < 300 or answer.status in SEARCHED:
            return failed(f"{method} with a To tag that was made up goes as far as {answer}")
        told.append(f"{method} {answer}")
    return passed(f"with a To tag that was made up: {'; '.join(told)}")


CHALLENGE = Fix(
    '[security] challenge = "first"',
    "#!define WITH_AUTH  (proxy_challenge in route[AUTH] for every request from a local user)",
    "pjsip.conf: [anonymous] must not exist; every endpoint has auth=",
)
EXPOSED = "Anybody on the Internet can {what} in the name of any user."

REQUIREMENT = Requirement(
    3,
    "Authorization",
    "Only authorized users can place calls on the network.",
    (
        Probe(
            "calls-proved",
            "Calls need credentials",
            "RFC 3261 section 22.3",
            EXPOSED.format(what="call"),
            CHALLENGE,
            unauthenticated("INVITE"),
            3,
        ),
        Probe(
            "messages-proved",
            "Messages need credentials",
            "RFC 3428 section 11.1",
            EXPOSED.format(what="send texts"),
            CHALLENGE,
            unauthenticated("MESSAGE"),
            2,
        ),
        Probe(
            "others-proved",
            "PUBLISH, REFER and NOTIFY need credentials",
            "RFC 3903 section 14.1, RFC 3515 section 5.2",
            EXPOSED.format(what="change the presence of others, or make their phones call"),
            CHALLENGE,
            unauthenticated("PUBLISH", "REFER", "NOTIFY"),
            2,
        ),
        Probe(
            "options-proved",
            "OPTIONS to a user needs credentials",
            "RFC 3261 section 11",
            "Scanners find out which phones there are, and what they are.",
            CHALLENGE,
            unauthenticated("OPTIONS"),
        ),
        Probe(
            "register-open",
            "Nobody registers without credentials",
            "RFC 3261 section 10.3",
            "Whoever registers as a user gets that user's calls.",
            CHALLENGE,
            binds,
            3,
        ),
        Probe(
            "register-empty",
            "Nobody removes registrations without credentials",
            "RFC 3261 section 10.2.2",
            "Anybody can make a user unreachable.",
            CHALLENGE,
            empties,
            3,
        ),
        Probe(
            "register-other",
            "An account registers its own address only",
            "RFC 3261 section 10.3 step 4",
            "Every user can take the calls of every other user.",
            Fix(
                '[security] challenge = "first"',
                'if ($tU != $au) { sl_send_reply("403", "Forbidden"); exit; }',
                "pjsip.conf: [alice] type=aor max_contacts=1  (and auth= names alice's own)",
            ),
            registers_another,
            3,
        ),
        Probe(
            "register-abroad",
            "The registrar is for its own domains",
            "RFC 3261 section 10.3 step 1",
            "The server keeps addresses of others, or passes registrations on.",
            Fix(
                "[domain] aliases = []",
                'if (is_method("REGISTER") && $rd != "example.org") { sl_send_reply("404", "Not here"); exit; }',
                "pjsip.conf: [global] type=global default_realm=example.org",
            ),
            registers_abroad,
        ),
        Probe(
            "dialog-invented",
            "A dialog cannot be made up",
            "RFC 3261 section 12.2.2",
            "A To tag that somebody made up passes for a call that has been let in.",
            Fix(
                "[proxy] record_route = true",
                'if (has_totag() && !is_known_dlg()) { sl_send_reply("481", "No such dialog"); exit; }  (dialog.so)',
                "(always on in res_pjsip)",
            ),
            false_dialog,
            2,
        ),
    ),
)
