"""The house of docs/architecture.md: who may import whom, and how large a file and a function may grow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "ringfence"
ROWS = {
    "message": 1,
    "engine": 2,
    "security": 2,
    "transport": 3,
    "store": 3,
    "guard": 4,
    "ledger": 4,
    "roles": 5,
    "client": 5,
    "service": 6,
    "console": 7,
    "audit": 7,
    "bench": 7,
    "cli": 8,
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
# No clock, no randomness, no socket and no log below row 3: they are arguments there.
FORBIDDEN_BELOW_ROW_3 = {
    "asyncio",
    "socket",
    "ssl",
    "time",
    "random",
    "secrets",
    "logging",
    "structlog",
    "threading",
}
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "handler", "dispatcher"}

FILES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports(tree: ast.Module, *, with_types: bool) -> Iterator[str]:
    """Every module that a file imports, at any depth; names under TYPE_CHECKING only on request."""
    hidden = set()
    if not with_types:
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.If)
                and isinstance(node.test, ast.Name)
                and node.test.id == "TYPE_CHECKING"
            ):
                hidden |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:  # "from package import module" needs the module, not all of the package
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else node.module


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "ringfence" and len(parts) > 1 and parts[1] in ROWS else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down(path: Path) -> None:
    room = room_of(module_of(path))
    if room is None:
        return  # the package's own __init__ and __main__: the public surface
    for module in imports(TREES[path], with_types=True):
        other = room_of(module)
        assert other is None or other == room or ROWS[other] < ROWS[room], f"{room} imports {module}"
        if ROWS[room] < 3:
            assert module.split(".")[0] not in FORBIDDEN_BELOW_ROW_3, f"{path.name} imports {module}"


def test_no_import_cycle() -> None:
    graph = {
        name: {
            found for found in imports(TREES[path], with_types=False) if found in MODULES and found != name
        }
        for name, path in MODULES.items()
    }
    for name in MODULES:  # a package's __init__ runs before its modules; importing it from inside is no cycle
        graph[name] -= {name.rpartition(".")[0]}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for found in graph[name]:
                visit(found, (*trail, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_FILE_LINES, f"{lines} lines"
    assert path.stem not in FORBIDDEN_NAMES
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"
            assert node.returns is not None, f"{node.name} says no return type"
