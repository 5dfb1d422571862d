"""From the configuration to what signs and verifies: keys of the sections, files, reload, the published certificate."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.cli.certificate_files import new_serial
from ringfence.message import Headers, LocalError, Request
from ringfence.roles.identity import Refuse, Treatment, Unproven
from ringfence.security.authority import DAY, Authority, new_key
from ringfence.security.identity import Signer, sign_request
from ringfence.security.pem import chain_pem, crl_pem, key_pem
from ringfence.security.tnauth import credential_from
from ringfence.service.checks import examine
from ringfence.service.config import Config
from ringfence.service.identity import web_roots
from ringfence.service.identity_checks import unsigned_accounts
from ringfence.service.problems import ConfigError
from ringfence.service.process import running, serving
from ringfence.store import MemoryStore
from ringfence.store.database import Database
from ringfence.store.migrate import upgrade
from ringfence.store.records import Account
from ringfence.transport.fetch import web_context
from ringfence.transport.inquiry import Revocation
from ringfence.transport.web import get, parse_url
from tests.security.pki import Pair, issue, tn_list
from tests.service.test_checks import NOW
from tests.transport.site import Site, page
from tests.transport.support import Authority as WebAuthority

URL = "https://example.org/identity.pem"
SIGN = f'[identity]\nsign = true\nurl = "{URL}"\n'


class Domain:
    """A domain on disk, with an identity certificate of its private CA."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.chmod(0o700)
        self.authority = Authority.create("CA", now=NOW - DAY, serial=1)
        for name in ("tls", "data"):
            (directory / name).mkdir(0o700)
        self.write("data/secret.key", os.urandom(64))
        self.write("tls/ca.pem", chain_pem([self.authority.certificate]))
        self.certify("server", "example.org", "127.0.0.1")
        self.certify("identity", "example.org")
        upgrade(f"sqlite:///{directory}/data/ringfence.db")

    def write(self, name: str, data: bytes) -> None:
        (self.directory / name).write_bytes(data)
        (self.directory / name).chmod(0o600)

    def certify(self, stem: str, *names: str, days: float = 300, age: float = 0) -> x509.Certificate:
        key = new_key()
        certificate = self.authority.issue_server(
            key.public_key(), names, now=NOW - age * DAY, serial=new_serial(), lifetime=(age + days) * DAY
        )
        self.write(f"tls/{stem}.pem", chain_pem([certificate]))
        self.write(f"tls/{stem}.key", key_pem(key))
        return certificate

    def config(self, text: str = SIGN) -> Config:
        listen = '[[listen]]\ntransport = "tls"\nhost = "127.0.0.1"\nport = 0\n'
        text = f'[domain]\nname = "example.org"\n[metrics]\nlisten = ""\n{text}{listen}'
        self.write("ringfence.toml", text.encode())
        return Config.load(self.directory / "ringfence.toml")

    def findings(self, text: str = SIGN) -> list[str]:
        return [f"{severity} {problem}" for severity, problem in examine(self.config(text))]


@pytest.fixture
def domain(tmp_path: Path) -> Domain:
    return Domain(tmp_path)


