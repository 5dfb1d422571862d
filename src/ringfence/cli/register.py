"""``ringfence register``: be reachable under an address, and show that it works."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from ringfence.cli.anonymity import PrivacyOption
from ringfence.cli.failure import Exit
from ringfence.cli.hop import AgreeOption, IpsecOption, agreement_of
from ringfence.cli.options import JsonOption
from ringfence.cli.phone import (
    AddressArgument,
    Md5Option,
    PasswordOption,
    ProxyOption,
    Teller,
    TransportOption,
    TrustOption,
    UserOption,
    make_agent,
    run,
)

if TYPE_CHECKING:
    from ringfence.client import UserAgent


def register(
    address: AddressArgument,
    proxy: ProxyOption = None,
    trust: TrustOption = None,
    transport: TransportOption = None,
    password_file: PasswordOption = None,
    username: UserOption = "",
    md5: Md5Option = False,
    privacy: PrivacyOption = "",
    agree: AgreeOption = None,
    ipsec: IpsecOption = None,
    expires: Annotated[int, typer.Option(min=1, help="Seconds to ask for; refreshed before.")] = 600,
    duration: Annotated[
        float | None,
        typer.Option(min=0, metavar="S", help="End after that many seconds. Default: on Ctrl-C."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Register an address and keep it registered; at the end it is taken back."""
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
        register=True,
        expires=expires,
    )
    tell = Teller(json)

    async def work() -> Exit:
        with tell.waiting(f"Registering {address}"):
            await agent.open()
        watching = asyncio.create_task(_watch(agent, address, tell))
        try:
            async with asyncio.timeout(duration):
                await asyncio.Event().wait()
        except TimeoutError:
            pass  # the duration is over
        finally:
            await agent.close()
            await watching
        return Exit.GOOD

    run(work())


async def _watch(agent: UserAgent, address: str, tell: Teller) -> None:
    """Tell each time that the registration is made, refreshed or lost."""
    async for state, error in agent.registration_changes():
        registration = agent.registration if state == "registered" else None
        if registration is not None:
            gruu = registration.public_gruu
            tell(
                state,
                address=address,
                seconds=registration.expires,
                gruu=str(gruu) if gruu is not None else None,
                outbound=registration.outbound,
            )
        else:
            tell(state, reason=str(error) if error is not None else "")
