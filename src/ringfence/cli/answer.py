"""``ringfence answer``: take calls, play and record; texts that come meanwhile are shown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from ringfence.cli.anonymity import PrivacyOption
from ringfence.cli.call import tell_events
from ringfence.cli.failure import Exit
from ringfence.cli.hop import AgreeOption, IpsecOption, agreement_of
from ringfence.cli.options import JsonOption
from ringfence.cli.phone import (
    AddressArgument,
    DirectOption,
    EncryptionOption,
    Md5Option,
    PasswordOption,
    PlayOption,
    ProxyOption,
    RecordOption,
    Teller,
    TransportOption,
    TrustOption,
    UserOption,
    make_agent,
    make_media,
    run,
)
from ringfence.cli.protection import (
    CertificateOption,
    FetchFromOption,
    KnownOption,
    RevocationOption,
    facts_of,
    make_smime,
)

if TYPE_CHECKING:
    from ringfence.client import IncomingCall, Media, UserAgent


def answer(
    address: AddressArgument,
    play: PlayOption = None,
    record: RecordOption = None,
    once: Annotated[bool, typer.Option("--once", help="End after the first call.")] = False,
    after: Annotated[
        float, typer.Option(min=0, metavar="S", help="Let it ring for that many seconds.")
    ] = 0.0,
    reject: Annotated[
        int | None,
        typer.Option(min=300, max=699, metavar="STATUS", help="Refuse every call, such as 486 for busy."),
    ] = None,
    transfers: Annotated[
        bool,
        typer.Option("--accept-transfers", help="Let a caller have you call somebody else, at your cost."),
    ] = False,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="The own address to listen at.")] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to listen at; 0 takes a free one.")
    ] = 0,
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
    """Register an address and take its calls, until Ctrl-C."""
    media = make_media(play, record, srtp, repeat=True)
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
        register=True,
        accept_transfers=transfers,
        encryption=media.encryption,
        host=host,
        port=port,
        smime=make_smime(certificate, certificates, revocation, fetch_from),
    )
    run(_answer(agent, address, media, Teller(json), once=once, after=after, reject=reject))


async def _answer(
    agent: UserAgent,
    address: str,
    media: Media,
    tell: Teller,
    *,
    once: bool,
    after: float,
    reject: int | None,
) -> Exit:
    with tell.waiting(f"Registering {address}"):
        await agent.open()
    calls: set[asyncio.Task[None]] = set()
    reading = asyncio.create_task(_tell_texts(agent, tell))
    try:
        registration = agent.registration
        if registration is not None:
            tell("registered", address=address, seconds=registration.expires)
        else:
            tell("listening", addresses=" ".join(agent.addresses))
        async for call in agent.incoming():
            peer = call.peer
            tell("incoming", peer=peer.identity, display=peer.display, evidence=peer.evidence)
            if peer.protection is not None:
                tell("protection", **facts_of(peer.protection))
            task = asyncio.create_task(_take(call, media, tell, after, reject))
            if once:
                await task
                break
            calls.add(task)
            task.add_done_callback(calls.discard)
            media = media.again()
    finally:
        await agent.close()
        await asyncio.gather(reading, *calls, return_exceptions=True)
    return Exit.GOOD


async def _tell_texts(agent: UserAgent, tell: Teller) -> None:
    async for text in agent.texts():
        tell("text", text=text.text, peer=text.peer.identity, evidence=text.peer.evidence)
        if text.peer.protection is not None:
            tell("protection", **facts_of(text.peer.protection))


async def _take(call: IncomingCall, media: Media, tell: Teller, after: float, reject: int | None) -> None:
    from ringfence.client import CallError

    telling = asyncio.create_task(tell_events(call, tell))
    try:
        await asyncio.wait([asyncio.ensure_future(call.ended)], timeout=after)
        if reject is not None:
            call.reject(reject)
        else:
            await call.answer(media)
            tell("verdict", **call.verdict._asdict())
        await call.ended
    except CallError as error:
        tell("fault", reason=str(error))
    finally:
        await telling
