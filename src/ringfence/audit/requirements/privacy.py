"""7. Privacy: what a server tells of its users, of itself and of its network."""

from __future__ import annotations

import re
from statistics import median

from ringfence.audit import digests
from ringfence.audit.exchange import Answer, again, token
from ringfence.audit.finding import Fix, Probe, Requirement, Verdict, failed, passed, weak
from ringfence.audit.pair import PAIR, pair
from ringfence.audit.requirements.anonymity import traces
from ringfence.audit.site import OTHER_SOURCE, Login, Site, Unobservable, internal_addresses
from ringfence.audit.statistics import differ, separation
from ringfence.message import PeerError, Response, parse

ROUNDS = 20
"""Pairs of requests whose times are compared: enough for a millisecond, too few to guess a password."""

VERSION = re.compile(r"\d+\.\d+")

VARYING = frozenset(
    {
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Content-Length",
        "Date",
        "WWW-Authenticate",
        "Proxy-Authenticate",
    }
)
"""Header fields that differ from answer to answer in any case."""


async def software(site: Site) -> Verdict:
    """Whether the server says what it runs."""
    for method, uri in (("OPTIONS", site.uri()), ("INVITE", site.uri(site.nobody)), ("REGISTER", site.uri())):
        answer = await site.ask(method, uri)
        told = answer.get("Server") or answer.get("User-Agent")
        if told:
            return (
                weak(f"{told}: whoever knows its flaws finds it")
                if VERSION.search(told)
                else passed(f"{told}, no version")
            )
    return passed("no answer names the software")


async def addresses(site: Site) -> Verdict:
    """Whether answers show addresses of the inner network."""
    for method, uri in (("OPTIONS", site.uri()), ("INVITE", site.uri(site.nobody))):
        await site.ask(method, uri)
    line = await site.line()
    known = {line.local.host, OTHER_SOURCE, *site.target.addresses}
    found: dict[str, str] = {}
    for crossed in site.tape.items:
        if crossed.outward:
            continue
        try:
            message = parse(crossed.data)
        except PeerError:
            continue
        if isinstance(message, Response):
            for name in ("Via", "Record-Route", "Contact", "Warning", "Server", "Path", "Service-Route"):
                for address in internal_addresses(message.headers.all(name), known):
                    found.setdefault(address, name)
    if found:
        return weak("; ".join(f"{address} in {name}" for address, name in found.items()))
    return passed("no address of an inner network in any answer")


def shape(answer: Answer) -> tuple[object, ...]:
    """What an answer looks like, without what always differs."""
    final = answer.final
    if final is None:
        return (0,)
    fields = tuple((name, final.headers.get(name)) for name in final.headers.names if name not in VARYING)
    challenges = [(each.realm, each.algorithm, each.qop, each.stale) for each in digests.offered(answer)]
    return (final.status, final.reason, fields, tuple(challenges))


async def enumerates(site: Site) -> Verdict:
    """Whether answers tell which users there are."""
    known, unknown = site.login(), digests.stranger(site)
    await site.drop(PAIR)  # so that no phone of ours answers for the known one
    for method in ("REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE"):
        shapes = []
        for login in (known, unknown):
            to = site.uri(login.user)
            uri = site.uri() if method == "REGISTER" else to
            sender = to if method == "REGISTER" else "sip:audit@audit.invalid"
            extra = [("Event", "presence")] if method == "SUBSCRIBE" else []
            answer = await site.ask(method, uri, sender=sender, to=to, extra=extra)
            shapes.append(shape(answer))
        if shapes[0] != shapes[1]:
            one, other = (f"{each[0]} {each[1] if len(each) > 1 else ''}".strip() for each in shapes)
            told = (
                f"{one} for a user, {other} for none" if one != other else f"{one} with other header fields"
            )
            return failed(f"{method} is answered {told}")
    wrong = []
    for login in (Login(known.user, token()), unknown):
        async with site.open() as line:
            wrong.append(shape(await digests.attempt(site, line, login)))
    if wrong[0] != wrong[1]:
        return failed(f"a wrong password is answered {wrong[0][:2]} for a user and {wrong[1][:2]} for none")
    return passed("a user and no user are answered alike, without credentials and with wrong ones")


async def enumerates_by_time(site: Site) -> Verdict:
    """Whether the time of an answer tells which users there are."""
    known, unknown = Login(site.login().user, token()), digests.stranger(site)
    times: dict[str, list[float]] = {known.user: [], unknown.user: []}
    async with site.open(site.place("UDP", "TCP", "WS", "TLS", "WSS")) as line:
        _, answer = await digests.challenge(site, line, known)
        for _ in range(ROUNDS):
            for login in (known, unknown):
                fresh = digests.request_for(site, line, login)
                fields = site.credentials(login, answer, fresh)
                got = await site.send(line, again(fresh, extra=fields))
                if not got.challenged:
                    tries = sum(map(len, times.values()))
                    raise Unobservable(
                        f"after {tries} wrong passwords the answer is {got}: nobody can measure more"
                    )
                times[login.user].append(got.seconds)
                answer = got
    one, other = times[known.user], times[unknown.user]
    told = f"{1000 * median(one):.2f} ms for a user, {1000 * median(other):.2f} ms for none ({ROUNDS} times each)"
    if differ(one, other):
        return failed(f"{told}, {abs(separation(one, other)):.1f} standard deviations apart")
    return passed(told)


