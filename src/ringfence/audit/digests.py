"""What a server's digest challenges are worth (RFC 7616, RFC 8760): probes of requirement 1."""

from __future__ import annotations

import math
from typing import Any

from ringfence.audit.exchange import Answer, again, build, token
from ringfence.audit.finding import Fix, Probe, Verdict, failed, passed, unseen, weak
from ringfence.audit.line import Line
from ringfence.audit.site import OTHER_SOURCE, Login, Site, Unobservable
from ringfence.message import PeerError, Request
from ringfence.security.credentials import Challenge, parse_challenge
from ringfence.security.digest import algorithm_of

SAMPLES = 6
"""Nonces that are compared: a constant or a counter shows with two, a short random part with six."""

LONG_NONCE = 3600.0
"""Seconds above which a stolen nonce is good for too long."""

ENOUGH_BITS = 64
"""What a nonce should differ by from any other, as far as it can be seen from outside."""


def stranger(site: Site) -> Login:
    """An account that there is not."""
    return Login(site.nobody, token())


def request_for(site: Site, line: Line, login: Login) -> Request:
    """A REGISTER that only asks for the bindings, and changes nothing (RFC 3261 section 10.2.3)."""
    uri = site.uri(login.user)
    return build(line, "REGISTER", site.uri(), sender=uri, to=uri)


async def challenge(site: Site, line: Line, login: Login) -> tuple[Request, Answer]:
    """A request and the challenge that it got. Raises Unobservable."""
    request = request_for(site, line, login)
    answer = await site.send(line, request)
    if not answer.challenged:
        request = build(line, "INVITE", site.uri(site.nobody), sender=site.uri(login.user))
        answer = await site.send(line, request)
    if not answer.challenged:
        raise Unobservable(f"it does not challenge: {answer}")
    return request, answer


async def attempt(site: Site, line: Line, login: Login, **changes: Any) -> Answer:
    """A request that is challenged, and then carries credentials; ``changes`` are made to them."""
    request, answer = await challenge(site, line, login)
    fields = site.credentials(login, answer, request, **changes)
    if not fields:
        raise Unobservable("its challenge is none that a digest could answer")
    return await site.send(line, again(request, extra=fields))


def offered(answer: Answer) -> list[Challenge]:
    """The digest challenges that could be read."""
    found = []
    for value in answer.challenges:
        try:
            each = parse_challenge(value)
        except PeerError:
            continue
        if each is not None:
            found.append(each)
    return found


async def algorithms(site: Site) -> Verdict:
    """Which algorithms are offered, on every port."""
    seen: dict[str, list[str]] = {}
    for place in site.places:
        async with site.open(place) as line:
            try:
                _, answer = await challenge(site, line, stranger(site))
            except Unobservable:
                continue
        seen[str(place)] = [each.algorithm or "MD5" for each in offered(answer)]
    names = [name for each in seen.values() for name in each]
    if not names:
        raise Unobservable("it challenges nobody with a digest")
    told = "; ".join(f"{place}: {', '.join(each)}" for place, each in seen.items())
    strong = [name for name in names if not name.upper().startswith("MD5")]
    if not strong:
        return failed(f"only MD5 is offered ({told})")
    if len(strong) < len(names):
        first = all(not each[0].upper().startswith("MD5") for each in seen.values() if each)
        return weak(f"MD5 is offered {'beside' if first else 'before'} better ones ({told})")
    return passed(told)


async def quality(site: Site) -> Verdict:
    """Whether qop is offered."""
    line = await site.line()
    _, answer = await challenge(site, line, stranger(site))
    options = [set(each.qop) for each in offered(answer)]
    if not options:
        return unseen("its challenge is no digest that could be read")
    if not all(each & {"auth", "auth-int"} for each in options):
        return failed("a challenge has no qop: the client adds no nonce of its own and no count")
    return passed(f"qop is {', '.join(sorted(set().union(*options)))}")


async def fresh(site: Site) -> Verdict:
    """Whether each challenge has a nonce of its own, that cannot be foreseen."""
    nonces: list[str] = []
    for _ in range(SAMPLES):
        async with site.open() as line:
            _, answer = await challenge(site, line, stranger(site))
        nonces += [each.nonce for each in offered(answer)[:1]]
    if len(nonces) < SAMPLES:
        return unseen("its challenges could not be read")
    if len(set(nonces)) < len(nonces):
        return failed(f"{len(nonces)} challenges had {len(set(nonces))} different nonces")
    bits = unforeseen_bits(nonces)
    told = f"{len(nonces)} challenges, as many nonces, that differ by {bits:.0f} bits"
    return (
        passed(told)
        if bits >= ENOUGH_BITS
        else weak(f"{told}: too few to be sure that they cannot be guessed")
    )


