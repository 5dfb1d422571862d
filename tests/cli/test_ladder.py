"""The ladder: a pure function from arrows to text."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from ringfence.cli.ladder import Arrow, Ladder, draw

CALL = [
    Arrow(10.0, "alice", "example.org", "INVITE bob", secure=True),
    Arrow(10.01, "example.org", "alice", "407 Proxy Authentication Required", secure=True, status=407),
    Arrow(10.5, "example.org", "bob", "INVITE bob"),
    Arrow(11.25, "bob", "alice", "200 OK", status=200, note="UDP"),
]


def test_a_call_is_drawn() -> None:
    assert draw(CALL, title="A call", width=80).plain.splitlines() == [
        "A call",
        "        alice                      example.org                       bob",
        "   0.000  │────── INVITE bob 🔒 ───────▶│                             │",
        "   0.010  │◀─ 407 Proxy Authentic… 🔒 ──│                             │",
        "   0.500  │                             │──────── INVITE bob ────────▶│",
        "   1.250  │◀───────────────────────── 200 OK ─────────────────────────│  UDP",
    ]


def test_columns_stand_in_the_order_that_is_asked_for() -> None:
    header = draw(CALL, ["bob", "example.org", "alice"]).plain.splitlines()[0]
    assert header.split() == ["bob", "example.org", "alice"]


def test_a_ladder_that_grows_draws_its_header_anew_for_each_column() -> None:
    ladder = Ladder(width=100)
    drawn = [ladder.rows(arrow).plain.splitlines() for arrow in CALL]
    assert [len(lines) for lines in drawn] == [2, 1, 2, 1]
    assert drawn[2][0].split() == ["alice", "example.org", "bob"]


def test_direction_and_lock_are_seen() -> None:
    rows = draw(CALL).plain.splitlines()[1:]
    assert ["▶" in row for row in rows] == [True, False, True, False]
    assert ["◀" in row for row in rows] == [False, True, False, True]
    assert ["🔒" in row for row in rows] == [True, True, False, False]


def test_a_message_to_oneself_has_an_arrow_too() -> None:
    assert "─ loop ─" in draw([Arrow(0, "a", "a", "loop")]).plain


def test_nothing_is_drawn_for_nothing() -> None:
    assert draw([]).plain == ""


names = st.sampled_from(["a", "alice@example.org", "[2001:db8::1]:5061", "日本", "x" * 60])
arrows = st.builds(
    Arrow,
    st.floats(0, 1000),
    names,
    names,
    st.text(max_size=60),
    st.booleans(),
    st.none() | st.integers(100, 699),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(arrows, max_size=12), st.integers(20, 200))
def test_whatever_is_drawn_every_row_is_one_line_with_the_columns_below_each_other(
    drawn: list[Arrow], width: int
) -> None:
    lines = draw(drawn, width=width).plain.split("\n")
    assert len(lines) == len(drawn) + 1
    assert all(line.isprintable() for line in lines)
    for line, arrow in zip(lines[1:], drawn, strict=True):
        edges = [cell_len(line[:place]) for place, character in enumerate(line) if character == "│"]
        gaps = {right - left for left, right in pairwise(edges)}
        smallest = min(gaps, default=1)
        assert arrow.source == arrow.target or all(gap % smallest == 0 for gap in gaps)
