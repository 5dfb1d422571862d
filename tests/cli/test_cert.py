"""ringfence cert: the private CA."""

import time

import pytest
from cryptography import x509

from ringfence.security.canonical import Party
from ringfence.security.certificates import judge_domain, user_identities
from ringfence.security.pem import check_pair, read_chain, read_crl, read_key
from ringfence.security.tnauth import credential_from
from tests.cli.running import Shell


def chain(shell: Shell, name: str) -> list[x509.Certificate]:
    return read_chain((shell.directory / name).read_bytes())


def test_a_server_gets_a_certificate_that_proves_its_names(domain: Shell) -> None:
    result = domain.type("cert", "issue", "sip2.example.org", "192.0.2.7", "--json")
    assert result.code == 0
    assert result.json["names"] == ["sip2.example.org", "192.0.2.7"]
    leaf = chain(domain, "sip2.example.org.pem")
    check_pair(leaf[0], read_key((domain.directory / "sip2.example.org.key").read_bytes()))
    for name in result.json["names"]:
        assert judge_domain(leaf, chain(domain, "tls/ca.pem"), time.time(), name).reasons == ()
    assert (domain.directory / "sip2.example.org.key").stat().st_mode & 0o777 == 0o600


def test_a_name_outside_the_domain_is_refused_since_nobody_would_believe_it(domain: Shell) -> None:
    result = domain.type("cert", "issue", "example.net")
    assert result.code == 1
    assert "nobody would accept a certificate for example.net" in result.err
    assert not (domain.directory / "example.net.pem").exists()


def test_a_user_gets_a_certificate_for_the_address(domain: Shell) -> None:
    assert domain.type("cert", "issue", "alice@example.org", "--out", "certs").code == 0
    leaf = chain(domain, "certs/alice@example.org.pem")[0]
    assert user_identities(leaf) == ("sip:alice@example.org",)
    assert (domain.directory / "certs/alice@example.org.key").stat().st_mode & 0o777 == 0o600
    assert domain.type("cert", "issue", "alice@example.org", "bob@example.org").code == 2


def test_a_certificate_for_telephone_numbers(domain: Shell) -> None:
    numbers = ("--number", "+12155550100", "--number", "+358912300-358912399")
    assert domain.type("cert", "issue", "example.org", *numbers).code == 0
    file = domain.directory / "example.org.pem"

    def covers(number: str) -> bool:
        read = credential_from(file.read_bytes(), [], time.time())
        return read.covers(Party("tn", number)) == ()

    numbers_of_it = ("12155550100", "358912300", "358912399", "358912400")
    assert [covers(each) for each in numbers_of_it] == [True, True, True, False]
    assert domain.type("cert", "renew", str(file)).code == 0
    assert covers("358912399")


@pytest.mark.parametrize("number", ["112x", "+1-2-3", "+199-100", "+100-1000", "+1234567890123456", ""])
def test_what_is_no_number_is_refused(domain: Shell, number: str) -> None:
    result = domain.type("cert", "issue", "example.org", "--number", number)
    assert result.code != 0
    assert "is no " in result.err
    assert not (domain.directory / "example.org.pem").exists()


def test_a_users_certificate_has_no_numbers(domain: Shell) -> None:
    result = domain.type("cert", "issue", "--user", "alice@example.org", "--number", "+1215")
    assert "signs for no numbers" in result.err


def test_nothing_is_overwritten(domain: Shell) -> None:
    assert domain.type("cert", "issue", "sip2.example.org").code == 0
    before = (domain.directory / "sip2.example.org.key").read_bytes()
    assert domain.type("cert", "issue", "sip2.example.org").code == 1
    assert (domain.directory / "sip2.example.org.key").read_bytes() == before


@pytest.mark.parametrize("name", ["not a name", "", "@", "alice@"])
def test_what_is_no_name_is_refused(domain: Shell, name: str) -> None:
    result = domain.type("cert", "issue", name)
    assert result.code == 65
    assert "Traceback" not in result.err


def test_the_nodes_certificate_is_renewed_in_place(domain: Shell) -> None:
    before = chain(domain, "tls/server.pem")[0]
    result = domain.type("cert", "renew")
    assert result.code == 0
    assert "ringfence reload" in result.err
    after = chain(domain, "tls/server.pem")[0]
    assert after.serial_number != before.serial_number
    assert after.public_key() == before.public_key()
    assert domain.type("check").code == 0


def test_a_new_key_is_made_on_request(domain: Shell) -> None:
    before = chain(domain, "tls/server.pem")[0]
    assert domain.type("cert", "renew", "--new-key").code == 0
    assert chain(domain, "tls/server.pem")[0].public_key() != before.public_key()
    assert domain.type("check").code == 0


def test_a_foreign_certificate_is_not_renewed(domain: Shell) -> None:
    assert domain.type("init", "example.net", "--dir", "other").code == 0
    result = domain.type("cert", "renew", "other/tls/server.pem")
    assert result.code == 1
    assert "is not from this CA" in result.err


def test_what_was_issued_is_listed_with_its_state(domain: Shell) -> None:
    domain.type("cert", "issue", "alice@example.org")
    domain.type("cert", "issue", "bob@example.org")
    assert domain.type("cert", "revoke", "bob@example.org").code == 0
    states = {tuple(each["names"]): each["state"] for each in domain.type("cert", "list", "--json").json}
    assert states == {
        ("sip:bob@example.org",): "revoked",
        ("sip:alice@example.org",): "valid",
        ("example.org",): "valid",
    }
    assert "sip:alice@example.org" in domain.type("cert", "list").out


def test_a_certificate_is_revoked_by_serial_name_or_file(domain: Shell) -> None:
    names = ("a@example.org", "b@example.org", "c@example.org")
    serials = [domain.type("cert", "issue", name, "--json").json["serial"] for name in names]
    for which in (serials[0], "sip:b@example.org", "c@example.org.pem"):
        assert domain.type("cert", "revoke", which).code == 0
    crl = read_crl((domain.directory / "tls/revoked.pem").read_bytes())
    assert {f"{each.serial_number:x}" for each in crl} == set(serials)


def test_the_owner_is_told_how_the_node_learns_of_it(domain: Shell) -> None:
    domain.type("cert", "issue", "alice@example.org")
    assert "under [tls]" in domain.type("cert", "revoke", "alice@example.org").err
    text = (
        (domain.directory / "ringfence.toml").read_text().replace("[tls]", '[tls]\ncrl = ["tls/revoked.pem"]')
    )
    (domain.directory / "ringfence.toml").write_text(text)
    domain.type("cert", "issue", "alice@example.org", "--out", "again")
    assert "under [tls]" not in domain.type("cert", "revoke", "alice@example.org").err
    assert domain.type("check").code == 0


def test_revoking_what_is_not_there(domain: Shell) -> None:
    assert domain.type("cert", "revoke", "nobody@example.org").code == 1


def test_a_machine_without_the_ca_key_says_so(domain: Shell) -> None:
    (domain.directory / "tls/ca.key").unlink()
    result = domain.type("cert", "renew")
    assert result.code == 69
    assert "tls/ca.key" in result.err
    assert domain.type("check").code == 0