async def presence(site: Site) -> Verdict:
    """Whether anybody is told who is registered, and when."""
    await site.drop(PAIR)
    user = site.logins[0].user if site.logins else site.nobody
    told = []
    for event in ("presence", "reg", "dialog"):
        answer = await site.ask(
            "SUBSCRIBE",
            site.uri(user),
            sender="sip:audit@audit.invalid",
            extra=[("Event", event), ("Expires", "0")],
        )
        if 200 <= answer.status < 300:
            return failed(f"a stranger's SUBSCRIBE to {event} is answered {answer}")
        told.append(f"{event} {answer}")
    return passed(f"a stranger's SUBSCRIBE is answered: {'; '.join(told)}")


async def redirects(site: Site) -> Verdict:
    """Whether a caller is told where a user is."""
    await site.drop(PAIR)
    user = site.logins[0].user if site.logins else site.nobody
    answer = await site.ask(
        "INVITE", site.uri(user), sender="sip:audit@audit.invalid", extra=[("Require", "audit-unknown")]
    )
    if 300 <= answer.status < 400 and answer.get("Contact"):
        return failed(f"a stranger is told where {user} is: Contact: {answer.get('Contact')}")
    return passed(f"a stranger's INVITE is answered {answer}")


async def topology(site: Site) -> Verdict:
    """Whether a callee sees where the caller is."""
    both = await pair(site)
    found = await both.deliver()
    left = traces(both, found)
    # A callee needs some address to send to; which one is the question.
    place = str(both.outgoing.local)
    seen = [name for name in left if any(place in value for value in found.request.headers.all(name))]
    if seen:
        return weak(f"the callee reads the address of the caller's phone in {', '.join(seen)}")
    return passed("the callee does not see the address of the caller's phone")


async def credentials_stay(site: Site) -> Verdict:
    """Whether a callee gets the caller's digest."""
    both = await pair(site)
    place = site.place("UDP", "TCP", "WS")
    if place is None:
        raise Unobservable("over TLS the account was proved by its connection, and sends no digest again")
    async with site.open(place) as line:
        found = await both.deliver(line=line)
    for name in ("Proxy-Authorization", "Authorization"):
        if both.caller.user in found.get(name):
            return failed(f"the callee gets the caller's {name}: enough to guess the password from")
    return passed("the caller's credentials are taken out")


HIDE = Fix(
    '[hiding] toward = "everybody"\ncontact = true',
    'loadmodule "topoh.so"  and  modparam("topoh", "mask_key", "<secret>")',
    "(always: a B2BUA writes its own Via and Contact)",
)
ALIKE = Fix(
    '[security] challenge = "first"',
    '(challenge before lookup(): route(AUTH) stands before route(LOCATION); sl_send_reply("403", ...) for both)',
    "(always on in res_pjsip: an unknown endpoint is challenged by an artificial one)",
)

REQUIREMENT = Requirement(
    7,
    "Privacy",
    "Personal information cannot be read from the signalling; users control what is told.",
    (
        Probe(
            "software-named",
            "The server does not tell its version",
            "RFC 3261 section 20.35",
            "Whoever looks for servers with a known flaw finds this one.",
            Fix(
                "[domain] aliases = []",
                'server_signature=no  and  user_agent_header="User-Agent: x"',
                "pjsip.conf: [global] user_agent=x",
            ),
            software,
        ),
        Probe(
            "inner-addresses",
            "Answers show no inner addresses",
            "RFC 3323 section 4.1",
            "An attacker learns the network behind the server.",
            Fix(
                '[node] advertise = ["sip.example.org"]',
                "listen=udp:10.0.0.1:5060 advertise sip.example.org:5060",
                "pjsip.conf: [transport-udp] external_signaling_address=sip.example.org",
            ),
            addresses,
        ),
        Probe(
            "users-told",
            "Answers do not tell which users there are",
            "RFC 3261 section 26.3.2.4",
            "A list of user names is half of every password attack, and a directory for spam.",
            ALIKE,
            enumerates,
            3,
        ),
        Probe(
            "presence-open",
            "Strangers are not told who is there",
            "RFC 3856 section 9.1, RFC 3680 section 5.1",
            "Anybody learns when somebody is at the phone, and at which.",
            Fix(
                '[security] challenge = "first"',
                'if (is_method("SUBSCRIBE")) route(AUTH);  before handle_subscribe()',
                "pjsip.conf: [alice] type=endpoint allow_subscribe=no",
            ),
            presence,
            2,
        ),
        Probe(
            "contacts-told",
            "Strangers are not told where a user is",
            "RFC 3261 section 8.3",
            "The address of a phone tells where its user is, and can be called past the server.",
            Fix(
                '[node] roles = ["edge"]',
                '(relay with t_relay() instead of sl_send_reply("302", ...))',
                "(not done by res_pjsip)",
            ),
            redirects,
            2,
        ),
        Probe(
            "topology",
            "A callee does not see where the caller is",
            "RFC 3323 section 3, section 5.1",
            "The address of the caller's phone tells the callee the place, the network and the employer.",
            HIDE,
            topology,
            2,
        ),
        Probe(
            "credentials-stay",
            "A callee does not get the caller's digest",
            "RFC 3261 section 22.3",
            "Every callee can guess the caller's password offline.",
            Fix(
                '[security] challenge = "first"',
                "consume_credentials();  after proxy_authorize()",
                "(always: a B2BUA)",
            ),
            credentials_stay,
            2,
        ),
        Probe(
            "users-timed",
            "Times do not tell which users there are",
            "RFC 3261 section 26.3.2.4",
            "The answers are alike, and a stop watch tells the users all the same.",
            ALIKE,
            enumerates_by_time,
            2,
            loud=2,
        ),
    ),
)
