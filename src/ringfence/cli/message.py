"""``ringfence message``: send a text."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ringfence.cli.anonymity import PrivacyOption
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.hop import AgreeOption, IpsecOption, agreement_of
from ringfence.cli.options import JsonOption
from ringfence.cli.phone import (
    DirectOption,
    FromOption,
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
    make_smime,
)

STANDARD_INPUT = "-"


def message(
    target: Annotated[str, typer.Argument(metavar="URI", help="To whom.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; - reads standard input.")],
    address: FromOption,
    sign: SignOption = False,
    encrypt: EncryptOption = False,
    tunnel: TunnelOption = False,
    aib: AibOption = False,
    subject: SubjectOption = "",
    certificate: CertificateOption = None,
    certificates: KnownOption = None,
    revocation: RevocationOption = "try",
    fetch_from: FetchFromOption = None,
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
    """Send a text message. Exit code 0 when it has arrived."""
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
    body = sys.stdin.read() if text == STANDARD_INPUT else text
    if not body.strip():
        raise Failure(Exit.BAD_DATA, "the text is empty", "write something")
    tell = Teller(json)

    async def work() -> Exit:
        async with agent:
            with tell.waiting(f"Sending to {target}"):
                await agent.send_text(
                    target, body, sign=sign, encrypt=encrypt, tunnel=tunnel, aib=aib, subject=subject
                )
        tell("sent", to=target)
        return Exit.GOOD

    run(work(), interrupted=Exit.NO)
