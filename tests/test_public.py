"""The public interface: what is named is there, is what type checkers see, and costs nothing until it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import pytest

import ringfence

SOURCE = Path(ringfence.__file__)
ROOT = SOURCE.parents[2]


def seen_by_type_checkers() -> dict[str, str]:
    """The names under TYPE_CHECKING, and where they are imported from."""
    found = {}
    for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If):
            for each in node.body:
                assert isinstance(each, ast.ImportFrom)
                assert each.module is not None
                found |= {alias.name: each.module for alias in each.names}
    return found


@pytest.mark.parametrize("name", ringfence.__all__)
def test_each_name_is_there_and_comes_from_where_type_checkers_think(name: str) -> None:
    home = seen_by_type_checkers()[name]
    assert getattr(ringfence, name) is getattr(import_module(home), name)


def test_the_list_is_complete_and_in_order() -> None:
    assert ringfence.__all__ == sorted(ringfence.__all__)
    assert set(ringfence.__all__) == set(seen_by_type_checkers()) == set(ringfence._HOMES)
    assert set(ringfence.__all__) <= set(dir(ringfence))


def test_what_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        ringfence.Nothing  # noqa: B018


def test_what_others_may_name_of_a_package_exists() -> None:
    for package in ("ringfence.message", "ringfence.client", "ringfence.engine", "ringfence.transport"):
        module = import_module(package)
        assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_a_name_is_imported_when_it_is_used() -> None:
    program = (
        "import sys, ringfence\n"
        "assert not {'sqlalchemy', 'asyncio', 'ringfence.client', 'ringfence.message'} & set(sys.modules)\n"
        "ringfence.parse\n"
        "assert 'ringfence.message' in sys.modules and 'sqlalchemy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_the_package_says_that_it_is_typed() -> None:
    assert files("ringfence").joinpath("py.typed").is_file()


def test_it_runs_as_a_module() -> None:
    words = [sys.executable, "-m", "ringfence", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.startswith("ringfence ")
