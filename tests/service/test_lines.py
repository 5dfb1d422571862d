"""Where keys stand in a TOML text."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.service.lines import line_of, locate

TEXT = '''\
# a comment [not.a.table]
top = 1

[domain]   # behind
name = "a # not a comment"
"quoted key" = 'x'
aliases = [
  "one",  # ]
  "two",
  """three
and four""",
  ["five", "six"],
]
dotted.key = { inner = 1, other = [1, 2] }

[[listen]]
port = 1
[[listen]]
port = 2
[listen.deep]
x = \'\'\'
port = 9
\'\'\'
last = 3
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("domain",), 4),
        (("domain", "name"), 5),
        (("domain", "quoted key"), 6),
        (("domain", "aliases"), 7),
        (("domain", "aliases", 0), 8),
        (("domain", "aliases", 1), 9),
        (("domain", "aliases", 2), 10),
        (("domain", "aliases", 3), 12),
        (("domain", "dotted", "key"), 14),
        (("listen", 0), 16),
        (("listen", 0, "port"), 17),
        (("listen", 1), 18),
        (("listen", 1, "port"), 19),
        (("listen", 1, "deep"), 20),
        (("listen", 1, "deep", "x"), 21),
        (("listen", 1, "deep", "last"), 24),
    ],
)
def test_every_kind_of_place_is_found(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TEXT)
    assert locate(TEXT)[path] == line


def test_a_path_that_is_not_there_has_the_line_of_its_nearest_part() -> None:
    places = locate(TEXT)
    assert line_of(places, ("listen", 1, "transport")) == 18
    assert line_of(places, ("domain", "dotted", "key", "inner")) == 14
    assert line_of(places, ("absent", "key")) is None
    assert line_of(places, ()) is None


def test_windows_line_ends_count_once() -> None:
    assert locate("a = 1\r\n[b]\r\nc = 2\r\n") == {("a",): 1, ("b",): 2, ("b", "c"): 3}


names = st.text("abcdefgh", min_size=1, max_size=4)
values = st.sampled_from(["1", '"x"', "'#'", "[1,\n2]", '"""\n[x]\n"""', "{ a = 1 }", "true", "[]", '["]"]'])


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(names, st.dictionaries(names, values, max_size=4), max_size=4))
def test_every_key_that_tomllib_reads_has_the_line_it_was_written_on(
    tables: dict[str, dict[str, str]],
) -> None:
    lines: list[str] = []
    expected = {}
    for table, keys in tables.items():
        expected[(table,)] = len(lines) + 1
        lines.append(f"[{table}]")
        for key, value in keys.items():
            expected[(table, key)] = len(lines) + 1
            lines += f"{key} = {value}".split("\n")
    text = "\n".join(lines)
    tomllib.loads(text)
    found = locate(text)
    assert {path: found[path] for path in expected} == expected
