"""Malformed, slow, long and many: probes of requirement 9 that strain a server, looking at its health after each."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from ringfence.audit import digests
from ringfence.audit.exchange import Answer, again, build, token
from ringfence.audit.finding import Fix, Probe, Verdict, failed, passed, weak
from ringfence.audit.line import Line, Place
from ringfence.audit.malformed import Case, datagrams, streams
from ringfence.audit.site import BANNED, Login, Site, Unobservable
from ringfence.message import PeerError, Response, parse

EACH_WAIT = 0.05
"""Seconds for the answer to one wrong message; what comes later is counted with the next."""

TOGETHER = 8
"""Wrong messages that are sent before a look at the server's health: so many may be meant when it is dead."""

IDLE = 40
"""Connections that are opened at a time: many for one address, few for a server."""

BURST = 120
"""Requests at once, more than any phone sends in a minute and less than a server feels."""

GUESSES = 25
"""Wrong passwords in a row."""

SLOW = "slow"


async def wrong_messages(site: Site) -> Verdict:
    """Wrong messages are answered with an error or dropped, and the server goes on serving."""
    sent = 0
    liked: list[str] = []
    async with site.open() as line:
        cases = list(datagrams(site, line))
    for start in range(0, len(cases), TOGETHER):
        group = cases[start : start + TOGETHER]
        answered = await asyncio.gather(*(_one(site, site.main, case) for case in group))
        sent += len(group)
        for case, answers in zip(group, answered, strict=True):
            if case.answerable and any(100 < each.status < 300 for each in answers):
                liked.append(case.name)
        if not await _healthy(site):
            names = ", ".join(each.name for each in group)
            return failed(f"the server no longer answers after one of: {names}")
    stream = site.place("TCP", "TLS")
    if stream is not None:
        async with site.open(stream) as line:
            broken = list(streams(site, line))
        for case in broken:
            await _one(site, stream, case)
            sent += 1
        if not await _healthy(site, stream):
            return failed("the server no longer answers after messages whose framing is broken")
    if liked:
        return weak(f"{sent} wrong messages, and it serves on; but it takes for good: {', '.join(liked[:8])}")
    return passed(f"{sent} wrong messages were answered with an error or dropped, and it serves on")


async def _one(site: Site, place: Place, case: Case) -> list[Response]:
    found = []
    async with site.open(place) as line:
        await line.send(case.data)
        while (data := await line.receive(EACH_WAIT)) is not None:
            try:
                message = parse(data)
            except PeerError:
                continue
            if isinstance(message, Response):
                found.append(message)
                break
    return found


async def _healthy(site: Site, place: Place | None = None) -> bool:
    for _ in range(3):
        if await site.alive(place):
            return True
        await asyncio.sleep(site.wait)
    return not (await site.diagnose()).startswith("it answers no more") if site.target.loopback else False


async def oversize(site: Site) -> Verdict:
    """A message that is much too long is not read to its end."""
    place = site.need("TCP", "TLS")
    async with site.open(place) as line:
        request = build(line, "MESSAGE", site.uri(site.nobody), sender=site.uri(site.nobody), contact="")
        request.headers.set("Content-Length", "900000000")
        request.headers.add("Content-Type", "text/plain")
        await line.send(request.to_bytes())
        taken, block = 0, b"x" * 65_536
        first = None
        for _ in range(64):  # 4 MiB
            if line.ended is not None:
                break
            await line.send(block, at_once=True)
            taken += len(block)
            first = first or await line.receive(0.01)
        ended = await line.over(site.wait)
    answer = first.split(b"\r\n")[0].decode("utf-8", "replace") if first else "no answer"
    if not await _healthy(site, place):
        return failed("the server no longer answers after a message of 900 MB was begun")
    if ended:
        return passed(f"a message of 900 MB is cut off ({answer})")
    return weak(f"{taken // 1024} KiB of a message of 900 MB were taken, and it waits for more ({answer})")


