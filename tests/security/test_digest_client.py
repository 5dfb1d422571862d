"""Digest authentication: the client's side."""

import dataclasses
from typing import Any

import pytest

from ringfence.message import LocalError
from ringfence.security.credentials import (
    AuthenticationInfo,
    Challenge,
    Credentials,
    parse_challenge,
    parse_credentials,
)
from ringfence.security.digest import (
    Algorithm,
    Outcome,
    authentication_info,
    make_ha1,
    verify,
)
from ringfence.security.digest_client import answer, choose, proves_server
from ringfence.security.nonces import Freshness

CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


def challenge(**changes: Any) -> Challenge:
    return dataclasses.replace(Challenge("example.org", "n", "SHA-256"), **changes)


@pytest.mark.rfc("7616", "3.9.1")
def test_the_example_of_rfc_7616_is_answered() -> None:
    chosen = choose([RFC_7616, RFC_7616.replace("SHA-256", "MD5")])
    credentials = answer(
        chosen[0],
        method="GET",
        uri="/dir/index.html",
        username="Mufasa",
        password="Circle of Life",
        cnonce=CNONCE,
    )
    assert str(credentials) == (
        'Digest username="Mufasa", realm="http-auth@example.org", '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", uri="/dir/index.html", '
        'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", algorithm=SHA-256, '
        f'cnonce="{CNONCE}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", qop=auth, nc=00000001'
    )


@pytest.mark.rfc("7616", "3.9.2")
def test_the_name_is_hidden_where_the_server_can_read_that() -> None:
    asked = parse_challenge(
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
        'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
        'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true'
    )
    assert asked is not None
    arguments: dict[str, Any] = {
        "method": "GET",
        "uri": "/doe.json",
        "username": "J\u00e4s\u00f8n Doe",
        "password": "Secret, or not?",
        "cnonce": "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    }
    credentials = answer(asked, **arguments)
    # Both values are those of erratum 4897.
    assert credentials.username == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert credentials.response == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    assert str(credentials).endswith("userhash=true")

    open_name = answer(dataclasses.replace(asked, userhash=False), **arguments)
    assert open_name.response == credentials.response
    assert str(open_name).startswith("Digest username*=UTF-8''J%C3%A4s%C3%B8n%20Doe, ")


@pytest.mark.rfc("8760", "2.4")
def test_the_topmost_supported_challenge_of_each_realm_is_chosen() -> None:
    values = [
        str(challenge(algorithm="SHA3-256")),
        str(challenge(algorithm="SHA-512-256", realm="b")),
        str(challenge(algorithm="sha-256")),
        str(challenge(algorithm="MD5", realm="b")),
        str(challenge(algorithm="SHA-512-256")),
    ]
    assert [(each.realm, each.algorithm) for each in choose(values)] == [
        ("b", "SHA-512-256"),
        ("example.org", "sha-256"),
    ]
    assert [each.algorithm for each in choose(values, {Algorithm.MD5})] == ["MD5"]


@pytest.mark.rfc("8760", "2.4")
def test_what_is_not_understood_is_ignored() -> None:
    values = [
        'Basic realm="example.org"',
        'Digest realm="example.org"',
        str(challenge(qop=("auth-conf",))),
        str(challenge(algorithm="MD5-sess", qop=())),
    ]
    assert choose(values) == []
    assert [each.nonce for each in choose([*values, str(challenge(nonce="good"))])] == ["good"]


def test_every_algorithm_is_answered_as_the_server_computes_it() -> None:
    for algorithm in Algorithm:
        for integrity in (False, True):
            credentials = answer(
                challenge(algorithm=str(algorithm), qop=("auth", "auth-int")),
                method="INVITE",
                uri="sip:bob@example.org",
                username="alice",
                password="secret",
                cnonce="c",
                body=b"v=0",
                count=16,
                integrity=integrity,
            )
            received = parse_credentials(str(credentials))
            assert received is not None
            assert received.qop == ("auth-int" if integrity else "auth")
            assert received.nc == "00000010"
            outcome = verify(
                received,
                make_ha1("alice", "example.org", "secret", algorithm),
                method="INVITE",
                request_uri="sip:bob@example.org",
                body=b"v=0",
                freshness=Freshness.FRESH,
                algorithms=list(Algorithm),
            )
            assert outcome is Outcome.OK


def test_only_auth_int_is_answered_with_auth_int() -> None:
    assert ask(challenge(qop=("auth-int",))).qop == "auth-int"
    assert ask(challenge(qop=("auth",)), integrity=True).qop == "auth"


def ask(asked: Challenge, **changes: Any) -> Credentials:
    arguments = {"method": "INVITE", "uri": "sip:b@c", "username": "a", "password": "p", "cnonce": "c"}
    return answer(asked, **arguments | changes)


@pytest.mark.rfc("2617", "3.2.2")
def test_a_server_of_rfc_2069_gets_no_qop_and_no_cnonce() -> None:
    text = str(ask(challenge(algorithm=None, qop=())))
    assert "qop" not in text
    assert "cnonce" not in text
    assert "nc=" not in text
    assert "algorithm" not in text


def test_a_stored_hash_serves_instead_of_the_password() -> None:
    ha1 = make_ha1("a", "example.org", "p", Algorithm.SHA_256)
    assert ask(challenge(), password=None, ha1=ha1) == ask(challenge())


def test_misuse_is_our_own_error() -> None:
    with pytest.raises(LocalError):
        ask(challenge(), password=None)
    with pytest.raises(LocalError):
        ask(challenge(), ha1="00")
    with pytest.raises(LocalError):
        ask(challenge(algorithm="SHA3-256"))
    with pytest.raises(LocalError):
        ask(challenge(qop=("auth-conf",)))


@pytest.mark.rfc("7616", "3.5")
def test_a_server_that_knows_the_secret_is_told_from_one_that_does_not() -> None:
    credentials = ask(challenge())
    ha1 = make_ha1("a", "example.org", "p", Algorithm.SHA_256)
    info = authentication_info(credentials, ha1)
    assert proves_server(info, credentials, ha1)
    assert not proves_server(authentication_info(credentials, "00"), credentials, ha1)
    assert not proves_server(AuthenticationInfo(nextnonce="n2"), credentials, ha1)
    # The proof of an earlier request is no proof for this one.
    assert not proves_server(info, ask(challenge(), count=2), ha1)


@pytest.mark.rfc("7616", "3.5")
def test_with_auth_int_the_body_of_the_response_is_covered() -> None:
    credentials = ask(challenge(qop=("auth-int",)))
    info = authentication_info(credentials, "x", body=b"v=0")
    assert proves_server(info, credentials, "x", b"v=0")
    assert not proves_server(info, credentials, "x", b"v=1")
