"""The rules of privacy: one table, and the values that are asked for (RFC 3323, RFC 3325, RFC 5379, RFC 7044)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import Headers, PeerError
from ringfence.message.fields import REGISTRY
from ringfence.security.privacy import (
    BRIDGED,
    HARMLESS,
    LEVELS,
    OTHERS,
    TABLE,
    Privacy,
    Treatment,
    passed,
    settle,
    treatment_of,
    trimmed,
    wish_of,
)

USER = frozenset({Privacy.USER})
HEADER = frozenset({Privacy.HEADER})


def headers(*fields: tuple[str, str]) -> Headers:
    return Headers(fields)


# -- what is asked for ---------------------------------------------------------------------------------


@pytest.mark.rfc("3323", "4.2")
def test_values_are_read() -> None:
    wish = wish_of(headers(("Privacy", "User;session; critical")))
    assert (wish.values, wish.critical, wish.none) == (frozenset({"user", "session"}), True, False)


def test_unknown_values_are_kept_apart() -> None:
    wish = wish_of(headers(("Privacy", "ghost;user;spirit")))
    assert (wish.values, wish.unknown) == (frozenset({"user"}), ("ghost", "spirit"))


def test_an_account_s_own_wishes_come_on_top() -> None:
    assert wish_of(headers(("Privacy", "id")), USER).values == {"id", "user"}
    assert wish_of(headers(), USER).values == {"user"}
    assert wish_of(headers(("Privacy", "none")), USER).values == frozenset()


@pytest.mark.rfc("3323", "4.2")
@pytest.mark.parametrize("text", ["none;user", "none;critical", "user;;id", "us er"])
def test_nobody_guesses_what_was_meant(text: str) -> None:
    with pytest.raises(PeerError) as caught:
        wish_of(headers(("Privacy", text)))
    assert caught.value.status == 400


# -- what has been done --------------------------------------------------------------------------------


@pytest.mark.rfc("3323", "5")
@pytest.mark.parametrize(
    ("asked", "done", "left"),
    [
        ("user;header", ("user",), "header"),
        ("user", ("user",), None),
        ("user;critical", ("user",), None),
        ("user;id;critical", ("user",), "id;critical"),
    ],
)
def test_what_has_been_done_is_taken_off(asked: str, done: tuple[str, ...], left: str | None) -> None:
    fields = headers(("Privacy", asked), ("Proxy-Require", "privacy, other"))
    settle(fields, done)
    assert fields.get("Privacy") == left
    assert fields.get("Proxy-Require") == ("privacy, other" if left else "other")


def test_the_option_may_have_been_alone() -> None:
    fields = headers(("Privacy", "user"), ("Proxy-Require", "privacy"))
    settle(fields, ("user",))
    assert len(fields) == 0


# -- the table -----------------------------------------------------------------------------------------


def test_every_row_says_why() -> None:
    assert all(row.why and row.values <= LEVELS for row in TABLE.values())
    assert all((row.treatment is Treatment.KEEP) == (row.name in HARMLESS) for row in TABLE.values())


@pytest.mark.rfc("3323", "5.3")
@pytest.mark.parametrize(
    "name", ["Subject", "Call-Info", "Organization", "User-Agent", "Reply-To", "In-Reply-To", "Server"]
)
def test_what_the_rfc_names_is_removed_for_user_privacy(name: str) -> None:
    assert treatment_of(name, USER) is Treatment.REMOVE
    assert treatment_of(name, HEADER) is Treatment.KEEP


@pytest.mark.rfc("3323", "5.1")
@pytest.mark.parametrize("name", ["Via", "Contact", "Record-Route", "Call-ID"])
@pytest.mark.parametrize("value", sorted(BRIDGED))
def test_what_leads_to_the_party_is_replaced(name: str, value: str) -> None:
    assert treatment_of(name, frozenset({value})) is Treatment.REPLACE


@pytest.mark.rfc("3325", "9.3")
def test_the_asserted_identity_goes_for_id() -> None:
    assert treatment_of("P-Asserted-Identity", frozenset({"id"})) is Treatment.REMOVE
    assert treatment_of("P-Asserted-Identity", frozenset({"session"})) is Treatment.KEEP


@pytest.mark.rfc("7044", "10.1.2")
def test_history_is_made_anonymous_for_history_and_header() -> None:
    for value, expected in (
        ("history", Treatment.ANONYMOUS),
        ("header", Treatment.ANONYMOUS),
        ("id", Treatment.KEEP),
    ):
        assert treatment_of("History-Info", frozenset({value})) is expected


def test_what_nobody_knows_does_not_pass() -> None:
    assert treatment_of("X-Anything", USER) is OTHERS.treatment is Treatment.REMOVE
    assert treatment_of("X-Anything", HEADER) is Treatment.KEEP


def test_a_field_that_is_copied_is_copied_as_it_stands() -> None:
    fields = headers(("Event", "presence;id=1"), ("Subject", "me"), ("Via", "SIP/2.0/UDP h;branch=b"))
    assert passed(fields, USER) == [("Event", "presence;id=1")]
    assert passed(fields, HEADER) == [("Event", "presence;id=1"), ("Subject", "me")]


def test_codes_stay_and_texts_go() -> None:
    assert trimmed("Reason", "alice;cause=1") == ""
    assert passed(headers(("History-Info", "<sip:a@b>;index=1.1;rc=alice;np=1")), LEVELS) == [
        ("History-Info", "<sip:anonymous@anonymous.invalid>;index=1.1;np=1")
    ]
    assert trimmed("Reason", 'Q.850;cause=16;text="alice", SIP;cause=200') == "Q.850;cause=16, SIP;cause=200"
    assert trimmed("Retry-After", "120 (alice is out);duration=9") == "120"


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from(sorted(set(REGISTRY) - set(HARMLESS))),
                st.from_regex(r"X-[a-zA-Z]{1,8}", fullmatch=True),
            ),
            st.text('leak <>;=,"@:.1', min_size=1, max_size=30).map(lambda text: f"leak{text}leak"),
        ),
        max_size=8,
    )
)
def test_whatever_is_written_into_a_field_that_may_name_somebody_stays_behind(
    fields: list[tuple[str, str]],
) -> None:
    try:
        kept = passed(headers(*fields), LEVELS)
    except PeerError:
        return
    assert not [value for _, value in kept if "leak" in value]