class Slow:
    """Connections that were opened at the start of the audit, to see when the server loses patience."""

    def __init__(self, lines: dict[str, Line], patience: float) -> None:
        self.lines = lines
        self.patience = patience
        self.began = asyncio.get_running_loop().time()
        self.ended: dict[str, float] = {}
        self.watching = [asyncio.create_task(self._watch(name, line)) for name, line in lines.items()]

    async def _watch(self, name: str, line: Line) -> None:
        if await line.over(self.patience):
            self.ended[name] = asyncio.get_running_loop().time() - self.began

    async def close(self) -> None:
        """Close what is open still."""
        for task in self.watching:
            task.cancel()
        await asyncio.gather(*self.watching, return_exceptions=True)
        for line in self.lines.values():
            await line.close()


async def begin_slow(site: Site) -> None:
    """Open two connections that say nothing, and half a message."""
    place = site.place("TCP", "TLS")
    if place is None:
        return
    lines = {}
    for name, data in (
        ("silent", b""),
        ("half a message", b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;bra"),
    ):
        line = Line(place, site.tape, site.pace, site.contexts)
        await line.open()
        if data:
            await line.send(data)
        lines[name] = line
    await site.keep(SLOW, Slow(lines, site.patience))


async def slow_streams(site: Site) -> Verdict:
    """Connections that do not get on are closed in time."""
    slow: Slow | None = site.kept(SLOW)
    if slow is None:
        raise Unobservable("the server answers on no TCP or TLS port that was found")
    await asyncio.gather(*slow.watching)
    left = [name for name in slow.lines if name not in slow.ended]
    told = [f"{name}: closed after {seconds:.0f} s" for name, seconds in slow.ended.items()]
    told += [f"{name}: still open after {site.patience:.0f} s" for name in left]
    return weak("; ".join(told)) if left else passed("; ".join(told))


async def idle_connections(site: Site) -> Verdict:
    """Many connections that say nothing keep nobody else out."""
    place = site.need("TCP", "TLS")
    async with AsyncExitStack() as stack:
        opened = 0
        for _ in range(IDLE):
            try:
                await stack.enter_async_context(site.open(place))
                opened += 1
            except OSError:
                break
        healthy = await site.alive(place)
    if healthy:
        return passed(f"with {opened} idle connections of one address it answers on the next")
    if opened < IDLE and await _healthy(site, place):
        return passed(f"after {opened} connections one address gets no more")
    return failed(f"with {opened} idle connections it answers nobody")


async def burst(site: Site) -> Verdict:
    """Too many requests of one address meet a limit."""
    if not site.burst:
        raise Unobservable("it was left out: --no-burst")
    before = len(site.refusals)
    async with site.open() as line:
        sent = {}
        for _ in range(BURST):
            request = build(
                line, "REGISTER", site.uri(), sender=site.uri(site.nobody), to=site.uri(site.nobody)
            )
            await line.send(request.to_bytes(), at_once=True)
            sent[request.call_id] = request
            await asyncio.sleep(0)
        statuses: list[int] = []
        while len(statuses) < BURST and (data := await line.receive(site.wait)) is not None:
            try:
                message = parse(data)
            except PeerError:
                continue
            if isinstance(message, Response) and message.call_id in sent:
                statuses.append(message.status)
    limited = sum(status in {429, 503} for status in statuses)
    silent = BURST - len(statuses)
    told = f"of {BURST} requests at once {len(statuses)} were answered"
    if limited or silent > BURST // 10:
        return passed(f"{told}, {limited} of them with 429 or 503")
    if before:
        return passed(f"{told}; limits were met before: {site.refusals[0]}")
    if site.config is not None and site.config.guard.enabled:
        rate = site.config.guard.datagrams_per_second
        return passed(
            f"{told}: within the limits of [guard], {rate:g} a second and ten seconds' worth at once"
        )
    return weak(f"{told} as if they were one: no limit for one address was seen")


async def guesses(site: Site) -> Verdict:
    """Guessing passwords meets a limit."""
    if not site.burst:
        raise Unobservable("it was left out: --no-burst")
    login = Login(site.nobody, token())
    source = site.stranger
    async with site.open(local=source) as line:
        request, answer = await digests.challenge(site, line, login)
        for number in range(1, GUESSES + 1):
            fields = site.credentials(login, answer, request, count=number)
            request = digests.request_for(site, line, login)
            fields = site.credentials(login, answer, request, count=number)
            got: Answer = await site.send(line, again(request, extra=fields))
            if not got.challenged:
                return passed(f"after {number} wrong passwords the answer is {got}")
            answer = got
    why = await site.diagnose(source)
    if why:
        return passed(f"after {GUESSES} wrong passwords {why}")
    return weak(f"{GUESSES} wrong passwords in a row are each answered {answer}, at once")


async def serves_on(site: Site) -> Verdict:
    """After all of this the server answers."""
    why = site.lost or await site.diagnose()
    if not why:
        return passed("after all probes it answers as before")
    if BANNED in why:
        return passed("after all probes it answers other addresses as before; this one is banned")
    return failed(f"after all probes {why}")


LIMITS = Fix(
    "[guard] enabled = true\nban = true",
    '#!define WITH_ANTIFLOOD  and  modparam("pike", "reqs_density_per_unit", 30)',
    "fail2ban: jail asterisk, with [logfiles] security => security",
)
SANE = Fix(
    "ringfence parse FILE  (says what is wrong with a message; report it to us)",
    'if (!sanity_check("17895", "7")) exit;',
    "(upgrade: asterisk -rx 'core show version')",
)

PROBES: tuple[Probe, ...] = (
    Probe(
        "malformed",
        "Wrong messages do no harm",
        "RFC 4475, RFC 3261 section 16.3 step 1",
        "One datagram can stop the server, or what it passes on stops the phones behind it.",
        SANE,
        wrong_messages,
        3,
    ),
    Probe(
        "oversize",
        "A message without end is cut off",
        "RFC 3261 section 21.5.14",
        "A few connections fill the memory.",
        Fix(
            "[limits] unsent_bytes = 2097152",
            "tcp_rd_buf_size=16384  and  tcp_msg_read_timeout=20",
            "(no setting: limit in front)",
        ),
        oversize,
        2,
    ),
    Probe(
        "idle-connections",
        "Idle connections keep nobody out",
        "RFC 3261 section 26.3.2.4",
        "One machine that opens connections makes the server unreachable for all.",
        Fix(
            "[limits] connections_per_source = 1000",
            "tcp_max_connections=4096  and  tcp_accept_iplimit=64",
            "rtp.conf/pjsip.conf: (no setting: iptables connlimit)",
        ),
        idle_connections,
    ),
    Probe(
        "slow-streams",
        "Connections that do not get on are closed",
        "RFC 3261 section 26.3.2.4",
        "Connections that send one octet a minute fill the table.",
        Fix(
            "[limits] message_seconds = 20.0",
            "tcp_msg_read_timeout=20  and  tcp_connection_lifetime=3600",
            "pjsip.conf: [global] keep_alive_interval=90",
        ),
        slow_streams,
        2,
        loud=1,
    ),
    Probe(
        "burst",
        "Floods meet a limit",
        "RFC 3261 section 26.1.5",
        "One machine takes all of the server.",
        LIMITS,
        burst,
        loud=1,
        proves_guard=True,
    ),
    Probe(
        "guesses",
        "Guessing passwords meets a limit",
        "RFC 3261 section 26.3.2.4",
        "Weak passwords are found in hours.",
        LIMITS,
        guesses,
        loud=2,
        proves_guard=True,
    ),
    Probe(
        "serves-on",
        "The server serves on",
        "RFC 3261 section 26.1.5",
        "What a stranger sends in a minute makes it unusable.",
        LIMITS,
        serves_on,
        3,
        loud=3,
    ),
)
