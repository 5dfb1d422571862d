"""The header field values of digest authentication."""

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringfence.message import LocalError, PeerError
from ringfence.security.credentials import (
    AuthenticationInfo,
    Challenge,
    Credentials,
    parse_authentication_info,
    parse_challenge,
    parse_credentials,
)

FULL = (
    'Digest username="bob", realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'uri="sip:bob@biloxi.com", qop=auth, nc=0000000a, cnonce="0a4f113b", '
    'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
SHORT = 'Digest username="bob", realm="r", nonce="n", uri="sip:r", response="00"'


@pytest.mark.rfc("3261", "22.2")
def test_credentials_of_rfc_3261() -> None:
    assert parse_credentials(FULL) == Credentials(
        username="bob",
        realm="biloxi.com",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        uri="sip:bob@biloxi.com",
        response="6629fae49393a05397450978507c4ef1",
        cnonce="0a4f113b",
        opaque="5ccc069c403ebaf9f0171e9517f40e41",
        qop="auth",
        nc="0000000a",
    )


def test_count_is_a_number() -> None:
    full, short = parse_credentials(FULL), parse_credentials(SHORT)
    assert full is not None
    assert full.count == 10
    assert short is not None
    assert short.count == 0


@pytest.mark.rfc("3261", "7.3.1")
@pytest.mark.parametrize(
    "text",
    [
        'DIGEST Username="bob",REALM="r" , nonce ="n",\turi= "sip:r",response="00"',
        'digest\r\n username="bob",\r\n realm="r",\r\n\tnonce="n", uri="sip:r", response="00"',
        'Digest username="bob", realm="r", nonce="n", uri="sip:r", response="00", auts="x", q=1',
        'Digest username="b\\ob", realm="r", nonce="n", uri="sip:r", response="00"',
        'Digest username=bob, realm=r, nonce=n, uri="sip:r", response=00',
    ],
)
def test_odd_spelling_is_read_the_same(text: str) -> None:
    assert parse_credentials(text) == parse_credentials(SHORT)


def test_quoted_strings_hold_commas_escapes_and_equal_signs() -> None:
    text = r'Digest username="a,b=\"c\"\\", realm="r, nonce=\"x\"", nonce="n", uri="sip:r;x=1", response="00"'
    credentials = parse_credentials(text)
    assert credentials is not None
    assert credentials.username == 'a,b="c"\\'
    assert credentials.realm == 'r, nonce="x"'
    assert credentials.nonce == "n"


def test_words_that_old_phones_quote() -> None:
    credentials = parse_credentials(
        SHORT + ', qop="auth", algorithm="MD5", nc="00000001", cnonce=abc, userhash="TRUE"'
    )
    assert credentials is not None
    assert (credentials.qop, credentials.algorithm, credentials.count) == ("auth", "MD5", 1)
    assert credentials.userhash


@pytest.mark.rfc("8760", "2.7")
def test_a_client_that_has_not_been_challenged_sends_empty_values() -> None:
    credentials = parse_credentials(
        'Digest username="alice@ims.test", realm="ims.test", nonce="", uri="sip:ims.test", response=""'
    )
    assert credentials is not None
    assert (credentials.nonce, credentials.response) == ("", "")


@pytest.mark.rfc("7616", "3.9.2")
def test_username_in_the_extended_notation() -> None:
    text = SHORT.replace('username="bob"', "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe")
    credentials = parse_credentials(text)
    assert credentials is not None
    assert credentials.username == "J\u00e4s\u00f8n Doe"
    assert parse_credentials(str(credentials)) == credentials


@pytest.mark.rfc("3261", "22")
@pytest.mark.parametrize(
    "text", ["Basic Ym9iOnNlY3JldA==", "NoOneKnowsThisScheme opaque-data=here", "Bearer x.y.z", "Negotiate"]
)
def test_other_schemes_are_no_credentials(text: str) -> None:
    assert parse_credentials(text) is None
    assert parse_challenge(text) is None


@pytest.mark.rfc("7616", "3.4")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "scheme"),
        ("=", "scheme"),
        ('"Digest" username="bob"', "scheme"),
        ("Digest", "malformed"),
        ("Digest ,", "malformed"),
        (SHORT + ",", "malformed"),
        (SHORT + ", ", "malformed"),
        (SHORT + ",,opaque=x", "malformed"),
        (SHORT + ', opaque="x', "malformed"),
        (SHORT + ', opaque="x"y', "malformed"),
        (SHORT + ", opaque=", "malformed"),
        (SHORT + ", opaque", "malformed"),
        (SHORT + ', opaque="\x00"', "malformed"),
        (SHORT + ', opaque="\\\u00e9"', "malformed"),
        (SHORT.replace(", nonce", " nonce"), "malformed"),
        (SHORT.replace('"sip:r"', "sip:bob@r"), "malformed"),
        (SHORT + ', realm="r"', "repeated parameter realm"),
        (SHORT + ', Realm="r"', "repeated parameter realm"),
        (SHORT + ", x=1, X=1", "repeated parameter x"),
        (SHORT.replace('username="bob", ', ""), "no username"),
        (SHORT.replace(' realm="r",', ""), "no realm"),
        (SHORT.replace(' nonce="n",', ""), "no nonce"),
        (SHORT.replace(' uri="sip:r",', ""), "no uri"),
        (SHORT.replace(', response="00"', ""), "no response"),
        (SHORT + ", username*=UTF-8''bob", "both username and username*"),
        (SHORT.replace('username="bob"', "username*=bob"), "username*"),
        (SHORT.replace('username="bob"', "username*=UTF-8''%C3"), "username*"),
        (SHORT.replace('username="bob"', "username*=ISO-8859-1''%E4"), "username*"),
        (SHORT + ', qop=auth, cnonce="c"', "qop without"),
        (SHORT + ", qop=auth, nc=00000001", "qop without"),
        (SHORT + ', qop=auth, nc=1, cnonce="c"', "nc is not eight"),
        (SHORT + ', qop=auth, nc=000000001, cnonce="c"', "nc is not eight"),
        (SHORT + ', qop=auth, nc=0000000g, cnonce="c"', "nc is not eight"),
        (SHORT + ', qop=auth, nc="00000001\n", cnonce="c"', "malformed"),
    ],
)
def test_malformed_credentials_are_answered_400(text: str, reason: str) -> None:
    with pytest.raises(PeerError) as caught:
        parse_credentials(text, "Proxy-Authorization")
    assert caught.value.status == 400
    assert caught.value.header == "Proxy-Authorization"
    assert reason in caught.value.reason


