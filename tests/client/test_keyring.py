"""Which challenges are answered, and which are not."""

from __future__ import annotations

from itertools import count

import pytest

from ringfence.client.account import make_account
from ringfence.client.errors import RequestFailed
from ringfence.client.keyring import Keyring
from ringfence.message import Headers, Request, Response
from ringfence.security.credentials import Challenge, Credentials, parse_credentials
from ringfence.security.digest import Algorithm, authentication_info, make_ha1, verify
from ringfence.security.nonces import Freshness

PASSWORD = "secret"


def keyring(**settings: object) -> Keyring:
    numbers = count()
    settings.setdefault("password", PASSWORD)
    account = make_account("sip:alice@example.org", **settings)  # type: ignore[arg-type]
    return Keyring(account, lambda: f"cnonce{next(numbers)}")


def request(method: str = "REGISTER") -> Request:
    return Request(method, "sip:example.org", Headers([("CSeq", f"1 {method}")]))


def challenge(
    realm: str = "example.org",
    nonce: str = "n1",
    algorithm: Algorithm = Algorithm.SHA_256,
    *,
    stale: bool = False,
    proxy: bool = False,
) -> Response:
    name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
    value = Challenge(realm, nonce, stale=stale, algorithm=algorithm)
    return Response(407 if proxy else 401, None, Headers([(name, str(value))]))


def credentials(made: Request, header: str = "Authorization") -> Credentials:
    found = parse_credentials(made.headers.get(header) or "")
    assert found is not None
    return found


@pytest.mark.rfc("7616", "3.4")
def test_a_challenge_is_answered_and_remembered() -> None:
    keys = keyring()
    assert not keys.authorize(request())
    assert keys.challenged(challenge(), {}, set()) is None
    for number in (1, 2):
        made = request()
        keys.authorize(made)
        shown = credentials(made)
        assert shown.count == number
        ha1 = make_ha1("alice", "example.org", PASSWORD, Algorithm.SHA_256)
        assert (
            verify(shown, ha1, method="REGISTER", request_uri="sip:example.org", freshness=Freshness.FRESH)
            == "ok"
        )


@pytest.mark.rfc("3261", "22.3")
def test_a_proxy_and_a_registrar_have_fields_of_their_own() -> None:
    keys = keyring()
    keys.challenged(challenge(), {}, set())
    keys.challenged(challenge(proxy=True), {}, set())
    made = request()
    keys.authorize(made)
    assert {"Authorization", "Proxy-Authorization"} <= set(made.headers.names)


@pytest.mark.rfc("3261", "22.1")
@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_what_cannot_be_challenged_shows_nothing_by_itself(method: str) -> None:
    keys = keyring()
    keys.challenged(challenge(), {}, set())
    made = request(method)
    assert not keys.authorize(made)


def test_a_wrong_password_is_not_tried_again() -> None:
    keys = keyring()
    answered: set[tuple[str, str]] = set()
    assert keys.challenged(challenge(), {}, answered) is None
    shown = keys.authorize(request())
    assert "wrong" in (keys.challenged(challenge(nonce="n2"), shown, answered) or "")
    assert not keys.authorize(request())


@pytest.mark.rfc("7616", "3.3")
def test_a_stale_nonce_is_replaced() -> None:
    keys = keyring()
    answered: set[tuple[str, str]] = set()
    keys.challenged(challenge(), {}, answered)
    shown = keys.authorize(request())
    assert keys.challenged(challenge(nonce="n2", stale=True), shown, answered) is None
    made = request()
    keys.authorize(made)
    assert (credentials(made).nonce, credentials(made).count) == ("n2", 1)


def test_an_old_nonce_that_the_server_has_forgotten_is_replaced_once() -> None:
    """Servers that know no ``stale`` challenge anew; only the second time the password is to blame."""
    keys = keyring()
    keys.challenged(challenge(), {}, set())
    keys.authorize(request())
    shown = keys.authorize(request())
    answered: set[tuple[str, str]] = set()
    assert keys.challenged(challenge(nonce="n2"), shown, answered) is None
    shown = keys.authorize(request())
    assert keys.challenged(challenge(nonce="n3"), shown, answered) is not None


@pytest.mark.rfc("8760", "2.4")
def test_the_strongest_algorithm_on_top_is_taken_and_md5_is_not() -> None:
    keys = keyring()
    assert keys.challenged(challenge(algorithm=Algorithm.MD5), {}, set()) is not None
    allowing = keyring(algorithms=tuple(Algorithm))
    assert allowing.challenged(challenge(algorithm=Algorithm.MD5), {}, set()) is None


def test_only_the_first_realm_that_asks_is_answered() -> None:
    keys = keyring()
    assert keys.challenged(challenge("example.org"), {}, set()) is None
    assert "evil" in (keys.challenged(challenge("evil", proxy=True), {}, set()) or "")


def test_realms_can_be_named() -> None:
    keys = keyring(realms=frozenset({"a", "b"}))
    assert keys.challenged(challenge("a"), {}, set()) is None
    assert keys.challenged(challenge("b", proxy=True), {}, set()) is None
    assert keys.challenged(challenge("example.org"), {}, set()) is not None


def test_a_stored_hash_in_place_of_the_password() -> None:
    ha1 = make_ha1("alice", "example.org", PASSWORD, Algorithm.SHA_256)
    keys = keyring(password=None, ha1={"SHA-256": ha1})
    assert keys.challenged(challenge(algorithm=Algorithm.SHA_512_256), {}, set()) is not None
    assert keys.challenged(challenge(), {}, set()) is None
    assert keys.authorize(request())


@pytest.mark.rfc("7616", "3.5")
def test_the_server_has_to_know_the_password_too() -> None:
    keys = keyring()
    keys.challenged(challenge(), {}, set())
    made = request()
    shown = keys.authorize(made)
    for password, good in ((PASSWORD, True), ("other", False)):
        ha1 = make_ha1("alice", "example.org", password, Algorithm.SHA_256)
        info = authentication_info(credentials(made), ha1)
        response = Response(200, None, Headers([("Authentication-Info", str(info))]))
        if good:
            keys.confirm(response, shown)
        else:
            with pytest.raises(RequestFailed, match="does not know"):
                keys.confirm(response, shown)


@pytest.mark.rfc("7616", "3.5")
def test_the_next_nonce_is_used_next() -> None:
    keys = keyring()
    keys.challenged(challenge(), {}, set())
    shown = keys.authorize(request())
    keys.confirm(Response(200, None, Headers([("Authentication-Info", 'nextnonce="n9"')])), shown)
    made = request()
    keys.authorize(made)
    assert (credentials(made).nonce, credentials(made).count) == ("n9", 1)


def test_a_malformed_proof() -> None:
    keys = keyring()
    keys.challenged(challenge(), {}, set())
    shown = keys.authorize(request())
    with pytest.raises(RequestFailed, match="malformed"):
        keys.confirm(Response(200, None, Headers([("Authentication-Info", "rspauth=")])), shown)


def test_what_the_registrar_asked_for_is_shown_to_no_callee() -> None:
    keys = keyring()
    asked = challenge()
    asked.headers.add("CSeq", "1 REGISTER")
    keys.challenged(asked, {}, set())
    made = request("INVITE")
    assert not keys.authorize(made)
    assert "Authorization" not in made.headers
    again = request()
    keys.authorize(again)
    assert credentials(again).count == 1
