"""The pages say what the tree has: generated ones are current; files, functions, commands and options exist."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ringfence.cli.app import build

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "ringfence"
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
PLACES = (ROOT, SOURCE, ROOT / "tests", ROOT / "docs")
"""Where a path in a page may start."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.mark.parametrize(
    ("script", "page"),
    [
        ("rfc_status", "rfc-status"),
        ("command_line", "command-line"),
        ("configuration", "configuration"),
        ("privacy_table", "privacy"),
        ("python_api", "python-api"),
    ],
)
def test_a_generated_page_is_current(script: str, page: str) -> None:
    made = runpy.run_path(str(ROOT / "scripts" / f"{script}.py"))["page"]()
    written = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert written == made, f"run: make docs (scripts/{script}.py)"


# -- paths ---------------------------------------------------------------------------------------------


def quoted(page: Path) -> Iterator[str]:
    """What stands between backquotes in running text."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", text)


def is_there(path: str) -> bool:
    candidates = (path, f"{path}.py") if Path(path).name.startswith("test_") else (path,)
    return any((place / each).exists() or list(place.glob(each)) for place in PLACES for each in candidates)


@pages
def test_files_that_are_named_exist(page: Path) -> None:
    paths = [
        each for each in quoted(page) if re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*(/|\.(py|pyx|md|toml))", each)
    ]
    paths += [each for each in quoted(page) if re.fullmatch(r"(\w+/)*test_\w+", each)]
    made = (
        "ringfence.toml",
        "linphonerc",
        "run/",
        "kamailio.cfg",
        "tls.cfg",
        "data/",
        "tls/",
    )  # what commands or others make
    assert [path for path in paths if not path.endswith(made) and not is_there(path)] == []


@pages
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    assert [link for link in links if link and "://" not in link and not (page.parent / link).exists()] == []


def rows_of_one_invite() -> list[tuple[str, str]]:
    text = (ROOT / "docs" / "one-invite.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text, flags=re.MULTILINE)


@pytest.mark.parametrize(("file", "function"), rows_of_one_invite())
def test_each_function_on_the_way_of_an_invite_exists(file: str, function: str) -> None:
    if "*" in file:
        assert list(SOURCE.glob(file))
        return
    names = set(_names(ast.parse((SOURCE / file).read_text(encoding="utf-8"))))
    assert function.strip().strip("`") in names


def _names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.ClassDef():
                yield from (
                    f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)
                )
            case ast.Assign():
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(name)):
                yield name


def test_the_way_of_an_invite_is_not_empty() -> None:
    assert len(rows_of_one_invite()) > 10


# -- commands ------------------------------------------------------------------------------------------


def commands(page: Path) -> Iterator[str]:
    """Each command line of ringfence in a block of code or in the text."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        found = re.match(r"\s*(?:\$ |\S.*\| )?(ringfence [a-z].*)$", line)
        if found:
            yield first_command(re.split(r"\s{2,}#", found[1])[0])
    for each in quoted(page):
        if each.startswith("ringfence ") and not re.search(r"\||=", each):
            yield each


def first_command(line: str) -> str:
    """A line of the shell up to what ends its first command; in quotes nothing does."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|>&")
    lexer.whitespace_split = True
    words = list(takewhile(lambda word: not set(word) <= set(";|>&"), lexer))
    return shlex.join(words)


def check_command(line: str) -> None:
    command: Any = typer.main.get_command(build())
    words = shlex.split(line)[1:]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        assert name in command.commands, f"{line}: no command {name}"
        command = command.commands[name]
    options = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    options |= {"--help", "-h"}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"{line}: no option {word}"


@pages
def test_commands_and_their_options_exist(page: Path) -> None:
    for line in commands(page):
        check_command(line)


def test_a_command_that_there_is_not_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no command dance"):
        check_command("ringfence dance")
    with pytest.raises(AssertionError, match="no option --loud"):
        check_command("ringfence check --loud")


# -- the README ----------------------------------------------------------------------------------------


def test_targets_of_make_that_are_named_exist() -> None:
    targets = set(
        re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    named = {
        name for page in PAGES for name in re.findall(r"\bmake ([a-z]+)\b`", page.read_text(encoding="utf-8"))
    }
    assert named <= targets


def test_the_program_in_the_readme_is_the_example_that_is_run() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert block is not None
    assert block[1] == (ROOT / "examples" / "direct_call.py").read_text(encoding="utf-8")


def test_no_page_links_to_what_the_site_has_not() -> None:
    leaving = [
        f"{page.name}: {link}"
        for page in (ROOT / "docs").glob("*.md")
        for link in re.findall(r"\]\((\.\./[^)]*)\)", page.read_text(encoding="utf-8"))
    ]
    assert leaving == []


def test_the_site_has_every_page_once() -> None:
    """In mkdocs.yml: what is not in the menu is not found."""
    listed = re.findall(
        r"^ +- .+: ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
