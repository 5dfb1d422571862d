"""Digest authentication: the hashes and the server's side."""

import dataclasses
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import LocalError, PeerError
from ringfence.security import digest
from ringfence.security.credentials import Credentials, parse_credentials
from ringfence.security.digest import (
    MAX_CREDENTIALS,
    STRONG,
    Algorithm,
    Outcome,
    UriCheck,
    algorithm_of,
    authentication_info,
    credentials_for,
    make_ha1,
    request_digest,
    same_resource,
    userhash,
    verify,
)
from ringfence.security.nonces import Freshness, NcWindow, Nonces

NONCES = Nonces(bytes(32))
NOW = 1_800_000_000.0
NONCE = NONCES.make(NOW, "flow")
URI = "sip:bob@example.org"


def hashed(algorithm: str, text: str) -> str:
    return hashlib.new(algorithm, text.encode()).hexdigest()


# ---- published values ----

RFC_7616: dict[str, Any] = {
    "username": "Mufasa",
    "realm": "http-auth@example.org",
    "uri": "/dir/index.html",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    "qop": "auth",
    "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
}


@pytest.mark.rfc("7616", "3.9.1")
@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        (Algorithm.MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm.SHA_256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_example_with_sha_256_and_md5(algorithm: Algorithm, response: str) -> None:
    credentials = Credentials(**RFC_7616, algorithm=algorithm, response=response)
    ha1 = make_ha1("Mufasa", "http-auth@example.org", "Circle of Life", algorithm)
    assert request_digest(credentials, ha1, "GET") == response


@pytest.mark.rfc("7616", "3.9.2")
def test_example_with_sha_512_256_as_corrected_by_erratum_4897() -> None:
    name, realm = "J\u00e4s\u00f8n Doe", "api@example.org"
    hashed = userhash(name, realm, Algorithm.SHA_512_256)
    assert hashed == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    credentials = Credentials(
        username=hashed,
        realm=realm,
        uri="/doe.json",
        algorithm="SHA-512-256",
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        nc="00000001",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        qop="auth",
        response="",
        userhash=True,
    )
    ha1 = make_ha1(name, realm, "Secret, or not?", Algorithm.SHA_512_256)
    expected = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    assert request_digest(credentials, ha1, "GET") == expected


@pytest.mark.rfc("2617", "3.5")
def test_example_of_rfc_2617() -> None:
    credentials = parse_credentials(
        'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", '
        'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    assert credentials is not None
    assert algorithm_of(credentials) is Algorithm.MD5
    ha1 = make_ha1("Mufasa", "testrealm@host.com", "Circle Of Life", Algorithm.MD5)
    assert ha1 == "939e7578ed9e3c518a452acee763bce9"
    assert request_digest(credentials, ha1, "GET") == credentials.response


@pytest.mark.rfc("8760", "2.6")
def test_an_empty_body_counts_as_the_hash_of_nothing() -> None:
    given = Credentials("a", "r", "n", URI, "", "SHA-256", cnonce="c", qop="auth-int", nc="00000001")
    # The value that RFC 8760 section 2.6 item 7 prints.
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    a2 = hashed("sha256", f"INVITE:{URI}:{empty}")
    assert request_digest(given, "x", "INVITE") == hashed("sha256", f"x:n:00000001:c:auth-int:{a2}")


@pytest.mark.rfc("7616", "3.4.2")
def test_session_variants_take_the_nonces_into_a1() -> None:
    plain = Credentials("a", "r", "n", URI, "", "SHA-256", cnonce="c", qop="auth", nc="00000001")
    session = dataclasses.replace(plain, algorithm="SHA-256-sess")
    assert request_digest(session, "x", "INVITE") == request_digest(
        plain, hashed("sha256", "x:n:c"), "INVITE"
    )
    assert Algorithm.SHA_256_SESS.plain is Algorithm.SHA_256
    with pytest.raises(LocalError):
        request_digest(dataclasses.replace(session, cnonce=None), "x", "INVITE")


@pytest.mark.rfc("2617", "3.2.2.1")
def test_the_digest_of_rfc_2069_has_no_qop() -> None:
    credentials = Credentials("a", "r", "n", URI, "")
    assert request_digest(credentials, "x", "INVITE") == hashed(
        "md5", f"x:n:{hashed('md5', f'INVITE:{URI}')}"
    )


def test_names_and_passwords_are_normalized() -> None:
    composed, decomposed = "J\u00e4", "Ja\u0308"
    for algorithm in Algorithm:
        assert make_ha1(composed, "r", composed, algorithm) == make_ha1(
            decomposed, "r", decomposed, algorithm
        )
        assert userhash(composed, "r", algorithm) == userhash(decomposed, "r", algorithm)


def test_a_name_with_a_colon_would_be_ambiguous() -> None:
    with pytest.raises(LocalError):
        make_ha1("bob:example.org", "r", "p", Algorithm.MD5)


def test_an_unknown_algorithm_is_none() -> None:
    assert algorithm_of(Credentials("a", "r", "n", URI, "", algorithm="sha-256")) is Algorithm.SHA_256
    unknown = Credentials("a", "r", "n", URI, "", algorithm="SHA3-256")
    assert algorithm_of(unknown) is None
    with pytest.raises(LocalError):
        request_digest(unknown, "x", "INVITE")


# ---- several realms ----


@pytest.mark.rfc("3261", "22.3")
def test_only_the_credentials_of_our_realm_are_ours() -> None:
    def value(realm: str, name: str) -> str:
        return str(Credentials(name, realm, "n", URI, "00"))

    values = [value("a.example", "alice"), "Basic abc", value("b.example", "bob"), value("a.example", "al")]
    assert [found.username for found in credentials_for("a.example", values)] == ["alice", "al"]
    assert [found.username for found in credentials_for("b.example", values)] == ["bob"]
    assert credentials_for("A.example", values) == []
    with pytest.raises(PeerError):
        credentials_for("a.example", [value("b.example", "x") + ","])
    with pytest.raises(PeerError):
        credentials_for("a.example", values * MAX_CREDENTIALS)


# ---- the uri ----


@pytest.mark.rfc("3261", "19.1.4")
@pytest.mark.rfc("7616", "3.4.6")
@pytest.mark.parametrize(
    ("uri", "request_uri", "exact", "user_host"),
    [
        ("sip:bob@example.org", "sip:bob@example.org", True, True),
        ("sip:%62ob@EXAMPLE.org", "sip:bob@example.org", True, True),
        ("sip:bob@example.org;x=1", "sip:bob@example.org", True, True),
        ("sip:bob@example.org", "sip:bob@example.org:5060", False, True),
        ("sip:bob@example.org", "sip:bob@example.org;transport=tcp", False, True),
        ("sips:bob@example.org", "sip:bob@example.org", False, True),
        ("bob@example.org", "sip:bob@example.org", False, True),
        ("example.org:5060", "sip:example.org", False, True),
        ("sip:Bob@example.org", "sip:bob@example.org", False, False),
        ("sip:alice@example.org", "sip:bob@example.org", False, False),
        ("sip:example.org", "sip:bob@example.org", False, False),
        ("sip:bob@example.net", "sip:bob@example.org", False, False),
        ("tel:+1-201-555-0123", "tel:+12015550123", True, False),
        ("", "sip:bob@example.org", False, False),
        ("*", "sip:bob@example.org", False, False),
    ],
)
def test_the_uri_names_the_resource(uri: str, request_uri: str, exact: bool, user_host: bool) -> None:
    assert same_resource(uri, request_uri) is exact
    assert same_resource(uri, request_uri, UriCheck.USER_HOST) is user_host


# ---- verify ----


def credentials(password: str = "secret", **changes: Any) -> Credentials:
    made = Credentials("bob", "example.org", NONCE, URI, "", "SHA-256", "c", None, "auth", "00000001")
    made = dataclasses.replace(made, **changes)
    known = algorithm_of(made) or Algorithm.MD5
    if "response" not in changes and known.value.lower() == (made.algorithm or "MD5").lower():
        ha1 = make_ha1("bob", "example.org", password, known)
        made.response = request_digest(made, ha1, "INVITE", b"body")
    return made


def judge(given: Credentials, *, known: bool = True, **changes: Any) -> Outcome:
    algorithm = algorithm_of(given) or Algorithm.MD5
    arguments: dict[str, Any] = {
        "method": "INVITE",
        "request_uri": URI,
        "body": b"body",
        "freshness": NONCES.check(given.nonce, NOW, "flow"),
    }
    ha1 = make_ha1("bob", "example.org", "secret", algorithm) if known else None
    return verify(given, ha1, **arguments | changes)


@pytest.mark.parametrize("qop", ["auth", "auth-int", "AUTH"])
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_the_right_password_is_accepted(algorithm: Algorithm, qop: str) -> None:
    assert judge(credentials(algorithm=algorithm, qop=qop), algorithms=list(Algorithm)) is Outcome.OK


def test_each_part_of_the_request_is_covered() -> None:
    good = credentials(qop="auth-int")
    assert judge(good) is Outcome.OK
    assert judge(good, method="REGISTER") is Outcome.WRONG
    assert judge(good, body=b"bodY") is Outcome.WRONG
    assert judge(credentials("Secret")) is Outcome.WRONG
    for name in ("nonce", "cnonce", "nc", "uri"):
        changed = dataclasses.replace(good)
        setattr(changed, name, "00000002")
        outcome = judge(changed, request_uri=changed.uri, freshness=Freshness.FRESH)
        assert outcome is Outcome.WRONG, name


@pytest.mark.rfc("8760", "2.6")
def test_what_is_refused_before_the_password_is_looked_at() -> None:
    assert judge(credentials(response="", nonce="")) is Outcome.UNANSWERED
    assert judge(credentials(algorithm="MD5")) is Outcome.BAD_ALGORITHM
    assert judge(credentials(algorithm=None)) is Outcome.BAD_ALGORITHM
    assert judge(credentials(algorithm="SHA3", response="00")) is Outcome.BAD_ALGORITHM
    assert judge(credentials(algorithm="SHA-256-sess")) is Outcome.BAD_ALGORITHM
    assert judge(credentials(qop=None)) is Outcome.NO_QOP
    assert judge(credentials(qop="auth-conf")) is Outcome.NO_QOP
    assert judge(credentials(uri="sip:carol@example.org")) is Outcome.URI_MISMATCH
    shortened = credentials(uri="bob@example.org")
    assert judge(shortened) is Outcome.URI_MISMATCH
    assert judge(shortened, uri_check=UriCheck.USER_HOST) is Outcome.OK
    assert Algorithm.MD5 not in STRONG


@pytest.mark.rfc("7616", "3.3")
def test_stale_is_said_only_to_who_knows_the_password() -> None:
    for freshness in (Freshness.STALE, Freshness.FORGED):
        assert judge(credentials(), freshness=freshness) is Outcome.STALE
        assert judge(credentials("wrong"), freshness=freshness) is Outcome.WRONG
        assert judge(credentials(), known=False, freshness=freshness) is Outcome.UNKNOWN_USER
    assert Outcome.STALE.stale
    assert not Outcome.STALE.failure
    assert Outcome.WRONG.failure
    assert not Outcome.WRONG.stale


def test_a_replay_is_found_and_a_wrong_password_burns_no_count() -> None:
    window = NcWindow()
    assert judge(credentials("wrong"), window=window) is Outcome.WRONG
    assert judge(credentials(), window=window) is Outcome.OK
    assert judge(credentials(), window=window) is Outcome.REPLAYED
    assert judge(credentials(nc="00000002"), window=window) is Outcome.OK
    assert Outcome.REPLAYED.stale


def test_a_nonce_that_a_full_window_forgot_is_stale() -> None:
    window = NcWindow(limit=1)
    assert judge(credentials(), window=window) is Outcome.OK
    later = NONCES.make(NOW + 1, "flow")
    assert judge(credentials(nonce=later), window=window) is Outcome.OK
    assert judge(credentials(nc="00000002"), window=window) is Outcome.STALE


def test_an_unknown_user_is_never_accepted_and_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = credentials("wrong")
    assert judge(wrong, known=False) is Outcome.UNKNOWN_USER
    made: list[tuple[str, int]] = []
    compare = hmac.compare_digest

    def hashed(data: bytes) -> Any:
        made.append(("hash", len(data)))
        return hashlib.sha256(data)

    def compared(one: Any, other: Any) -> bool:
        made.append(("compare", len(one)))
        return compare(one, other)

    monkeypatch.setitem(digest._NEW, Algorithm.SHA_256, hashed)
    monkeypatch.setattr(hmac, "compare_digest", compared)

    def work(ha1: str | None) -> list[tuple[str, int]]:
        made.clear()
        verify(wrong, ha1, method="INVITE", request_uri=URI, freshness=Freshness.FRESH)
        return made.copy()

    known = work(make_ha1("bob", "example.org", "secret", Algorithm.SHA_256))
    assert work(None) == known
    assert [what for what, _ in known] == ["hash", "hash", "compare"]


def test_the_response_is_compared_as_it_stands() -> None:
    assert judge(credentials(response=credentials().response.upper())) is Outcome.WRONG
    assert judge(credentials(response="\u00e9" * 64)) is Outcome.WRONG
    assert judge(credentials(response="\udcff")) is Outcome.WRONG


@given(
    st.builds(Credentials, *[st.text(max_size=5)] * 5, cnonce=st.text(), qop=st.just("auth"), nc=st.text())
)
def test_no_credentials_of_a_stranger_break_the_check(given: Credentials) -> None:
    assert judge(given, algorithms=list(Algorithm)) in set(Outcome) - {Outcome.OK, Outcome.STALE}


@pytest.mark.rfc("7616", "3.5")
def test_the_server_proves_itself_with_an_empty_method() -> None:
    given = credentials()
    info = authentication_info(given, "x", nextnonce="n2")
    a2 = hashed("sha256", f":{URI}")
    assert info.rspauth == hashed("sha256", f"x:{NONCE}:00000001:c:auth:{a2}")
    assert (info.nextnonce, info.qop, info.cnonce, info.nc) == ("n2", "auth", "c", "00000001")
