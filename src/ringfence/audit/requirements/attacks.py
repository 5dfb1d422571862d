"""9. Resistance to attacks: nothing that comes from outside makes the server unusable."""

from __future__ import annotations

import asyncio

from ringfence.audit import strain
from ringfence.audit.exchange import Answer, ask, build, take
from ringfence.audit.finding import Fix, Probe, Requirement, Verdict, failed, passed, unseen, weak
from ringfence.audit.pair import PAIR, pair
from ringfence.audit.site import Site
from ringfence.message import ack_for

LISTENING = 2.2
"""Seconds in which a challenge would be repeated twice by timer G (RFC 3261 section 17.2.1)."""

LOOP_HOPS = 12
"""Max-Forwards of the request that may go round: enough to see that it does."""


async def single_challenge(site: Site) -> Verdict:
    """Whether a challenge that nobody acknowledges is sent again and again."""
    place = site.need("UDP")
    user = site.logins[0].user if site.logins else site.nobody
    async with site.open(place) as line:
        request = build(line, "INVITE", site.uri(site.nobody), sender=site.uri(user))
        answer = await ask(line, request, site.wait, quietly=True)
        if answer.final is None:
            return unseen(f"an INVITE is answered {answer}")
        more = Answer()
        end = asyncio.get_running_loop().time() + LISTENING
        while (left := end - asyncio.get_running_loop().time()) > 0:
            data = await line.receive(left)
            if data is not None:
                take(more, data, request, 0.0)
        again = len(more.responses)
        await line.send(ack_for(request, answer.final).to_bytes())
    if not answer.challenged:
        return (
            unseen(f"an INVITE is not challenged, but answered {answer}")
            if not again
            else weak(f"{answer} was repeated {again} times to somebody who may be nobody")
        )
    if again:
        return weak(
            f"the challenge was repeated {again} times in {LISTENING} s: it keeps a transaction for each stranger"
        )
    return passed(f"{answer} was sent once and forgotten")


async def no_hops_left(site: Site) -> Verdict:
    """A request that may go no further goes no further."""
    if len(site.logins) > 1:
        found = await (await pair(site)).deliver(max_forwards=0)
        answer = found.answer
        if found.arrived is not None:
            return failed("a request with Max-Forwards: 0 was forwarded to the callee")
    else:
        answer = await site.ask("INVITE", site.uri(site.nobody), max_forwards=0)
    if answer.status == 483:
        return passed(f"Max-Forwards: 0 is answered {answer}")
    if answer.challenged or answer.status == 403:
        return unseen(f"Max-Forwards: 0 is answered {answer}: it looks at the credentials first")
    return weak(f"Max-Forwards: 0 is answered {answer}")


async def loops(site: Site) -> Verdict:
    """A user who is registered at the own address makes no loop."""
    login = site.login()
    await site.drop(PAIR)  # or the request would fork to a phone that does not ring, too
    async with site.open(site.place("TCP", "TLS", "UDP", "WSS", "WS")) as line:
        user, host = login.user, site.main.endpoint
        contact = f"sip:{user}@{host};transport={site.main.transport.lower()}"
        answer = await site.register(line, login, contact=contact)
        if not 200 <= answer.status < 300:
            return passed(f"a contact that points back to the server is refused: {answer}")
        try:
            request = build(line, "INVITE", site.uri(user), sender=site.uri(user), max_forwards=LOOP_HOPS)
            called = await site.authorized(line, login, request, 2 * site.wait)
        finally:
            await site.register(line, login, contact=contact, expires="0")
    if called.status == 483:
        return weak(f"the request goes round until its hops are used up: {called}")
    if called.final is None:
        return weak(
            f"a call to a contact that points back to the server had no end in {2 * site.wait:g} s: {called}"
        )
    return passed(f"a call to a contact that points back to the server is answered {called}")


async def breadth(site: Site) -> Verdict:
    """What is forwarded says how far it may fork."""
    both = await pair(site)
    found = await both.deliver()
    value = found.get("Max-Breadth")
    if value:
        return passed(f"the callee gets Max-Breadth: {value}")
    return weak("a forwarded request has no Max-Breadth: forks of forks are not bounded")


async def amplification(site: Site) -> Verdict:
    """How much more the server sends than it was sent."""
    place = site.need("UDP")
    worst, what = 0.0, ""
    for method in ("OPTIONS", "REGISTER", "INVITE", "SUBSCRIBE"):
        extra = [("Event", "presence")] if method == "SUBSCRIBE" else []
        async with site.open(place) as line:
            request = build(line, method, site.uri(), sender="sip:a@a.invalid", extra=extra, body=b"")
            sent = len(request.to_bytes())
            await line.send(request.to_bytes())
            got = 0
            end = asyncio.get_running_loop().time() + site.wait
            while (left := end - asyncio.get_running_loop().time()) > 0:
                data = await line.receive(left)
                got += len(data or b"")
                if data is not None and _is_final(data) and method != "INVITE":
                    end = min(end, asyncio.get_running_loop().time() + 0.1)
            if got / sent > worst:
                worst, what = got / sent, f"{method}: {sent} octets in, {got} out"
    if not worst:
        return passed("a datagram of a stranger is not answered at all")
    told = f"at most {worst:.1f} times as much comes back ({what})"
    return passed(told) if worst < 2.5 else weak(told) if worst < 6 else failed(told)


def _is_final(data: bytes) -> bool:
    return data[:8] == b"SIP/2.0 " and data[8:9] >= b"2"


CHEAP = Fix(
    '[security] challenge = "first"',
    "(auth_challenge() is stateless: do not call t_newtran() before it)",
    "(no setting: rate limit INVITE in front)",
)
BOUNDS = Fix(
    "[proxy] max_forwards = 70",
    'if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }',
    "(a B2BUA: pjsip.conf has no setting)",
)

REQUIREMENT = Requirement(
    9,
    "Resistance to attacks",
    "No outside attack hinders the use of the system or renders it inoperable.",
    (
        Probe(
            "challenge-once",
            "A challenge is sent once",
            "RFC 3261 section 26.3.2.4",
            "Each INVITE of a forged sender costs memory for half a minute, and strikes that address several times.",
            CHEAP,
            single_challenge,
            2,
        ),
        Probe(
            "max-forwards",
            "Max-Forwards is kept",
            "RFC 3261 section 16.3 step 3",
            "A loop goes on until the server falls over.",
            BOUNDS,
            no_hops_left,
            2,
        ),
        Probe(
            "loops",
            "A loop is cut",
            "RFC 5393 section 4.2",
            "One account can make the server call itself without end.",
            BOUNDS,
            loops,
            2,
        ),
        Probe(
            "max-breadth",
            "Forking is bounded",
            "RFC 5393 section 5.3.3",
            "Two accounts that are registered at each other multiply one request to 2^70.",
            Fix(
                "[proxy] max_breadth = 60",
                'modparam("registrar", "max_contacts", 10)  and  maxbranches=10',
                "pjsip.conf: [alice] type=aor max_contacts=1",
            ),
            breadth,
        ),
        Probe(
            "amplification",
            "Answers to strangers are not much larger than questions",
            "RFC 3261 section 26.1.5",
            "With forged senders the server shoots at others with more than it is given.",
            Fix(
                "[security] require_tls = true",
                "(sl_send_reply() without extra header fields; statistics off)",
                "pjsip.conf: [global] endpoint_identifier_order=username,ip",
            ),
            amplification,
        ),
        *strain.PROBES,
    ),
)