def unforeseen_bits(nonces: list[str]) -> float:
    """At most how many bits vary between nonces: positions that differ, times what their alphabet can hold."""
    length = min(map(len, nonces))
    columns = [{nonce[place] for nonce in nonces} for place in range(length)]
    varying = [column for column in columns if len(column) > 1]
    letters = set().union(*varying) if varying else set()
    if all(letter in "0123456789" for letter in letters):
        size = 10
    elif all(letter in "0123456789abcdefABCDEF" for letter in letters):
        size = 16
    else:
        size = 64
    return len(varying) * math.log2(size)


def _unbound(site: Site) -> Any:
    """A place where every request has to carry credentials: over TLS a server may remember the connection."""
    place = site.place("UDP", "TCP", "WS")
    if place is None:
        raise Unobservable(
            "all its ports have TLS, where it may rightly trust the connection after the first proof"
        )
    return place


async def replayed(site: Site) -> Verdict:
    """Whether the same credentials are taken twice."""
    login = site.login()
    async with site.open(_unbound(site)) as line:
        request, answer = await challenge(site, line, login)
        fields = site.credentials(login, answer, request)
        first = await site.send(line, again(request, extra=fields))
        if first.status >= 300 or not first.status:
            return unseen(f"the test account is not let in: {first}")
        second = await site.send(line, again(again(request), extra=fields))
    if second.challenged or second.status == 403:
        return passed(f"the second use with the same nc is answered {second}")
    return failed(f"the second use of the same credentials is answered {second}")


async def elsewhere(site: Site) -> Verdict:
    """Whether a nonce works for somebody else than it was given to: from another address, where we have one."""
    login = site.login()
    place = _unbound(site)
    async with site.open(place) as line:
        request, answer = await challenge(site, line, login)
    fields = site.credentials(login, answer, request)
    own = site.target.loopback and ":" not in place.endpoint.host
    async with site.open(place, OTHER_SOURCE if own else None) as other:
        moved = request_for(site, other, login)
        second = await site.send(other, again(moved, extra=fields))
    if second.challenged or second.status == 403:
        return passed(f"from another {'address' if own else 'port'} it is answered {second}")
    if not own:
        return unseen(
            f"from another port of this machine it is answered {second}; there is no other address to try"
        )
    return weak(f"from another address it is answered {second}: stolen credentials can be used from anywhere")


async def invented(site: Site) -> Verdict:
    """Whether a nonce that was never given is refused, and the right password told apart by stale=true."""
    login = site.login()
    async with site.open(site.place("UDP", "TCP", "WS", "TLS", "WSS")) as line:
        request, answer = await challenge(site, line, login)
        forged = _with_nonce(site, login, answer, request)
        second = await site.send(line, again(request, extra=forged))
    if not (second.challenged or second.status == 403):
        return failed(f"the right password over a nonce of our own is answered {second}")
    if any(each.stale for each in offered(second)):
        return passed(f"answered {second} with stale=true: phones try again without asking their user")
    return weak(f"answered {second} without stale=true: phones may ask their user for the password again")


def _with_nonce(site: Site, login: Login, answer: Answer, request: Request) -> list[tuple[str, str]]:
    """Correct credentials over a nonce that the server has never seen."""
    made = [each for each in offered(answer) if algorithm_of(each) is not None]
    if not made or answer.final is None:
        raise Unobservable("its challenge is none that a digest could answer")
    changed = answer.final.copy()
    name = "WWW-Authenticate" if answer.status == 401 else "Proxy-Authenticate"
    made[0].nonce = token(24)
    changed.headers.set(name, str(made[0]))
    return site.credentials(login, Answer([changed]), request)


async def lifetime(site: Site) -> Verdict:
    """How long a nonce is good for."""
    if site.config is None:
        raise Unobservable("only time would show it: run it on the server, ringfence audit --config FILE")
    seconds = site.config.security.nonce_lifetime_seconds
    told = f"a nonce is good for {seconds:g} s"
    return passed(told) if seconds <= LONG_NONCE else weak(f"{told}: what is recorded can be used that long")


async def stale_is_honest(site: Site) -> Verdict:
    """Whether stale=true is kept from those who do not know the password."""
    login = stranger(site)
    async with site.open() as line:
        request, answer = await challenge(site, line, login)
        second = await site.send(line, again(request, extra=_with_nonce(site, login, answer, request)))
    if not second.challenged:
        return passed(f"answered {second}")
    if any(each.stale for each in offered(second)):
        return weak("stale=true is said to a wrong password, too: whoever guesses is told to go on")
    return passed("stale=true is not said to a wrong password")


