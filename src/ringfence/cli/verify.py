"""``ringfence verify``: what the signatures in a file prove, without a network and at any moment that is asked for.

A file is a SIP message (its Identity header fields, and its body by S/MIME), a PASSporT by itself, or S/MIME by itself:
a mail or another MIME entity, or a CMS object in DER, PEM or base64. Nothing is fetched: certificates are files. Each
object is one finding; a finding has every reason why it proves nothing, as the node and the user agent would have them.
"""

from __future__ import annotations

import math
import re
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import typer
from cryptography.utils import CryptographyDeprecationWarning

from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import JsonOption
from ringfence.cli.output import print_facts, print_json
from ringfence.cli.parse import STDIN, with_crlf
from ringfence.cli.protection import facts_of
from ringfence.message import LocalError, PeerError, Request, parse

if TYPE_CHECKING:
    from ringfence.client import Protection
    from ringfence.client.certificates import Certificates
    from ringfence.client.secure import AnyMessage
    from ringfence.security.findings import Finding
    from ringfence.security.reasons import Reasons
    from ringfence.security.tnauth import Credential

MAX_FILE = 1_048_576
"""Octets of a file that are read: more than any message that a node takes."""

UNSIGNED = ("S/MIME enveloped-data", "S/MIME authEnveloped-data", "S/MIME compressed-data")
"""Layers without a signature."""

_TOKEN = re.compile(rb"\s*[\w-]*\.[\w-]*\.[\w-]+\s*")
_START_LINE = re.compile(rb"(?:\r?\n)*(?:SIP/|[^\s:]+[ \t]\S+[ \t]SIP/)", re.IGNORECASE)


class Known(NamedTuple):
    """What the command line gives to verify with."""

    certificates: Certificates
    credentials: dict[str, Credential]
    """Of those who sign calls, by the URL that leads to them; "" for any."""
    now: float
    freshness: float
    content: bytes | None = None
    """What a detached signature is over."""

    def credential(self, url: str) -> Credential | None:
        return self.credentials.get(url) or self.credentials.get("")


FileArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", help="A message, PASSporT or S/MIME object; - for standard input.")
]
TrustOption: TypeAlias = Annotated[
    list[Path] | None, typer.Option("--trust", metavar="FILE", help="Authorities that are believed (PEM).")
]
SignerOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--signer",
        metavar="[URL=]FILE",
        help="The certificate chain (or bare key) of whoever signed a call, for the URL in info, or for any.",
    ),
]
OwnOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--certificate", metavar="FILE", help="Yours, to decrypt with; its key is beside it, as .key."
    ),
]
OthersOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--certificates", metavar="DIR", help="Certificates of others; none is added."),
]
RevokedOption: TypeAlias = Annotated[
    list[Path] | None, typer.Option("--revoked", metavar="FILE", help="Lists of revoked certificates.")
]
AtOption: TypeAlias = Annotated[
    datetime | None,
    typer.Option(
        "--at",
        metavar="DATE",
        formats=["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d"],
        help="Judge as of this moment (ISO 8601; UTC, if nothing else is said) instead of now.",
    ),
]
FreshnessOption: TypeAlias = Annotated[
    float, typer.Option("--freshness", min=1, metavar="SECONDS", help="How old a signed call may be.")
]
ContentOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--content", metavar="FILE", help="What a detached signature (.p7s) is over."),
]
LfOption: TypeAlias = Annotated[
    bool, typer.Option("--lf", help="Take LF for CRLF, as in a message that was saved as text.")
]


def verify(
    file: FileArgument = STDIN,
    trust: TrustOption = None,
    signer: SignerOption = None,
    own: OwnOption = None,
    known: OthersOption = None,
    revoked: RevokedOption = None,
    at: AtOption = None,
    freshness: FreshnessOption = 60.0,
    content: ContentOption = None,
    lf: LfOption = False,
    json: JsonOption = False,
) -> None:
    """Say what the signatures in a message prove: Identity (RFC 8224), S/MIME (RFC 3261 section 23), AIB (RFC 3893).

    Exit code 1 when one of them proves nothing or there is none, 65 when what should hold it is malformed.
    """
    # Of what a certificate has that should not be there the findings tell; the library would tell it in its own way.
    warnings.simplefilter("ignore", CryptographyDeprecationWarning)
    data = _octets(file)
    given = _known(trust or [], signer or [], own, known, revoked or [], at, freshness)
    given = given._replace(content=None if content is None else _octets(content))
    found = list(findings(with_crlf(data) if lf else data, given))
    if json:
        print_json(found)
    elif not found:
        print_facts({"proven": "nothing: it has no signature"})
    else:
        for place, each in enumerate(found):
            if place:
                print()
            print_facts({name: value for name, value in each.items() if value not in (None, "", [], {})})
    # What only hides or packs is no proof, and takes nothing from the signature that is inside or around it.
    signed = [each for each in found if each["object"] not in UNSIGNED]
    if not found or not all(each["proven"] for each in signed or found):
        raise typer.Exit(Exit.NO)


def findings(data: bytes, known: Known) -> Iterator[dict[str, Any]]:
    """What each object in these octets proves.

    Raises:
        PeerError: it is malformed, or encrypted to others.
    """
    if _TOKEN.fullmatch(data):
        yield _token(data.decode("ascii").strip(), known)
    elif _START_LINE.match(data):
        message = parse(data)
        if isinstance(message, Request):
            yield from _identities(message, known)
            yield from _protection(message, known)
        else:
            yield from _protection(message, known)
    else:
        from ringfence.cli.verify_smime import smime_findings

        yield from smime_findings(data, known.certificates, known.now, known.content)


# -- who calls -----------------------------------------------------------------------------------------