def wrong(domain: Domain, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        domain.config(text)
    return str(error.value)


# -- the keys ------------------------------------------------------------------------------------------


def test_what_is_wrong_is_said_with_what_to_write(domain: Domain) -> None:
    assert wrong(domain, "[identity]\nsign = true\n") == (
        "ringfence.toml line 5: identity: signing and publishing need a url that others fetch the certificate "
        'from; write url = "https://example.org/identity.pem", and put the certificate there'
    )
    assert "url is no https URL" in wrong(domain, '[identity]\nurl = "http://example.org/a"\n')
    assert "need a url" in wrong(domain, '[identity]\npublish = "0.0.0.0:8443"\n')
    assert 'expected "off", "mark", "invalid" or "refuse"' in wrong(domain, '[identity]\nverify = "yes"\n')
    assert "freshness_seconds: must be at most 3600" in wrong(
        domain, "[identity]\nfreshness_seconds = 9999\n"
    )
    assert "unverified" in wrong(domain, '[callers]\nunverified = "block"\n')
    assert "fetch_from" in wrong(domain, '[identity]\nfetch_from = ["here"]\n')


def test_files_that_signing_needs_are_missed(domain: Domain) -> None:
    (domain.directory / "tls/identity.key").unlink()
    missing = [problem.key for problem in domain.config().missing_files()]
    assert missing == ["identity.key"]
    assert domain.config("").missing_files() == []


def test_a_key_that_others_can_read_is_refused(domain: Domain) -> None:
    (domain.directory / "tls/identity.key").chmod(0o644)
    assert "identity.key" in wrong(domain, SIGN)


# -- wiring --------------------------------------------------------------------------------------------


async def test_the_defaults_verify_and_do_not_sign(domain: Domain) -> None:
    async with running(domain.config(""), MemoryStore()) as node:
        services = node.parts.services
        assert services.signing is None
        assert services.verification is not None
        assert services.verification.refuse is Refuse.INVALID
        assert services.strangers is not None
        assert services.strangers.unverified is Treatment.MARK
        anchors = services.verification.signers.anchors
        assert anchors.named == (domain.authority.certificate,)
        assert anchors.web == web_roots()


async def test_every_key_arrives(domain: Domain) -> None:
    root = issue("root", ca=True)
    lister = issue("lister", ca=True)
    domain.write("root.pem", chain_pem([root.certificate]))
    domain.write("lister.pem", chain_pem([lister.certificate]))
    domain.write("revoked.pem", crl_pem(domain.authority.revoke([7], now=NOW)))
    text = (
        SIGN
        + """
    attest = false
    divert = true
    verify = "refuse"
    trust = ["root.pem"]
    system_trust = false
    crl = ["revoked.pem"]
    list_issuers = ["lister.pem"]
    revocation = "require"
    freshness_seconds = 30
    providers = ["709J"]
    numbers_by_domain = true
    require_diversion = true
    fetch_from = ["127.0.0.1"]
    country_code = "358"
    national_prefix = "0"
    international_prefix = "00"
    bare_digits = true
    unproven_priority = "mark"
    [[identity.priority]]
    namespaces = ["ETS", "wps"]
    signers = ["Priority.example", "AB:CD"]
    [callers]
    verified = "challenge"
    unverified = "refuse"
    reports = 5
    report_days = 1
    consent_days = 2
    """
    )
    async with running(domain.config(text), MemoryStore()) as node:
        services = node.parts.services
        signing, verification, strangers = services.signing, services.verification, services.strangers
        assert signing is not None
        assert (signing.attest, signing.divert, signing.signers[0].info) == (False, True, URL)
        assert signing.signers[0].numbers_by_domain
        assert verification is not None
        assert verification.refuse is Refuse.UNVERIFIED
        assert verification.signers.anchors.named == (domain.authority.certificate, root.certificate)
        assert verification.signers.anchors.web == ()
        assert len(verification.signers.anchors.lists) == 1
        assert verification.signers.anchors.list_issuers == (lister.certificate,)
        assert verification.signers._revocation is Revocation.REQUIRE
        assert (verification.replay.seconds, verification.rules.freshness) == (60, 30)
        assert verification.rules.providers == {"709J"}
        assert verification.rules.require_diversion
        assert verification.unproven_priority is Unproven.MARK
        givers = frozenset({"priority.example", "abcd"})
        assert verification.rules.priorities == {"ets": givers, "wps": givers}
        assert verification.rules.plan == ("358", "0", "00", True)
        assert node.parts.fetcher.may_ask("127.0.0.1")
        assert not node.parts.fetcher.may_ask("127.0.0.2")
        assert strangers is not None
        assert (strangers.verified, strangers.unverified) == (Treatment.CHALLENGE, Treatment.REFUSE)
        policy = strangers.reputation.policy
        assert (policy.reports, policy.report_time, policy.consent_time) == (5, DAY, 2 * DAY)
        # What we have signed ourselves needs no fetching.
        assert verification.signers.known([URL]) == {URL: signing.signers[0].credential}


async def test_signatures_are_not_looked_at_where_the_owner_says_so(domain: Domain) -> None:
    async with running(domain.config('[identity]\nverify = "off"\n'), MemoryStore()) as node:
        assert node.parts.services.verification is None


@pytest.mark.parametrize("broken", ["identity.pem", "identity.key"])
async def test_a_file_that_can_not_be_used_is_named_before_anything_is_open(
    broken: str, domain: Domain
) -> None:
    domain.write(f"tls/{broken}", b"broken")
    with pytest.raises(LocalError, match=broken):
        async with running(domain.config(), MemoryStore()):
            pass


async def test_another_curve_and_another_key_are_refused(domain: Domain) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = domain.authority.issue_server(key.public_key(), ["example.org"], now=NOW, serial=9)
    domain.write("tls/identity.pem", chain_pem([certificate]))
    for other, reason in ((key, "P-256"), (new_key(), "is not that of the certificate")):
        domain.write("tls/identity.key", key_pem(other))
        with pytest.raises(LocalError, match=reason):
            async with running(domain.config(), MemoryStore()):
                pass


async def test_reload_takes_a_new_certificate_and_keeps_what_was_seen(domain: Domain) -> None:
    async with running(domain.config(), MemoryStore()) as node:
        services = node.parts.services
        assert services.signing is not None
        assert services.verification is not None
        before, seen = services.signing.signers[0].credential.fingerprint, services.verification.replay
        domain.certify("identity", "example.org")
        node.reload()
        assert services.signing.signers[0].credential.fingerprint != before
        assert services.verification.replay is seen
        domain.write("tls/identity.pem", b"broken")
        kept = services.signing
        with pytest.raises(LocalError, match=r"identity\.pem"):
            node.reload()
        assert services.signing is kept


async def test_the_certificate_is_published(domain: Domain) -> None:
    text = SIGN.replace("example.org/identity", "example.org:8443/.well-known/identity")
    config = domain.config(f'{text}publish = "127.0.0.1:0"\n')
    async with serving(config) as node:
        [web] = [each for each in node.web if each.address.port]
        context = web_context([domain.directory / "tls/ca.pem"], system_trust=False)
        async with asyncio.timeout(5):
            url = parse_url(f"https://example.org:{web.address.port}/.well-known/identity.pem")
            answer = await get(url, "127.0.0.1", context)
            assert answer.status == 200
            assert answer.headers["content-type"].startswith("application/pem-certificate-chain")
            assert answer.headers["cache-control"] == "public, max-age=3600"
            assert answer.body == (domain.directory / "tls/identity.pem").read_bytes()
            other = await get(url._replace(target="/tls/identity.key"), "127.0.0.1", context)
            assert other.status == 404


@pytest.fixture
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Site, Path]]:
    """The web server of another domain, and the root of its certificate."""
    web = WebAuthority(tmp_path_factory.mktemp("web"))
    made = Site(*web.issue("cert.test"))
    await made.start()
    yield made, web.root
    made.close()


