"""Run the probes, one after the other: quiet ones first, those that a guard may answer with a ban last.

A probe never ends an audit. What it could not see is a finding too, and after each of them it is looked whether the
server still answers, so that a ban is not taken for a refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from ringfence.audit.finding import (
    Finding,
    Judged,
    Probe,
    Report,
    Requirement,
    Result,
    Shown,
    Verdict,
    failed,
    passed,
    unseen,
)
from ringfence.audit.line import Crossed, Place, Tape
from ringfence.audit.requirements import REQUIREMENTS
from ringfence.audit.site import BANNED, Site, Unobservable
from ringfence.audit.strain import begin_slow
from ringfence.client.errors import AgentError
from ringfence.message import LocalError, PeerError
from ringfence.service.logs import redact

PROBE_SECONDS = 60.0
"""For one probe; the longest waits forty seconds for a slow connection to be closed."""

MESSAGES = 8
"""Messages that are kept as evidence of one finding, the first and the last ones."""

CHARACTERS = 1_600
"""Of one message that are kept: all of an ordinary one."""

LAST = 3
"""The loudness of the probe that only looks what has become of the server."""

Progress = Callable[[int, int, Requirement, Probe], None]
"""Told before each probe: its number, how many there are, what it is."""


class Unreachable(Exception):
    """No port of the target answers SIP."""


async def find_places(site: Site) -> None:
    """See on which of the target's places a server answers. Raises Unreachable."""
    answers = await asyncio.gather(*(_answers(site, place) for place in site.target.places))
    told = dict(zip(site.target.places, answers, strict=True))
    found = [place for place, wrong in told.items() if not wrong]
    wrong = [f"{place}: {why}" for place, why in told.items() if why]
    site.places = tuple(found)
    if not found:
        raise Unreachable("; ".join(wrong))


async def _answers(site: Site, place: Place) -> str:
    """Why a place is none that answers; empty when it does."""
    try:
        return await site.silence(place)
    except AgentError as error:
        return str(error)


async def audit(
    site: Site,
    requirements: Sequence[Requirement] = REQUIREMENTS,
    *,
    seconds: float = 300.0,
    progress: Progress | None = None,
) -> Report:
    """Ask everything, and give the report. ``seconds`` bounds all of it. Raises Unreachable."""
    loop = asyncio.get_running_loop()
    started, begin = time.time(), loop.time()
    await find_places(site)
    with contextlib.suppress(OSError):  # then there is no such connection to be seen
        await begin_slow(site)
    order = [(requirement, probe) for requirement in requirements for probe in requirement.probes]
    order.sort(key=lambda each: each[1].loud)
    found: dict[str, Finding] = {}
    try:
        await site.look_at_domain()
        for number, (requirement, probe) in enumerate(order, 1):
            if progress is not None:
                progress(number, len(order), requirement, probe)
            found[probe.name] = await _one(site, probe, begin + seconds - loop.time())
    finally:
        await site.close()
    judged = tuple(Judged(each, tuple(found[probe.name] for probe in each.probes)) for each in requirements)
    places = tuple(map(str, site.places))
    remarks = tuple(_remarks(site))
    return Report(
        site.target.text, site.domain, places, started, loop.time() - begin, judged, site.software, remarks
    )


def _remarks(site: Site) -> list[str]:
    silent = [str(place) for place in site.target.places if place not in site.places]
    found = []
    if silent:
        found.append(f"No answer on {', '.join(silent)}.")
    if site.foreign:
        found.append(f"It may not serve {site.domain} ({site.foreign}): name its domain by --domain.")
    if len(site.logins) < 2:
        found.append("Without two test accounts (--user, --second-user) what reaches a callee was not seen.")
    if site.refusals:
        found.append(f"Limits were met: {site.refusals[0]}. Let this address pass to see the rest.")
    if site.lost:
        found.append(f"Before the end {site.lost}.")
    return found


async def _one(site: Site, probe: Probe, left: float) -> Finding:
    loop = asyncio.get_running_loop()
    start, first = loop.time(), len(site.tape.items)
    verdict = await _ask(site, probe, left)
    evidence, more = _evidence(site.tape, first, start)
    seconds = loop.time() - start
    if not site.lost and probe.loud < LAST and left > 0 and not await site.alive():
        why = await site.diagnose()
        if why:
            site.lost = f"{why}, since {probe.name}"
            if BANNED not in why and verdict.result is not Result.UNSEEN:
                verdict = failed(f"{verdict.detail}; and then {why}")
    return Finding(probe, verdict, evidence, more, seconds)


async def _ask(site: Site, probe: Probe, left: float) -> Verdict:
    if site.lost and probe.proves_guard and BANNED in site.lost:
        return passed(f"{site.lost}")
    if site.lost and probe.loud < LAST:
        return unseen(f"{site.lost}")
    if left <= 0:
        return unseen("the time for the audit was over: give more with --seconds")
    try:
        async with asyncio.timeout(min(PROBE_SECONDS, left)):
            return await probe.ask(site)
    except Unobservable as reason:
        return unseen(str(reason))
    except TimeoutError:
        return unseen("it took too long")
    except (OSError, AgentError, LocalError, PeerError) as error:
        return unseen(f"{error}" or type(error).__name__)


def _evidence(tape: Tape, first: int, start: float) -> tuple[tuple[Shown, ...], int]:
    items = tape.items[first:]
    kept = items if len(items) <= MESSAGES else [*items[: MESSAGES - 4], *items[-4:]]
    return tuple(shown(each, start) for each in kept), len(items) - len(kept)


def shown(crossed: Crossed, start: float) -> Shown:
    """One message as evidence: without credentials, and harmless to print."""
    text = crossed.data[: 4 * CHARACTERS].decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    text = "".join(
        each if each.isprintable() or each == "\n" else f"\\x{ord(each):02x}" for each in redact(text)
    )
    if len(text) > CHARACTERS:
        text = f"{text[:CHARACTERS]}\n[{len(crossed.data)} octets in all]"
    return Shown(round(crossed.time - start, 4), crossed.outward, str(crossed.place), text.rstrip("\n"))
