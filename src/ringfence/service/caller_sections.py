"""The sections about callers of other domains: how ours prove who they are, how others have to, and how strangers are
received. As in `sections`, the docstring below a key is its documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ringfence.service.addresses import Address, parse_address
from ringfence.service.sections import Section
from ringfence.service.values import Count, FilePath, Many, Network, OptionalHostPort
from ringfence.transport.web import WebError, parse_url

Digits = Annotated[str, Field(pattern=r"^[0-9]{0,5}$")]


class SigningCertificate(Section):
    """A further certificate that calls are signed with: for another domain of this node, or for telephone numbers."""

    url: Annotated[str, Field(examples=["https://example.org/.well-known/ringfence/numbers.pem"])]
    """Where others fetch it."""
    certificate: FilePath
    """The certificate."""
    key: FilePath
    """Its private key, on the curve P-256."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_url(self.url)
        return self


def _check_url(url: str) -> None:
    try:
        parse_url(url)
    except WebError:
        raise PydanticCustomError(
            "identity_url",
            "url is no https URL",
            {"fix": 'write url = "https://example.org/identity.pem"'},
        ) from None


class PriorityAuthority(Section):
    """Who may sign priorities (RFC 8443): the values of Resource-Priority in some namespaces."""

    namespaces: Annotated[Many[str], Field(min_length=1, examples=[["ets", "wps"]])]
    """Namespaces of Resource-Priority (RFC 4412)."""
    signers: Annotated[Many[str], Field(min_length=1, examples=[["priority.example"]])]
    """Domains of certificates, or their SHA-256 fingerprints in hexadecimal. Each has to lead to a root as any other
    certificate of a signature has to."""


class Identity(Section):
    """Signatures of callers (RFC 8224): ours, and those of others."""

    sign: bool = False
    """Sign calls that leave, for the user who has authenticated. It needs `url`."""
    url: Annotated[str, Field(examples=["https://example.org/.well-known/ringfence/identity.pem"])] = ""
    """Where others fetch the certificate. It has to be there, over https, before `sign` is turned on."""
    certificate: FilePath = Path("tls/identity.pem")
    """The certificate that calls are signed with: for this domain, or with a list of telephone numbers (RFC 8226)."""
    key: FilePath = Path("tls/identity.key")
    """Its private key, on the curve P-256."""
    signer: Many[SigningCertificate] = ()
    """Further certificates, each with a `url` of its own. Who calls decides: the first that speaks for the caller's
    domain signs, or that lists the caller's number; certificates of a whole provider only where none lists it."""
    attest: bool = True
    """Calls of telephone numbers get an attestation (SHAKEN, RFC 8588), when the certificate lists numbers."""
    divert: bool = False
    """A signed call that a user has forwarded to another domain gets a signature that says so (RFC 8946)."""
    publish: OptionalHostPort = ""
    """Serve the certificate over https at this "address:port", with the certificate of `tls`. Empty: not here."""

    verify: Literal["off", "mark", "invalid", "refuse"] = "invalid"
    """mark: phones are told who is verified, nobody is refused. invalid: calls whose signature is wrong are refused
    (403, 438). refuse: callers who do not prove who they are, too (428, 436, 437). off: they are not looked at."""
    trust: Many[FilePath] = ()
    """Roots of certificates that may speak for telephone numbers, and for domains: files of PEM. `tls.ca` is one."""
    system_trust: bool = True
    """Whether certificates for a domain may come from the roots of the operating system, as those of web servers do."""
    crl: Many[FilePath] = ()
    """Lists of revoked certificates: files of PEM, read again by reload."""
    list_issuers: Many[FilePath] = ()
    """Certificates of who may sign indirect revocation lists for every root in `trust`: files of PEM. As SHAKEN has it,
    where the policy administrator lists what several authorities revoke. Others need the root of the certificate."""
    revocation: Literal["off", "try", "require"] = "try"
    """What is done about revocation lists and OCSP responders that certificates name: try asks them, and believes a
    certificate whose status can't be known. require believes none that names one, unless one tells that it holds. off:
    only the lists in `crl` are looked at."""
    freshness_seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """How far the time of a signature may be from our clock (RFC 8224 section 6.2 recommends sixty)."""
    providers: Many[str] = ()
    """Service provider codes that are believed for any number; empty: those of every trusted certificate."""
    numbers_by_domain: bool = False
    """A certificate for a domain speaks for telephone numbers at it, too: for federations without RFC 8226."""
    priority: Many[PriorityAuthority] = ()
    """Who gives priority to calls from outside. Without one nobody does."""
    unproven_priority: Literal["remove", "mark", "keep"] = "remove"
    """What becomes of a Resource-Priority from outside that no such signer has signed. remove: it is taken off, and the
    call is an ordinary one (RFC 8443 section 4.2). mark: it stays, and the phone is told. keep: it is not looked at."""
    require_diversion: bool = False
    """A call has to show how it came to be for somebody else than it was signed for (RFC 8946)."""
    fetch_from: Many[Network] = ()
    """Networks that certificates are fetched from although they are not public: of a federation, of a laboratory."""
    fetch_trust: Many[FilePath] = ()
    """Roots of the servers that certificates are fetched from, besides the operating system's: files of PEM."""

    country_code: Digits = ""
    """Such as "358": how local numbers are read (RFC 8224 section 8.3)."""
    national_prefix: Digits = ""
    """Such as "0"."""
    international_prefix: Digits = ""
    """Such as "00"."""
    bare_digits: bool = False
    """A user part of digits alone is a telephone number."""

    @property
    def signers(self) -> tuple[tuple[str, Path, Path], ...]:
        """URL, certificate and key of each that calls are signed with."""
        more = ((each.url, each.certificate, each.key) for each in self.signer)
        return ((self.url, self.certificate, self.key), *more)

    @property
    def publish_address(self) -> Address | None:
        """Where to serve the certificate; None: not at all."""
        return parse_address(self.publish) if self.publish else None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.url:
            _check_url(self.url)
        urls = [parse_url(url).target if self.publish else url for url, _, _ in self.signers if url]
        if len(urls) != len(set(urls)):
            raise PydanticCustomError(
                "identity_urls",
                "two certificates have the same url, or the same path where they are published",
                {"fix": "give each a url of its own"},
            )
        if (self.sign or self.publish) and not self.url:
            raise PydanticCustomError(
                "identity_no_url",
                "signing and publishing need a url that others fetch the certificate from",
                {"fix": 'write url = "https://example.org/identity.pem", and put the certificate there'},
            )
        return self


Treatment = Literal["accept", "mark", "challenge", "refuse"]


class Callers(Section):
    """Callers of other domains whom the user called does not know. accept: the phone rings. mark: it rings and is told.
    challenge: 470 until the caller has been allowed (RFC 5360). refuse: it does not ring."""

    verified: Treatment = "accept"
    """For a caller who proves who it is."""
    unverified: Treatment = "mark"
    """For any other."""
    reports: Count = 3
    """Users who must have reported a verified caller before it is refused to all (607 Unwanted, RFC 8197). Whoever has
    reported a caller is not called by it again, in any case."""
    report_days: Annotated[float, Field(gt=0, le=3660)] = 90.0
    """How long a report holds."""
    consent_days: Annotated[float, Field(gt=0, le=3660)] = 365.0
    """How long a caller stays known to a user who has called it, or has allowed it."""