def _identities(request: Request, known: Known) -> Iterator[dict[str, Any]]:
    from ringfence.security.findings import Policy
    from ringfence.security.identity import read_identities
    from ringfence.security.verification import verify_request

    headers = read_identities(request)
    if not headers:
        return
    credentials = {header.info: known.credential(header.info) for header in headers}
    verdict = verify_request(request, credentials, known.now, Policy(known.freshness), headers=headers)
    for finding in verdict.findings:
        yield {
            "object": "Identity",
            "proven": not finding.reasons,
            "refusal": None if verdict.status is None else f"{verdict.status} {verdict.phrase}",
            **_of_finding(finding),
        }


def _of_finding(finding: Finding) -> dict[str, Any]:
    from ringfence.security.passport import signature_flaws

    token, signer = finding.token, finding.signer
    facts: dict[str, Any] = {"certificate": finding.header.info}
    if signer is not None:
        facts |= {"signer": signer.subject, "fingerprint": signer.fingerprint}
    if token is not None:
        facts |= {"type": token.ppt, **_claims(token.claims)}
        if signer is not None:
            facts["signature"] = _word(signature_flaws(token, signer.key))
    return facts | {"reasons": _texts(finding.reasons)}


def _token(text: str, known: Known) -> dict[str, Any]:
    """A PASSporT without the call that it belongs to: all but the comparison with a call is judged."""
    from ringfence.security import passport as passports
    from ringfence.security.identity import authority_flaws, credential_time_flaws

    token = passports.parse(text)
    credential = known.credential(token.x5u)
    reasons: Reasons = passports.flaws_of(token) + passports.time_flaws(token.iat, known.now, known.freshness)
    facts: dict[str, Any] = {
        "object": "PASSporT",
        "proven": False,
        "certificate": token.x5u,
        "type": token.ppt,
    }
    facts |= _claims(token.claims)
    if credential is None:
        return facts | {"reasons": [*_texts(reasons), "no certificate: name the file by --signer"]}
    signature = passports.signature_flaws(token, credential.key)
    reasons += credential.problems + credential.claim_flaws(token.claims) + signature
    if token.iat is not None:
        reasons += credential_time_flaws(credential, token.iat)
    party = token.div or token.orig
    if party is not None:
        reasons += authority_flaws(credential, party, None)
    facts |= {
        "signer": credential.subject,
        "fingerprint": credential.fingerprint,
        "signature": _word(signature),
    }
    return facts | {"proven": not reasons, "reasons": _texts(reasons)}


def _claims(claims: dict[str, Any]) -> dict[str, Any]:
    return {f"claim {name}": value for name, value in claims.items()}


def _word(flaws: Reasons) -> str:
    return "bad" if flaws else "good"


def _texts(reasons: Reasons) -> list[str]:
    return [str(reason) for reason in reasons]


# -- end to end ----------------------------------------------------------------------------------------


def _protection(message: AnyMessage, known: Known) -> Iterator[dict[str, Any]]:
    from ringfence.client.secure import Secure

    _, protection = Secure(known.certificates, lambda: "").open(message, known.now)
    if protection is None:
        return
    aib = protection.aib
    if protection.signed or protection.encrypted or protection.comparison is not None:
        yield {
            "object": "S/MIME",
            "proven": protection.intact and _believed(protection) and not protection.warnings,
            "sender": protection.sender,
            **facts_of(protection),
            "reasons": [] if protection.signer is None else _texts(protection.signer.reasons),
        }
    if aib is not None:
        yield {
            "object": "AIB",
            "proven": not aib.reasons,
            "identity": aib.identity,
            "signer": None if aib.signer is None else aib.signer.text,
            "reasons": _texts(aib.reasons),
        }


def _believed(protection: Protection) -> bool:
    from ringfence.security.smime_signer import Pinned

    return protection.vouched or protection.pinned in {Pinned.SAME, Pinned.RENEWED}


# -- what it is verified with --------------------------------------------------------------------------


def _known(
    trust: Sequence[Path],
    signers: Sequence[str],
    own: Path | None,
    known: Path | None,
    revoked: Sequence[Path],
    at: datetime | None,
    freshness: float,
) -> Known:
    from ringfence.client import Smime
    from ringfence.client.certificates import Certificates

    moment = time.time() if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    settings = Smime(certificate=own, directory=known, trust=tuple(trust), revoked=tuple(revoked))
    certificates = Certificates(settings, keep=False)
    credentials = {}
    for text in signers:
        url, _, name = text.rpartition("=")
        try:
            credentials[url] = _credential(Path(name).read_bytes(), certificates, moment)
        except OSError as error:
            raise LocalError(f"{name}: {error.strerror}") from None
        except PeerError as error:
            raise LocalError(f"{name}: {error.reason}") from None
    return Known(certificates, credentials, moment, freshness)


def _credential(data: bytes, known: Certificates, now: float) -> Credential:
    from ringfence.security.chains import ChainFlaw
    from ringfence.security.pem import read_public_key
    from ringfence.security.reasons import Reason
    from ringfence.security.tnauth import Credential, credential_from

    if b"PUBLIC KEY-----" not in data:
        return credential_from(data, known.anchors, now, known.revocation)
    flaw = Reason(ChainFlaw.UNTRUSTED, "a bare key: no certificate says whose it is")
    return Credential(
        key=read_public_key(data),
        subject="a bare key",
        fingerprint="",
        not_before=0,
        not_after=math.inf,
        domains=frozenset(),
        numbers=(),
        own_numbers=False,
        constraints=(),
        problems=(flaw,),
    )


def _octets(path: Path) -> bytes:
    try:
        with sys.stdin.buffer if path == STDIN else path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise Failure(Exit.UNAVAILABLE, f"{path}: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise Failure(Exit.BAD_DATA, f"{path} has more than {MAX_FILE} octets")
    return data