async def test_a_call_waits_for_the_certificate_of_its_caller(
    domain: Domain, site: tuple[Site, Path]
) -> None:
    """A whole node: the certificate is fetched over https, once, and the answer comes when it is there."""
    server, web_root = site
    root = issue("root", ca=True, start=NOW - DAY)
    names = [x509.UniformResourceIdentifier("sip:example.net")]
    caller = issue("example.net", root, names=names, start=NOW - DAY)
    domain.write("root.pem", chain_pem([root.certificate]))
    server.pages["/cert.pem"] = page(caller.pem)
    server.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    text = f"""
    [dns.hosts]
    "cert.test" = ["127.0.0.1"]
    [identity]
    verify = "refuse"
    trust = ["root.pem"]
    system_trust = false
    fetch_from = ["127.0.0.0/8"]
    fetch_trust = ["{web_root}"]
    """
    async with running(domain.config(text), MemoryStore()) as node, asyncio.timeout(10):
        [listener] = node.parts.pool.listeners
        context = ssl.create_default_context(cafile=str(domain.directory / "tls/ca.pem"))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", listener.local.port, ssl=context, server_hostname="example.org"
        )
        for number, (url, status) in enumerate(
            [("", 428), (server.url(), 480), (server.url(), 480), (server.url("/absent"), 436)]
        ):
            writer.write(_invite(number, caller, url).to_bytes())
            assert await _final_status(reader) == status
        writer.close()
    assert server.paths == ["/cert.pem", "/absent"]


def _invite(number: int, pair: Pair, url: str) -> Request:
    """A call from example.net, signed where there is a URL."""
    fields = [
        ("Via", f"SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKwaits{number}"),
        ("Max-Forwards", "70"),
        ("From", "<sip:carol@example.net>;tag=1"),
        ("To", "<sip:bob@example.org>"),
        ("Call-ID", f"waits-{number}"),
        ("CSeq", "1 INVITE"),
        ("Contact", "<sip:carol@127.0.0.1:9;transport=tls>"),
        ("Content-Length", "0"),
    ]
    request = Request("INVITE", "sip:bob@example.org", Headers(fields))
    if url:
        assert isinstance(pair.key, ec.EllipticCurvePrivateKey)
        own = credential_from([pair.certificate], [pair.certificate], time.time())
        for name, value in sign_request(request, Signer(pair.key, url, own), time.time()).fields:
            request.headers.add(name, value)
    return request


async def _final_status(reader: asyncio.StreamReader) -> int:
    while True:
        line = (await reader.readline()).decode()
        assert line, "the node hung up"
        if line.startswith("SIP/2.0 ") and not line.startswith("SIP/2.0 1"):
            return int(line.split()[1])


def test_the_systems_roots_are_read() -> None:
    known = len(ssl.create_default_context().get_ca_certs())
    assert len(web_roots()) > known * 0.9


# -- what check says -----------------------------------------------------------------------------------


def about_identity(found: list[str]) -> list[str]:
    return [line.partition(": ")[2] for line in found if "identity" in line]


