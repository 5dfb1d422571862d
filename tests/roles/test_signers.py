"""Whose certificates are believed, and what is fetched to find that out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from ringfence.roles.signers import Anchors, Signers
from ringfence.security.canonical import Party
from ringfence.security.tnauth import Credential
from ringfence.transport.fetch import Fetcher, web_context
from ringfence.transport.inquiry import Revocation
from tests.security.pki import Pair, issue, tn_list
from tests.transport.site import Site, page
from tests.transport.support import Authority

START = time.time() - 86400
ALICE = Party("uri", "sip:alice@example.net")
NUMBER = Party("tn", "12155551212")
DOMAIN = [x509.UniformResourceIdentifier("sip:example.net")]
ROOT = issue("Named root", ca=True, start=START)
WEB_ROOT = issue("Web root", ca=True, start=START)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("web"))


@pytest.fixture
async def site(web: Authority) -> AsyncIterator[Site]:
    made = Site(*web.issue("cert.test"))
    made.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    await made.start()
    yield made
    made.close()


Make = Callable[..., Signers]


@pytest.fixture
async def signers_of(web: Authority) -> AsyncIterator[Make]:
    fetchers: list[Fetcher] = []

    def make(anchors: Anchors | None = None, **more: Any) -> Signers:
        async def lookup(_host: str) -> tuple[str, ...]:
            return ("127.0.0.1",)

        context = web_context([web.root], system_trust=False)
        fetcher = Fetcher(context, lookup, allowed=["127.0.0.0/8"], clock=more.get("ticks", time.monotonic))
        fetchers.append(fetcher)
        named = Anchors((ROOT.certificate,), (WEB_ROOT.certificate,))
        return Signers(fetcher, anchors or named, **more)

    yield make
    for fetcher in fetchers:
        await fetcher.close()


async def one(signers: Signers, url: str) -> Credential | None:
    return (await signers.find([url]))[url]


async def test_a_certificate_is_fetched_and_judged_once(site: Site, signers_of: Make) -> None:
    pair = issue("example.net", ROOT, names=DOMAIN, start=START)
    site.pages["/cert.pem"] = page(pair.pem)
    signers = signers_of()
    assert signers.known([site.url()]) is None
    credential = await one(signers, site.url())
    assert credential is not None
    assert (credential.problems, credential.covers(ALICE)) == ((), ())
    assert signers.known([site.url()]) == {site.url(): credential}
    assert signers.known([]) == {}
    assert await one(signers, site.url()) is credential
    assert len(site.requests) == 1


async def test_it_is_fetched_again_when_its_time_is_over(site: Site, signers_of: Make) -> None:
    now = [0.0]
    signers = signers_of(ticks=lambda: now[0])
    site.pages["/cert.pem"] = page(issue("a", ROOT, start=START).pem, b"Cache-Control: max-age=100\r\n")
    await one(signers, site.url())
    now[0] = 99.0
    assert signers.known([site.url()]) is not None
    now[0] = 101.0
    assert signers.known([site.url()]) is None


async def test_what_can_not_be_had_is_none_and_what_can_not_be_read_is_a_problem(
    site: Site, signers_of: Make
) -> None:
    signers = signers_of()
    assert await one(signers, site.url("/absent")) is None
    assert await one(signers, "http://cert.test/a") is None
    site.pages["/text"] = page(b"no certificate")
    assert await one(signers, site.url("/text")) is None
    broken = issue("broken", ROOT, numbers=b"\x30\x00", start=START)
    site.pages["/broken"] = page(broken.pem)
    credential = await one(signers, site.url("/broken"))
    assert credential is not None
    assert [reason.code for reason in credential.problems] == ["credential"]


async def test_our_own_certificate_is_not_fetched(site: Site, signers_of: Make) -> None:
    pair = issue("example.net", ROOT, names=DOMAIN, start=START)
    from ringfence.security.tnauth import credential_from

    own = credential_from(pair.pem, [ROOT.certificate], time.time())
    signers = signers_of(pinned={site.url(): own})
    assert signers.known([site.url()]) == {site.url(): own}
    assert site.requests == []


async def test_web_roots_speak_for_domains_and_not_for_numbers(site: Site, signers_of: Make) -> None:
    numbers = tn_list(one=["12155551212"])
    for path, root in (("/named", ROOT), ("/web", WEB_ROOT)):
        site.pages[path] = page(issue("a", root, names=DOMAIN, numbers=numbers, start=START).pem)
    signers = signers_of()
    named, by_web = await one(signers, site.url("/named")), await one(signers, site.url("/web"))
    assert named is not None
    assert by_web is not None
    assert (named.covers(ALICE), named.covers(NUMBER)) == ((), ())
    assert by_web.problems == by_web.covers(ALICE) == ()
    assert by_web.covers(NUMBER) != ()
    stranger = signers_of(Anchors((ROOT.certificate,)))
    refused = await one(stranger, site.url("/web"))
    assert refused is not None
    assert [reason.code for reason in refused.problems] == ["untrusted"]


async def test_a_self_signed_and_an_expired_certificate_are_problems(site: Site, signers_of: Make) -> None:
    site.pages["/self"] = page(issue("me", start=START).certificate.public_bytes(Encoding.PEM))
    site.pages["/old"] = page(issue("old", ROOT, start=START - 10 * 86400, days=1).pem)
    signers = signers_of()
    for path, code in (("/self", "self-signed"), ("/old", "expired")):
        credential = await one(signers, site.url(path))
        assert credential is not None
        assert [reason.code for reason in credential.problems] == [code]


@pytest.mark.rfc("8226", "10.1")
async def test_a_list_of_numbers_may_be_elsewhere(site: Site, signers_of: Make) -> None:
    place = site.url("/numbers")
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                x509.ObjectIdentifier("1.3.6.1.5.5.7.48.14"), x509.UniformResourceIdentifier(place)
            ),
            x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.test/")
            ),
        ]
    )
    site.pages["/numbers"] = page(tn_list(one=["12155551212"]))
    site.pages["/cert.pem"] = page(issue("carrier", ROOT, extra=[access], start=START).pem)
    credential = await one(signers_of(), site.url())
    assert credential is not None
    assert credential.covers(NUMBER) == ()
    assert credential.covers(Party("tn", "12155551213")) != ()


def crl(issuer: Pair, *revoked: Pair) -> bytes:
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(now - timedelta(hours=1)).next_update(now + timedelta(days=1))
    for pair in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(pair.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(now).build())
    return builder.sign(issuer.key, SHA256()).public_bytes(Encoding.DER)


def with_list(url: str) -> x509.CRLDistributionPoints:
    name = x509.UniformResourceIdentifier(url)
    return x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None)])


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_revoked_certificate_is_found_by_its_list(
    wrapped: bool, site: Site, signers_of: Make
) -> None:
    pair = issue("revoked", ROOT, names=DOMAIN, extra=[with_list(site.url("/crl"))], start=START)
    data = crl(ROOT, pair)
    if wrapped:
        data = x509.load_der_x509_crl(data).public_bytes(Encoding.PEM)
    site.pages |= {"/cert.pem": page(pair.pem), "/crl": page(data)}
    credential = await one(signers_of(), site.url())
    assert credential is not None
    assert [reason.code for reason in credential.problems] == ["revoked"]
    assert site.paths == ["/cert.pem", "/crl"]


@pytest.mark.parametrize(
    ("revocation", "problems", "paths"),
    [
        (Revocation.OFF, [], ["/cert.pem"]),
        (Revocation.TRY, [], ["/cert.pem", "/crl"]),
        (Revocation.REQUIRE, ["revocation unknown"], ["/cert.pem", "/crl"]),
    ],
)
async def test_a_list_that_can_not_be_had(
    revocation: Revocation, problems: list[str], paths: list[str], site: Site, signers_of: Make
) -> None:
    pair = issue("a", ROOT, names=DOMAIN, extra=[with_list(site.url("/crl"))], start=START)
    site.pages["/cert.pem"] = page(pair.pem)
    credential = await one(signers_of(revocation=revocation), site.url())
    assert credential is not None
    assert [reason.code for reason in credential.problems] == problems
    assert site.paths == paths


async def test_nothing_more_is_fetched_for_one_who_is_not_trusted(site: Site, signers_of: Make) -> None:
    other = issue("Other root", ca=True, start=START)
    pair = issue("a", other, names=DOMAIN, extra=[with_list(site.url("/crl"))], start=START)
    site.pages["/cert.pem"] = page(pair.pem)
    await one(signers_of(), site.url())
    assert site.paths == ["/cert.pem"]


@pytest.fixture
async def plain() -> AsyncIterator[Site]:
    """A server without TLS, where authorities keep their lists and responders."""
    made = Site()
    made.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    await made.start()
    yield made
    made.close()


@pytest.mark.rfc("5280", "8")
async def test_lists_are_fetched_over_http_and_certificates_are_not(
    site: Site, plain: Site, signers_of: Make
) -> None:
    place = plain.url("/crl")
    pair = issue("a", ROOT, names=DOMAIN, extra=[with_list(place)], start=START)
    site.pages["/cert.pem"] = page(pair.pem)
    plain.pages["/crl"] = page(crl(ROOT, pair))
    signers = signers_of()
    assert await one(signers, place) is None  # a caller who names it does not make it fail for others
    credential = await one(signers, site.url())
    assert credential is not None
    assert [reason.code for reason in credential.problems] == ["revoked"]
    assert plain.paths == ["/crl"]


# ---- OCSP ----


def asks(url: str) -> x509.AuthorityInformationAccess:
    place = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)]
    )


def says(pair: Pair, status: ocsp.OCSPCertStatus, hours: float = 1) -> bytes:
    now = datetime.now(UTC)
    revoked = now if status is ocsp.OCSPCertStatus.REVOKED else None
    builder = ocsp.OCSPResponseBuilder().add_response(
        pair.certificate, ROOT.certificate, SHA1(), status, now, now + timedelta(hours=hours), revoked, None
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, ROOT.certificate)
    return builder.sign(ROOT.key, SHA256()).public_bytes(Encoding.DER)


@pytest.mark.rfc("6960", "2.2")
@pytest.mark.parametrize(
    ("status", "believed", "required"),
    [
        (ocsp.OCSPCertStatus.GOOD, [], []),
        (ocsp.OCSPCertStatus.REVOKED, ["revoked"], ["revoked"]),
        (ocsp.OCSPCertStatus.UNKNOWN, [], ["revocation unknown"]),
        (None, [], ["revocation unknown"]),
    ],
    ids=["good", "revoked", "unknown", "no answer"],
)
async def test_a_responder_is_asked(
    status: ocsp.OCSPCertStatus | None,
    believed: list[str],
    required: list[str],
    site: Site,
    plain: Site,
    signers_of: Make,
) -> None:
    pair = issue("a", ROOT, names=DOMAIN, extra=[asks(plain.url("/ocsp"))], start=START)
    site.pages["/cert.pem"] = page(pair.pem)
    if status is not None:
        plain.answer = page(says(pair, status))
    for revocation, problems in ((Revocation.TRY, believed), (Revocation.REQUIRE, required)):
        credential = await one(signers_of(revocation=revocation), site.url())
        assert credential is not None
        assert [reason.code for reason in credential.problems] == problems
    assert len(plain.paths) == 2
    assert all(path.startswith("/ocsp/M") for path in plain.paths)
    assert await one(signers_of(revocation=Revocation.OFF), site.url()) is not None
    assert len(plain.paths) == 2


async def test_what_was_judged_holds_no_longer_than_the_answer(
    site: Site, plain: Site, signers_of: Make
) -> None:
    now = [0.0]
    pair = issue("a", ROOT, names=DOMAIN, extra=[asks(plain.url("/"))], start=START)
    site.pages["/cert.pem"] = page(pair.pem)
    plain.answer = page(says(pair, ocsp.OCSPCertStatus.GOOD, hours=0.5))
    signers = signers_of(ticks=lambda: now[0])
    await one(signers, site.url())
    now[0] = 1700.0
    assert signers.known([site.url()]) is not None
    now[0] = 1801.0
    assert signers.known([site.url()]) is None


async def test_a_list_makes_a_question_needless(site: Site, plain: Site, signers_of: Make) -> None:
    extra: list[x509.ExtensionType] = [asks(plain.url("/ocsp")), with_list(plain.url("/crl"))]
    pair = issue("a", ROOT, names=DOMAIN, extra=extra, start=START)
    site.pages["/cert.pem"] = page(pair.pem)
    plain.pages["/crl"] = page(crl(ROOT))
    credential = await one(signers_of(revocation=Revocation.REQUIRE), site.url())
    assert credential is not None
    assert credential.problems == ()
    assert plain.paths == ["/crl"]


def listed_by(lister: Pair, plain: Site) -> Pair:
    """A certificate of the root that another one's indirect list revokes: the site has the list, and whose it is.

    As with SHAKEN, where one party lists what several authorities have revoked.
    """
    point = x509.DistributionPoint(
        [x509.UniformResourceIdentifier(plain.url("/crl"))],
        None,
        None,
        [x509.DirectoryName(lister.certificate.subject)],
    )
    pair = issue("a", ROOT, names=DOMAIN, extra=[x509.CRLDistributionPoints([point])], start=START)
    now = datetime.now(UTC)
    place = x509.UniformResourceIdentifier(plain.url("/lister"))
    scope = x509.IssuingDistributionPoint(
        point.full_name,
        None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=True,
        only_contains_attribute_certs=False,
    )
    whose = x509.CertificateIssuer([x509.DirectoryName(ROOT.certificate.subject)])
    entry = x509.RevokedCertificateBuilder().serial_number(pair.certificate.serial_number)
    entry = entry.revocation_date(now).add_extension(whose, critical=True)
    access = x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)]
    )
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(lister.certificate.subject)
        .last_update(now - timedelta(hours=1))
        .next_update(now + timedelta(days=1))
        .add_extension(scope, critical=True)
        .add_extension(access, critical=False)
        .add_revoked_certificate(entry.build())
        .sign(lister.key, SHA256())
    )
    plain.pages["/crl"] = page(made.public_bytes(Encoding.DER))
    plain.pages["/lister"] = page(lister.certificate.public_bytes(Encoding.DER))
    return pair


@pytest.mark.rfc("5280", "5.2.7")
async def test_the_issuer_of_an_indirect_list_is_found_by_the_list(
    site: Site, plain: Site, signers_of: Make
) -> None:
    pair = listed_by(issue("Lister", ROOT, ca=True, start=START), plain)
    site.pages["/cert.pem"] = page(pair.pem)
    credential = await one(signers_of(), site.url())
    assert credential is not None
    assert [reason.code for reason in credential.problems] == ["revoked"]
    assert plain.paths == ["/crl", "/lister"]


@pytest.mark.rfc("5280", "6.3.3")
@pytest.mark.parametrize(
    ("revocation", "problems"), [(Revocation.TRY, []), (Revocation.REQUIRE, ["revocation unknown"])]
)
async def test_an_indirect_list_of_another_root_is_as_none(
    revocation: Revocation, problems: list[str], site: Site, plain: Site, signers_of: Make
) -> None:
    """Although both are trusted: one may not speak about the certificates of the other."""
    other = issue("Other root", ca=True, start=START)
    pair = listed_by(issue("Lister", other, ca=True, start=START), plain)
    site.pages["/cert.pem"] = page(pair.pem)
    both = Anchors((ROOT.certificate, other.certificate))
    credential = await one(signers_of(both, revocation=revocation), site.url())
    assert credential is not None
    assert [reason.code for reason in credential.problems] == problems


async def test_one_whom_the_owner_has_named_lists_for_all(site: Site, plain: Site, signers_of: Make) -> None:
    lister = issue("Lister", ca=True, start=START)
    pair = listed_by(lister, plain)
    site.pages["/cert.pem"] = page(pair.pem)
    anchors = Anchors((ROOT.certificate,), list_issuers=(lister.certificate,))
    credential = await one(signers_of(anchors), site.url())
    assert credential is not None
    assert [reason.code for reason in credential.problems] == ["revoked"]


@pytest.mark.parametrize(
    ("revocation", "problems"), [(Revocation.TRY, []), (Revocation.REQUIRE, ["revocation unknown"])]
)
async def test_a_status_that_can_not_be_known(
    revocation: Revocation, problems: list[str], site: Site, signers_of: Make
) -> None:
    """By OCSP, or by a list that is not fetched: the owner decides whether to believe such a certificate."""
    pair = issue("a", ROOT, names=DOMAIN, extra=[with_list("http://cert.test/crl")], start=START)
    site.pages["/cert.pem"] = page(pair.pem)
    credential = await one(signers_of(revocation=revocation), site.url())
    assert credential is not None
    assert [reason.code for reason in credential.problems] == problems
