"""The rules of `ringfence check`, each against a domain that `ringfence init` has made."""

import os
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.security.authority import DAY, Authority, new_key
from ringfence.security.pem import chain_pem, crl_pem, key_pem, read_chain
from ringfence.service.checks import RULES, examine
from ringfence.service.config import Config
from ringfence.service.finding import Severity
from ringfence.service.peers import roots_of
from ringfence.store.migrate import upgrade

NOW = time.time()


class Domain:
    """A domain on disk, as a test wants it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.chmod(0o700)
        self.authority = Authority.create("CA", now=NOW - 10 * DAY, serial=1)
        for name in ("tls", "data"):
            (directory / name).mkdir(0o700)
        self.write("data/secret.key", os.urandom(64))
        self.write("tls/ca.pem", chain_pem([self.authority.certificate]))
        self.certify(["example.org"])
        upgrade(f"sqlite:///{directory}/data/ringfence.db")

    def write(self, name: str, data: bytes) -> None:
        (self.directory / name).write_bytes(data)
        (self.directory / name).chmod(0o600)

    def certify(
        self, names: list[str], *, authority: Authority | None = None, days: float = 300, now: float = NOW
    ) -> None:
        key = new_key()
        certificate = (authority or self.authority).issue_server(
            key.public_key(), names, now=now, serial=2, lifetime=days * DAY
        )
        self.write("tls/server.pem", chain_pem([certificate]))
        self.write("tls/server.key", key_pem(key))

    def config(self, text: str = "", listen: str = "tls") -> Config:
        self.write(
            "ringfence.toml",
            f'[domain]\nname = "example.org"\n[[listen]]\ntransport = "{listen}"\nport = 5061\n{text}'.encode(),
        )
        return Config.load(self.directory / "ringfence.toml")

    def findings(self, text: str = "", listen: str = "tls") -> list[str]:
        return [f"{severity} {problem}" for severity, problem in examine(self.config(text, listen))]


@pytest.fixture
def domain(tmp_path: Path) -> Domain:
    return Domain(tmp_path)


def test_a_good_domain_has_nothing_to_remark_on(domain: Domain) -> None:
    assert domain.findings() == []


def only(findings: list[str]) -> str:
    (finding,) = findings
    return finding


def test_an_open_relay_is_an_error_that_names_the_line(domain: Domain) -> None:
    finding = only(domain.findings('[security]\nchallenge = "none"\n'))
    assert finding.startswith("error ringfence.toml line 7: security.challenge: anybody may call as anybody")
    assert finding.endswith('write challenge = "first"')


def test_md5_is_remarked_on(domain: Domain) -> None:
    finding = only(domain.findings('[security]\nalgorithms = ["SHA-256", "MD5"]\n'))
    assert finding.startswith("warning ringfence.toml line 7: security.algorithms: MD5 is offered")


def test_long_nonces_are_remarked_on(domain: Domain) -> None:
    assert "nonces live longer" in only(domain.findings("[security]\nnonce_lifetime_seconds = 100000.0\n"))


def test_a_plaintext_port_is_remarked_on_unless_only_this_machine_reaches_it(domain: Domain) -> None:
    text = '[[listen]]\ntransport = "udp"\nport = 5060\n'
    assert only(domain.findings(text)).startswith(
        "warning ringfence.toml line 7: listen.transport: udp 5060 is plaintext"
    )
    assert domain.findings(text + 'host = "127.0.0.1"\n') == []
    assert domain.findings(text + "[security]\nrequire_tls = true\n") == []


def test_no_tls_at_all_is_remarked_on(domain: Domain) -> None:
    assert any("no port has TLS" in each for each in domain.findings(listen="udp"))


def test_a_certificate_that_has_expired_or_will(domain: Domain) -> None:
    domain.certify(["example.org"], now=NOW - 5 * DAY, days=4)
    assert "tls/server.pem has expired; run ringfence cert renew" in only(domain.findings())
    domain.certify(["example.org"], now=NOW - 35 * DAY, days=45)
    finding = only(domain.findings())
    assert finding.startswith("warning ")
    assert "expires in 10 days" in finding


@pytest.mark.rfc("5922", "7.1")
def test_a_certificate_has_to_name_every_domain(domain: Domain) -> None:
    domain.certify(["sip.example.org"])
    assert "does not name the domain example.org" in only(domain.findings())


def test_a_certificate_of_another_ca_of_the_same_name(domain: Domain) -> None:
    domain.certify(["example.org"], authority=Authority.create("CA", now=NOW - DAY, serial=1))
    assert "tls/server.pem is not signed by" in only(domain.findings())


def test_a_certificate_of_a_public_ca_is_not_held_against_the_private_one(domain: Domain) -> None:
    domain.certify(["example.org"], authority=Authority.create("Public CA", now=NOW - DAY, serial=1))
    assert domain.findings() == []


def test_a_key_of_another_certificate(domain: Domain) -> None:
    domain.write("tls/server.key", key_pem(new_key()))
    assert "the private key is not that of the certificate" in only(domain.findings())


def test_files_that_can_not_be_read(domain: Domain) -> None:
    domain.write("tls/server.pem", b"nonsense")
    domain.write("tls/ca.pem", b"nonsense")
    assert "tls.certificate" in only(domain.findings())
    domain.certify(["example.org"])
    assert "tls.ca" in only(domain.findings())


def test_files_that_are_missing(domain: Domain) -> None:
    (domain.directory / "tls/server.key").unlink()
    (domain.directory / "data/secret.key").unlink()
    (domain.directory / "data/ringfence.db").unlink()
    found = domain.findings()
    assert [each.partition(": ")[2].partition(":")[0] for each in found] == [
        "tls.key",
        "security.secret",
        "database.url",
    ]
    assert not (domain.directory / "data/ringfence.db").exists()


@pytest.mark.parametrize("section", ["tls", "identity"])
def test_a_revocation_list_that_has_run_out(domain: Domain, section: str) -> None:
    text = f'[{section}]\ncrl = ["tls/crl.pem"]\n'
    domain.write("tls/crl.pem", crl_pem(domain.authority.revoke([], now=NOW - 5 * DAY, lifetime=DAY)))
    assert "tls/crl.pem ran out on " in only(domain.findings(text))
    domain.write("tls/crl.pem", b"nonsense")
    assert "not a PEM revocation list" in only(domain.findings(text))
    domain.write("tls/crl.pem", crl_pem(domain.authority.revoke([], now=NOW)))
    assert domain.findings(text) == []


def test_servers_that_prove_nothing(domain: Domain) -> None:
    assert "any server is taken for any domain" in only(domain.findings("[tls]\nverify_servers = false\n"))


def test_a_peer_as_large_as_the_internet_is_an_open_relay(domain: Domain) -> None:
    peer = '[[peer]]\nname = "all"\naddresses = ["{}"]\n'
    for network in ("0.0.0.0/0", "10.0.0.0/8", "::/0", "2001:db8::/32"):
        assert "an open relay" in only(domain.findings(peer.format(network)))
    for network in ("192.0.2.1", "192.0.2.0/24", "2001:db8::/48", "2001:db8::1"):
        assert domain.findings(peer.format(network)) == []
    many = '", "'.join(f"10.0.{place}.0/20" for place in range(0, 64, 16))
    assert "16384 addresses in all" in only(domain.findings(peer.format(many)))
    sites = '", "'.join(f"2001:db8:{place:x}::/48" for place in range(17))
    assert "17 networks in all" in only(domain.findings(peer.format(sites)))


def test_a_peer_that_is_believed_by_its_address_alone(domain: Domain) -> None:
    peer = '[[peer]]\nname = "carrier"\naddresses = ["192.0.2.1"]\ntrusted = true\n'
    assert domain.findings(peer) == []  # over TLS and nothing else an address has to answer
    for transport, severity in (("udp", "error"), ("tcp", "warning"), ("tls", "")):
        text = f'{peer}transport = "{transport}"\n'
        found = [line for line in domain.findings(text, "udp") if "is believed by its address alone" in line]
        assert [line.partition(" ")[0] for line in found] == ([severity] if severity else [])
    found = [line for line in domain.findings(peer, "udp") if "carrier" in line]
    assert "an open relay" in only(found)


def test_authorities_of_others_that_could_name_a_trusted_peer(domain: Domain) -> None:
    for name in ("one", "two"):
        authority = Authority.create(name, now=NOW - DAY, serial=1)
        domain.write(f"tls/{name}.pem", chain_pem([authority.certificate]))
    trust = '[tls]\ntrust = ["tls/one.pem", "tls/two.pem"]\n'
    peer = '[[peer]]\nname = "carrier"\ndomain = "example.net"\ntrusted = true\n'
    assert "each of the 2 files in tls.trust can vouch for it" in only(domain.findings(trust + peer))
    own = 'trust = ["tls/two.pem"]\n'
    assert domain.findings(trust + peer + own) == []
    [known] = roots_of(config := domain.config(trust + peer + own), config.peer[0])
    assert known == read_chain((domain.directory / "tls/two.pem").read_bytes())[0].public_bytes(Encoding.DER)
    assert "no file" in only(domain.findings(trust + peer + 'trust = ["tls/absent.pem"]\n'))


def test_our_own_authority_vouches_for_nodes_of_our_network(domain: Domain) -> None:
    config = domain.config('[[peer]]\nname = "e"\nrole = "edge"\ncertificate_names = ["edge.example.org"]\n')
    assert roots_of(config, config.peer[0]) == {domain.authority.certificate.public_bytes(Encoding.DER)}
    config = domain.config('[[peer]]\nname = "x"\ndomain = "example.net"\n')
    assert roots_of(config, config.peer[0]) == frozenset()


def test_a_secret_that_can_be_guessed(domain: Domain) -> None:
    domain.write("data/secret.key", b"correct horse " * 4)
    assert "can be guessed" in only(domain.findings())
    domain.write("data/secret.key", os.urandom(31))
    assert "31 bytes are too few" in only(domain.findings())


def test_a_node_of_the_network_with_a_strange_name(domain: Domain) -> None:
    peer = '[[peer]]\nname = "edge"\nrole = "edge"\ncertificate_names = ["{}"]\n'
    assert any(
        "is believed in everything" in line for line in domain.findings(peer.format("edge.example.net"))
    )
    assert not any(
        "is believed in everything" in line for line in domain.findings(peer.format("edge.example.org"))
    )


def test_a_peer_that_claims_our_domain(domain: Domain) -> None:
    peer = '[[peer]]\nname = "x"\ndomain = "{}"\n'
    assert "is a domain of this node" in only(domain.findings(peer.format("example.org")))
    assert domain.findings(peer.format("example.net")) == []


def test_methods_that_are_not_challenged(domain: Domain) -> None:
    section = '[security]\nunauthenticated_methods = ["OPTIONS", "{}"]\n'
    assert "anybody may send INVITE to our users" in only(domain.findings(section.format("INVITE")))
    assert "a REGISTER is challenged in any case" in only(domain.findings(section.format("REGISTER")))
    assert domain.findings('[security]\nunauthenticated_methods = ["OPTIONS"]\n') == []


def test_data_that_is_open_to_others(domain: Domain) -> None:
    (domain.directory / "data").chmod(0o755)
    assert f"run chmod 700 {domain.directory}/data" in only(domain.findings())


def test_a_configuration_that_others_can_change(domain: Domain) -> None:
    config = domain.config()
    config.file.chmod(0o666)
    assert any("can change the configuration" in problem.reason for _, problem in examine(config))


def test_metrics_for_everybody(domain: Domain) -> None:
    assert "to anybody who can reach it" in only(domain.findings('[metrics]\nlisten = "0.0.0.0:9090"\n'))
    assert domain.findings('[metrics]\nlisten = ""\n') == []


def test_policy_that_is_not_there(domain: Domain) -> None:
    text = '[policy]\nsteps = [\n  "os.path:join",\n  "os.path:absent",\n  "absent_package:step",\n  "os:sep",\n]\n'
    found = domain.findings(text)
    assert [each.partition(":")[0] for each in found] == [
        *(f"error ringfence.toml line {line}" for line in (9, 10, 11)),
        "warning ringfence.toml line 8",
    ]
    assert "os.path:join is your own code, which check can't see into" in found[-1]


# -- nodes of one network ------------------------------------------------------------------------------

CORE = '[node]\nroles = ["core"]\n'
CLOSED = '[tls]\nclient_certificates = "required"\n[[listen]]\ntransport = "tls"\nport = 5061\n'
EDGE = '[[peer]]\nname = "e"\nrole = "edge"\ncertificate_names = ["edge1.example.org"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CORE + CLOSED, "core serves only nodes of its own network, and no [[peer]] has the role edge"),
        (CORE + CLOSED.replace("required", "optional") + EDGE, "after TLS has let it in"),
        (
            CORE + CLOSED + '[[listen]]\ntransport = "udp"\nport = 5060\n' + EDGE,
            "nobody is served on udp 5060",
        ),
        ('[proxy]\ncore = "sip:core.example.org"\n', "what it sends is taken for a stranger's"),
        ('[proxy]\noutbound = "sip:border.example.org"\n', "border.example.org is no [[peer]]"),
        ('[node]\nroles = ["outbound"]\n', "no [[peer]] has the role core or edge"),
    ],
)
def test_nodes_of_one_network_that_do_not_know_one_another(domain: Domain, text: str, said: str) -> None:
    assert any(said in found for found in domain.findings(text)), domain.findings(text)


def test_a_core_that_is_closed(domain: Domain) -> None:
    assert domain.findings(CORE + CLOSED + EDGE) == []


def test_a_database_of_no_schema(domain: Domain) -> None:
    domain.write("data/ringfence.db", b"")
    assert "the database has the schema of no version" in only(domain.findings())
    domain.write("data/ringfence.db", b"not a database at all, but a text" * 100)
    assert only(domain.findings()).startswith("error ")


def test_errors_come_first(domain: Domain) -> None:
    text = '[security]\nalgorithms = ["MD5"]\n[[peer]]\nname = "all"\naddresses = ["0.0.0.0/0"]\n'
    severities = [severity for severity, _ in examine(domain.config(text))]
    assert severities == [Severity.ERROR, Severity.WARNING]


def test_every_rule_says_what_it_is_for() -> None:
    assert all(rule.__doc__ for rule in RULES)


RADIUS = """
[[radius]]
authentication = "127.0.0.1:1812"
secret = "radius.secret"
digest = "%s"
[accounts]
source = "%s"
nonces = "server"
"""


@pytest.mark.parametrize(
    ("digest", "source", "found"),
    [
        ("rfc5090", "radius", []),
        ("sterman", "radius", ["radius.digest: the draft before RFC 5090 has no nonces of the server"]),
        (
            "rfc5090",
            "database",
            ["accounts.nonces: no server is asked about passwords that could make nonces"],
        ),
    ],
)
def test_nonces_of_servers(domain: Domain, digest: str, source: str, found: list[str]) -> None:
    domain.write("radius.secret", b"0123456789abcdef")
    findings = domain.findings(RADIUS % (digest, source))
    errors = [each for each in findings if each.startswith("error")]
    assert len(errors) == len(found), errors
    assert all(text in error for text, error in zip(found, errors, strict=True)), errors


def test_an_agreement_on_digest_needs_passwords_that_are_known_here(domain: Domain) -> None:
    domain.write("radius.secret", b"0123456789abcdef")
    agreement = '[security]\nagreement = "offer"\nmechanisms = ["digest"]\n'
    (error,) = [
        each
        for each in domain.findings(RADIUS % ("rfc5090", "radius") + agreement)
        if each.startswith("error")
    ]
    assert "an agreement on digest needs passwords that are known here" in error