def test_a_good_domain_is_told_only_that_its_ca_is_private(domain: Domain) -> None:
    [remark] = about_identity(domain.findings())
    assert remark.startswith("identity.certificate: the certificate is from our own CA")
    assert about_identity(domain.findings("")) == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (SIGN.replace("example.org", "localhost"), "is no host that strangers can reach"),
        (SIGN.replace("example.org", "192.168.1.1"), "is no host that strangers can reach"),
        (SIGN + 'publish = "127.0.0.1:8443"\n', "where only this machine can fetch it"),
        ('[identity]\nverify = "off"\n', "signatures of callers are not looked at"),
        ("[identity]\nnumbers_by_domain = true\n", "can sign for any telephone number"),
        ('[identity]\nfetch_from = ["10.0.0.0/8"]\n', "any caller can make this node ask"),
    ],
)
def test_what_weakens_it_is_said(text: str, finding: str, domain: Domain) -> None:
    assert any(finding in line for line in domain.findings(text))


MORE = """[[identity.signer]]
url = "https://example.org/numbers.pem"
certificate = "tls/numbers.pem"
key = "tls/numbers.key"
"""


def with_numbers(domain: Domain, **numbers: Any) -> None:
    pair = issue("carrier", numbers=tn_list(**numbers), start=NOW - DAY)
    domain.write("tls/numbers.pem", chain_pem([pair.certificate]))
    domain.write("tls/numbers.key", key_pem(pair.key))


async def test_several_certificates_sign(domain: Domain) -> None:
    with_numbers(domain, one=["12155550100"])
    config = domain.config(SIGN + MORE)
    async with running(config, MemoryStore()) as node:
        services = node.parts.services
        assert services.signing is not None
        assert services.verification is not None
        urls = [each.info for each in services.signing.signers]
        assert urls == [URL, "https://example.org/numbers.pem"]
        known = services.verification.signers.known(urls)
        assert known is not None
        assert [each.own_numbers for each in known.values() if each is not None] == [False, True]
    assert [remark for remark in about_identity(domain.findings(SIGN + MORE)) if "own CA" not in remark] == []


def test_what_is_wrong_with_a_further_certificate_is_said(domain: Domain) -> None:
    assert any("no file" in line and "numbers.pem" in line for line in domain.findings(SIGN + MORE))
    domain.certify("numbers", "example.net")
    assert any(
        "identity.signer.certificate" in line and "names neither" in line
        for line in domain.findings(SIGN + MORE)
    )
    same = MORE.replace("https://example.org/numbers.pem", URL)
    assert "two certificates have the same url" in wrong(domain, SIGN + same)
    assert "url is no https URL" in wrong(domain, SIGN + MORE.replace("https", "http"))
    (domain.directory / "tls/numbers.key").chmod(0o644)
    assert "identity.signer.key" in wrong(domain, SIGN + MORE)


async def test_accounts_for_whom_no_certificate_speaks_are_named(domain: Domain) -> None:
    domain.config()
    database = await Database.open(f"sqlite:///{domain.directory}/data/ringfence.db")
    for user, aliases in (("alice", ("sip:+12155550100@example.org",)), ("bob", ("sip:bob@example.net",))):
        await database.accounts.add(
            Account(f"sip:{user}@example.org", user, "example.org", {}, aliases=aliases)
        )
    await database.close()

    async def told(text: str) -> list[str]:
        return [problem.reason for _, problem in await unsigned_accounts(domain.config(text))]

    (said,) = await told(SIGN)
    assert said.startswith(
        "calls of 2 of 4 addresses of accounts can't be signed: sip:+12155550100@example.org ("
    )
    assert "sip:bob@example.net (" in said
    with_numbers(domain, one=["12155550100"])
    (said,) = await told(SIGN + MORE)
    assert said.startswith("calls of 1 of 4 addresses of accounts can't be signed: sip:bob@example.net (")
    assert await told("") == []


def test_certificates_that_do_not_fit_are_found(domain: Domain) -> None:
    domain.certify("identity", "example.net")
    assert any("names neither example.org nor telephone numbers" in line for line in domain.findings())
    domain.certify("identity", "example.org", days=3, age=100)
    assert any("identity.pem expires in 3 days" in line for line in domain.findings())
    numbers = issue("carrier", numbers=tn_list(spc=["709J"]), start=NOW - DAY)
    domain.write("tls/identity.pem", chain_pem([numbers.certificate]))
    domain.write("tls/identity.key", key_pem(numbers.key))
    assert any("calls of its addresses go unsigned" in line for line in domain.findings())
    domain.write("tls/identity.key", key_pem(new_key()))
    assert any("is not that of the certificate" in line for line in domain.findings())