@pytest.mark.parametrize("filler", ["a", "=", '"', "\\", ",", " ", "a=", 'a="', 'a="b",', "\u00e9", 'a="\\'])
def test_a_long_malformed_value_costs_linear_time(filler: str) -> None:
    # 400 kB: a reader that looked at each character from each other one would take minutes.
    value = filler * (400_000 // len(filler)) + "\x00"
    for text in (value, "Digest " + value, SHORT + ", " + value):
        with pytest.raises(PeerError):
            parse_credentials(text)


@pytest.mark.rfc("3261", "22.2")
def test_challenge_of_rfc_3261() -> None:
    text = (
        'Digest realm="biloxi.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    assert parse_challenge(text) == Challenge(
        "biloxi.com",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        qop=("auth", "auth-int"),
        opaque="5ccc069c403ebaf9f0171e9517f40e41",
    )


@pytest.mark.rfc("7616", "3.3")
def test_challenge_parameters_are_quoted_as_the_rfc_says() -> None:
    challenge = Challenge(
        "a",
        "n",
        "SHA-256",
        qop=("auth", "auth-int"),
        opaque="o",
        stale=True,
        domain="sip:a sip:b",
        charset="UTF-8",
        userhash=True,
    )
    assert str(challenge) == (
        'Digest realm="a", domain="sip:a sip:b", nonce="n", opaque="o", stale=true, algorithm=SHA-256, '
        'qop="auth,auth-int", charset=UTF-8, userhash=true'
    )
    assert parse_challenge(str(challenge)) == challenge


def test_challenge_of_an_old_server() -> None:
    challenge = parse_challenge('Digest realm="a", nonce="n", stale=FALSE, algorithm="md5", qop=""')
    assert challenge == Challenge("a", "n", "md5", qop=())


@pytest.mark.parametrize("text", ['Digest nonce="n"', 'Digest realm="a"', "Digest realm", ""])
def test_malformed_challenges_are_the_peers_fault(text: str) -> None:
    with pytest.raises(PeerError):
        parse_challenge(text)


@pytest.mark.rfc("7616", "3.5")
def test_authentication_info() -> None:
    text = 'nextnonce="n2", qop=auth, rspauth="ab", cnonce="c", nc=00000001'
    info = parse_authentication_info(text)
    assert info == AuthenticationInfo("n2", "auth", "ab", "c", "00000001")
    assert str(info) == text
    for bad in ("", "nc=1", "qop", "qop=auth, qop=auth"):
        with pytest.raises(PeerError):
            parse_authentication_info(bad)


def test_nothing_that_would_break_the_header_field_is_written() -> None:
    with pytest.raises(LocalError):
        str(Challenge("a\r\nVia: x", "n"))
    with pytest.raises(LocalError):
        str(Challenge("a", "n", "MD5, x=y"))
    with pytest.raises(LocalError):
        str(Challenge("a", "n", "MD5\r\nVia: x"))


def test_the_response_stays_out_of_logs() -> None:
    assert "6629fae4" not in repr(parse_credentials(FULL))


# ---- properties ----

QUOTED = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
WORD = st.text("abcXYZ012-.!%*_+`'~", min_size=1, max_size=8)
NONCE_COUNT = st.integers(0, 2**32 - 1).map(lambda number: f"{number:08x}")
CREDENTIALS = st.builds(
    Credentials,
    username=QUOTED,
    realm=QUOTED,
    nonce=QUOTED,
    uri=QUOTED,
    response=QUOTED,
    algorithm=st.none() | WORD,
    cnonce=QUOTED,
    opaque=st.none() | QUOTED,
    qop=st.none() | WORD,
    nc=NONCE_COUNT,
    userhash=st.booleans(),
    extended=st.booleans(),
)
PIECE = (
    'username realm nonce uri response qop nc cnonce algorithm opaque username* x = = = , , " \\ auth Digest '
    'digest 00000001 UTF-8\'\'a%20 "a" "b\\" \x00 \u00e9'
)
SPACED = [" ", "\t", "\r\n ", ', realm="r"', ', uri="u"']
PIECES = st.lists(st.sampled_from(PIECE.split(" ") + SPACED), max_size=24).map("".join)


@given(CREDENTIALS)
def test_credentials_survive_writing_and_reading(credentials: Credentials) -> None:
    assert parse_credentials(str(credentials)) == credentials


@given(
    st.builds(
        Challenge,
        realm=QUOTED,
        nonce=QUOTED,
        algorithm=st.none() | WORD,
        qop=st.lists(st.sampled_from(["auth", "auth-int", "x"])).map(tuple),
        opaque=st.none() | QUOTED,
        stale=st.booleans(),
        domain=st.none() | QUOTED,
        charset=st.none() | WORD,
        userhash=st.booleans(),
    )
)
def test_challenges_survive_writing_and_reading(challenge: Challenge) -> None:
    assert parse_challenge(str(challenge)) == challenge


@given(st.text() | PIECES | PIECES.map("Digest {}".format) | PIECES.map((SHORT + ", {}").format))
@example('Digest username="a", realm="b", nonce="c", uri="d", response="e",')
@settings(max_examples=300)
def test_any_text_gives_a_value_or_none_or_a_peer_error(text: str) -> None:
    for parse in (parse_credentials, parse_challenge, parse_authentication_info):
        with contextlib.suppress(PeerError):
            parse(text)


def outcome(text: str) -> Credentials | str | None:
    try:
        return parse_credentials(text)
    except PeerError as error:
        return error.reason


@given(CREDENTIALS.map(str) | PIECES.map("Digest {}".format) | PIECES.map((SHORT + ", {}").format))
@example(FULL)
@example(SHORT + ', qop=auth, nc=00000001, cnonce="c"')
@settings(max_examples=300)
def test_both_readers_agree(text: str) -> None:
    # Only the full grammar reads a scheme in lower case.
    assert outcome(text) == outcome("digest" + text.removeprefix("Digest"))
