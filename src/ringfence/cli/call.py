"""``ringfence call``: call somebody, play and record, hang up."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringfence.cli.anonymity import PrivacyOption
from ringfence.cli.failure import Exit
from ringfence.cli.hop import AgreeOption, IpsecOption, agreement_of
from ringfence.cli.options import JsonOption
from ringfence.cli.phone import (
    DirectOption,
    EncryptionOption,
    FromOption,
    Md5Option,
    PasswordOption,
    PlayOption,
    ProxyOption,
    RecordOption,
    Teller,
    TransportOption,
    TrustOption,
    UserOption,
    failure_of,
    make_agent,
    make_media,
    run,
)
from ringfence.cli.protection import (
    AibOption,
    CertificateOption,
    EncryptOption,
    FetchFromOption,
    KnownOption,
    RevocationOption,
    SignOption,
    SubjectOption,
    TunnelOption,
    facts_of,
    make_smime,
)

if TYPE_CHECKING:
    from ringfence.client import Call, Media, UserAgent

HEARD_OUT = 0.3
"""Seconds that a call goes on after a file was played: what the other side has not heard yet is on its way."""


def call(
    target: Annotated[str, typer.Argument(metavar="URI", help="Whom to call.")],
    address: FromOption,
    play: PlayOption = None,
    record: RecordOption = None,
    duration: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="S", help="Hang up after that. Default: when --play has ended, else never."
        ),
    ] = None,
    digits: Annotated[str, typer.Option(metavar="KEYS", help="Keys to press once it is answered.")] = "",
    sign: SignOption = False,
    encrypt: EncryptOption = False,
    tunnel: TunnelOption = False,
    aib: AibOption = False,
    subject: SubjectOption = "",
    certificate: CertificateOption = None,
    certificates: KnownOption = None,
    revocation: RevocationOption = "try",
    fetch_from: FetchFromOption = None,
    srtp: EncryptionOption = None,
    proxy: ProxyOption = None,
    trust: TrustOption = None,
    transport: TransportOption = None,
    password_file: PasswordOption = None,
    username: UserOption = "",
    md5: Md5Option = False,
    privacy: PrivacyOption = "",
    agree: AgreeOption = None,
    ipsec: IpsecOption = None,
    direct: DirectOption = False,
    json: JsonOption = False,
) -> None:
    """Call an address. Exit code 1 when the call is refused or nobody answers it."""
    media = make_media(play, record, srtp)
    agent = make_agent(
        address,
        proxy=proxy,
        trust=trust,
        transport=transport,
        password_file=password_file,
        username=username,
        md5=md5,
        **agreement_of(agree, ipsec),
        privacy=privacy,
        direct=direct,
        smime=make_smime(certificate, certificates, revocation, fetch_from),
    )
    wishes = {"sign": sign, "encrypt": encrypt, "tunnel": tunnel, "aib": aib, "subject": subject}
    run(_call(agent, target, media, Teller(json), digits, duration, wishes))


async def _call(
    agent: UserAgent,
    target: str,
    media: Media,
    tell: Teller,
    digits: str,
    duration: float | None,
    wishes: dict[str, Any],
) -> Exit:
    from ringfence.client import CallError

    async with agent:
        call = await agent.call(target, media=media, **wishes)
        tell("calling", to=call.peer.identity)
        telling = asyncio.create_task(tell_events(call, tell))
        try:
            with tell.waiting(f"Calling {target}"):
                await call.answered
            if call.peer.protection is not None:
                tell("protection", **facts_of(call.peer.protection))
            tell("verdict", **call.verdict._asdict())
            if digits:
                await call.send_digits(digits)
            await _until_over(call, duration)
        except CallError as error:
            raise failure_of(error) from None
        finally:
            await call.hang_up()
            await telling
    return Exit.GOOD


async def _until_over(call: Call, duration: float | None) -> None:
    """Wait for the first of: the peer hangs up, the time is over, the file has been played."""
    ends = [asyncio.ensure_future(call.ended)]
    played = call.session.played
    if duration is not None:
        ends.append(asyncio.ensure_future(asyncio.sleep(duration)))  # type: ignore[arg-type]  # what it gives is not used
    elif played is not None:
        ends.append(asyncio.ensure_future(_heard_out(played)))  # type: ignore[arg-type]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    await asyncio.gather(*ends, return_exceptions=True)


async def _heard_out(played: asyncio.Task[None]) -> None:
    with contextlib.suppress(Exception):
        await asyncio.shield(played)
    await asyncio.sleep(HEARD_OUT)


async def tell_events(call: Call, tell: Teller) -> None:
    """Tell what happens in a call, until it is over."""
    async for event in call.events():
        tell(event.kind, **event.facts)
