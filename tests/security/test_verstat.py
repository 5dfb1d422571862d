"""The mark that tells a phone that the caller was verified: where it stands, and that a stranger can't set it."""

from __future__ import annotations

import pytest

from ringfence.message import NameAddr, parse_uri
from ringfence.security.canonical import identity_of
from ringfence.security.verstat import Verstat, verstat_of, with_verstat, without_verstat

PASSED = "TN-Validation-Passed"


@pytest.mark.parametrize(
    ("plain", "marked"),
    [
        ("tel:+12155551212", f"tel:+12155551212;verstat={PASSED}"),
        (
            "sip:+12155551212@example.net;user=phone",
            f"sip:+12155551212;verstat={PASSED}@example.net;user=phone",
        ),
        ("sip:alice@example.net", f"sip:alice@example.net;verstat={PASSED}"),
        ("sips:alice@example.net;x=y", f"sips:alice@example.net;x=y;verstat={PASSED}"),
    ],
)
def test_a_mark_is_set_and_removed(plain: str, marked: str) -> None:
    address = with_verstat(NameAddr(parse_uri(plain), "Alice"), Verstat.PASSED)
    assert str(address.uri) == marked
    assert address.display == "Alice"
    assert verstat_of(parse_uri(marked)) == PASSED
    assert str(without_verstat(parse_uri(marked))) == plain
    assert identity_of(parse_uri(marked)) == identity_of(parse_uri(plain))


@pytest.mark.parametrize(
    "forged",
    [
        f"sip:+12155551212;VERSTAT={PASSED}@example.net;user=phone",
        f"sip:+12155551212;ext=1;verstat={PASSED};verstat=x@example.net",
        f"sip:alice@example.net;Verstat={PASSED}",
        f"sip:a;verstat={PASSED}@example.net;verstat={PASSED}",
        f"tel:+12155551212;verstat={PASSED}",
        "sip:alice@example.net;verstat",
        f"sip:alice@example.net;ver%73tat={PASSED}",
        f"sip:+1;%56erstat={PASSED}@example.net",
    ],
)
def test_no_spelling_of_a_forged_mark_survives(forged: str) -> None:
    cleaned = without_verstat(parse_uri(forged))
    assert verstat_of(cleaned) is None
    assert "verstat" not in str(cleaned).lower()


def test_a_mark_replaces_the_one_before() -> None:
    address = NameAddr(parse_uri(f"sip:+1215;verstat={PASSED}@example.net;user=phone"))
    assert str(with_verstat(address, Verstat.FAILED).uri) == (
        "sip:+1215;verstat=TN-Validation-Failed@example.net;user=phone"
    )


@pytest.mark.parametrize("text", ["sip:alice@example.net", "tel:112", "urn:service:sos", "sip:example.net"])
def test_what_has_no_mark_stays_the_same_object(text: str) -> None:
    uri = parse_uri(text)
    assert without_verstat(uri) is uri
