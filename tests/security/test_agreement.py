"""Lists of security mechanisms: made, read, chosen from, and covered by a digest (RFC 3329)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import Headers, LocalError, PeerError, Request
from ringfence.message.fields.security_agreement import Mechanism
from ringfence.security.agreement import (
    AgreementFlaw,
    Name,
    choose,
    digest_mechanism,
    list_flaw,
    list_text,
    make_list,
    proof,
    proof_flaw,
    read_list,
    requires,
    returned_list,
    strip,
    tls_mechanism,
)
from ringfence.security.credentials import Credentials
from ringfence.security.digest import Algorithm, make_ha1, request_digest

BOTH = make_list([tls_mechanism(), digest_mechanism(Algorithm.SHA_256)])
HA1 = make_ha1("alice", "example.org", "secret", Algorithm.SHA_256)


def request(*fields: tuple[str, str], body: bytes = b"") -> Request:
    return Request("OPTIONS", "sip:example.org", Headers(fields), body)


def credentials(**more: str) -> Credentials:
    usual = {"algorithm": "SHA-256", "cnonce": "c", "qop": "auth", "nc": "00000001"}
    return Credentials("alice", "example.org", "n", "sip:example.org", "", **usual | more)  # type: ignore[arg-type]


@pytest.mark.rfc("3329", "2.2")
def test_every_mechanism_has_a_preference_of_its_own() -> None:
    assert list_text(BOTH) == "tls;q=0.2, digest;q=0.1;d-alg=SHA-256;d-qop=auth"
    assert list_text(make_list([tls_mechanism(15061)])) == "tls;q=0.1;port=15061"
    with pytest.raises(LocalError):
        make_list([])
    with pytest.raises(LocalError):
        make_list([Mechanism("tls")] * 10)


@pytest.mark.rfc("3329", "2.2")
@pytest.mark.parametrize(
    "values",
    [[], ["tls;q=0.1", "digest;q=0.1"], ["tls", "digest;q=1.0"], ["tls;q=2"], ["tls;"], ["tls"] * 10],
)
def test_a_list_that_is_none_is_refused(values: list[str]) -> None:
    with pytest.raises(PeerError) as caught:
        read_list(values)
    assert (caught.value.status, caught.value.header) == (494, "Security-Server")


@pytest.mark.rfc("3329", "2.3.1")
@pytest.mark.parametrize(
    ("offered", "known", "chosen"),
    [
        (["ipsec-ike;q=0.1", "tls;q=0.2"], {"tls", "digest"}, "tls"),
        (["ipsec-ike;q=0.3", "tls;q=0.2", "digest;q=0.1"], {"tls", "digest"}, "tls"),
        (["tls;q=0.001", "digest;q=0.002"], {"tls", "digest"}, "digest"),
        (["ipsec-3gpp;q=0.5;alg=hmac-sha-1-96;spi=1234567890;port1=5064"], {"ipsec-3gpp"}, "ipsec-3gpp"),
        (["ipsec-man;q=0.5"], {"tls"}, None),
    ],
)
def test_the_most_preferred_common_mechanism_is_chosen(
    offered: list[str], known: set[str], chosen: str | None
) -> None:
    found = choose(read_list(offered), lambda each: each.name in known)
    assert (found.name if found is not None else None) == chosen


@pytest.mark.rfc("3329", "2.2")
@pytest.mark.parametrize(("qop", "body"), [("auth", b""), ("auth-int", b"v=0")])
def test_the_digest_is_that_of_the_text(qop: str, body: bytes) -> None:
    def hashed(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    a2 = "OPTIONS:sip:example.org:" + (f"{hashed(body.decode())}:" if qop == "auth-int" else "")
    a2 += "Security-Server: tls;q=0.2, digest;q=0.1"
    expected = hashed(f"{HA1}:n:00000001:c:{qop}:{hashed(a2)}")
    assert proof(credentials(qop=qop), HA1, "OPTIONS", ["tls;q=0.2", " digest;q=0.1 "], body) == expected
    assert proof(credentials(qop=qop), HA1, "OPTIONS", ["tls;q=0.2,\t \r\n digest;q=0.1"], body) == expected


@pytest.mark.rfc("3329", "2.2")
def test_a_proof_over_the_value_alone_counts_too() -> None:
    own = make_list([digest_mechanism(Algorithm.SHA_256)])
    alone = request_digest(credentials(), HA1, "OPTIONS", covering=list_text(own))
    for made in (proof(credentials(), HA1, "OPTIONS", [list_text(own)]), alone):
        sent = request(("Security-Verify", returned_list([list_text(own)], made)))
        assert list_flaw(sent, own) is None
        assert proof_flaw(sent, own, credentials(), HA1, "OPTIONS") is None
        assert proof_flaw(sent, own, credentials(), HA1, "INVITE") is not None
        assert proof_flaw(sent, own, None, None, "OPTIONS") is not None


@given(st.integers(0, 60), st.sampled_from("abx;=,. 09"))
def test_no_byte_of_a_returned_list_may_change(place: int, to: str) -> None:
    text = list_text(BOTH)
    place %= len(text)
    changed = text[:place] + to + text[place + 1 :]
    try:
        flaw = list_flaw(request(("Security-Verify", changed)), BOTH)
    except PeerError:
        return
    blank = "".join(changed.split()) == "".join(text.split())
    assert (flaw is None) == blank
    assert flaw is None or flaw.code is AgreementFlaw.DIFFERENT


@pytest.mark.rfc("3329", "2.3.1")
def test_only_the_agreement_is_taken_off() -> None:
    sent = request(
        ("Require", "100rel, SEC-AGREE"),
        ("Proxy-Require", "sec-agree"),
        ("Security-Client", "tls"),
        ("Security-Verify", "tls;q=0.1"),
        ("Subject", "sec-agree"),
    )
    assert requires(sent)
    strip(sent)
    assert list(sent.headers) == [("Subject", "sec-agree"), ("Require", "100rel")]
    assert not requires(sent)


def test_names_are_those_of_the_registry() -> None:
    assert {str(name) for name in Name} == {"tls", "digest", "ipsec-ike", "ipsec-man", "ipsec-3gpp"}