async def other_uri(site: Site) -> Verdict:
    """Whether credentials for one URI open another."""
    login = site.login()
    async with site.open(site.place("UDP", "TCP", "WS", "TLS", "WSS")) as line:
        answer = await attempt(site, line, login, uri="sip:audit.invalid")
    if answer.challenged or answer.status in {400, 403}:
        return passed(f"credentials for another URI are answered {answer}")
    if not answer.status:
        return passed("credentials for another URI are not answered")
    return failed(f"credentials made for sip:audit.invalid are answered {answer}")


def _md5(kamailio: str) -> Fix:
    return Fix(
        '[security] algorithms = ["SHA-512-256", "SHA-256"]',
        kamailio,
        "pjsip.conf: [alice] type=auth auth_type=digest supported_algorithms_uas=SHA-512-256,SHA-256",
    )


PROBES: tuple[Probe, ...] = (
    Probe(
        "digest-algorithms",
        "Digest with SHA-2",
        "RFC 8760 section 2",
        "MD5 is broken: from one recorded exchange passwords are guessed billions a second.",
        _md5('modparam("auth", "algorithm", "SHA-256")'),
        algorithms,
        2,
    ),
    Probe(
        "digest-qop",
        "Digest with qop",
        "RFC 8760 section 2.6",
        "Without qop the client's own nonce and count are missing, and answers can be computed beforehand.",
        Fix('[security] challenge = "first"', 'modparam("auth", "qop", "auth")', "(always on in res_pjsip)"),
        quality,
    ),
    Probe(
        "nonce-fresh",
        "Nonces are new and cannot be foreseen",
        "RFC 7616 section 5.12",
        "A nonce that comes again, or can be foreseen, makes recorded credentials good again.",
        Fix(
            "[security] nonce_lifetime_seconds = 300.0",
            'modparam("auth", "secret", "<32 random characters>")',
            "pjsip.conf: [alice] type=auth nonce_lifetime=32",
        ),
        fresh,
        2,
    ),
    Probe(
        "nonce-replay",
        "Credentials are good once",
        "RFC 7616 section 5.5",
        "Whoever records one request can send it again, and another in its place.",
        Fix(
            '[security] challenge = "first"',
            'modparam("auth", "nonce_count", 1)  and  modparam("auth", "nc_enabled", 1)',
            "(no setting: put TLS in front, pjsip.conf: [transport-tls] type=transport protocol=tls)",
        ),
        replayed,
        2,
    ),
    Probe(
        "nonce-elsewhere",
        "A nonce is for whom it was given to",
        "RFC 7616 section 5.5",
        "Credentials that were read on the way can be used from another address.",
        Fix(
            '[security] challenge = "first"',
            'modparam("auth", "auth_checks_register", 9)',
            "(no setting: use TLS)",
        ),
        elsewhere,
    ),
    Probe(
        "nonce-invented",
        "A nonce has to be the server's own",
        "RFC 7616 section 3.3",
        "If the client may choose the nonce, answers can be prepared beforehand, by anybody who has the password once.",
        Fix(
            "[security] nonce_lifetime_seconds = 300.0",
            'modparam("auth", "nonce_expire", 300)',
            "pjsip.conf: [alice] type=auth nonce_lifetime=32",
        ),
        invented,
        2,
    ),
    Probe(
        "nonce-lifetime",
        "Nonces die soon",
        "RFC 7616 section 5.4",
        "Credentials that were recorded can be used as long as their nonce lives.",
        Fix(
            "[security] nonce_lifetime_seconds = 300.0",
            'modparam("auth", "nonce_expire", 300)',
            "pjsip.conf: [alice] type=auth nonce_lifetime=32",
        ),
        lifetime,
    ),
    Probe(
        "stale-honest",
        "stale=true only for the right password",
        "RFC 7616 section 3.3",
        "A wrong password is answered as if only the nonce were old, so that phones try it again and again.",
        Fix(
            '[security] challenge = "first"',
            'modparam("auth", "nonce_expire", 300)',
            "(always so in res_pjsip)",
        ),
        stale_is_honest,
    ),
    Probe(
        "digest-uri",
        "Credentials are for one URI",
        "RFC 7616 section 3.4.6",
        "Credentials for a harmless request can be put on another one.",
        Fix(
            '[security] uri_check = "exact"',
            'if ($adu != $ru) { sl_send_reply("400", "URI mismatch"); exit; }',
            "(no setting)",
        ),
        other_uri,
        2,
    ),
)
