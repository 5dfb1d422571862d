from collections.abc import Callable, Iterable

VERSION: int

_Items = tuple[tuple[str, str | None], ...]
_Address = tuple[str, str, str | None]
_Scanned = tuple[
    int,
    str,
    str,
    list[str],
    list[str],
    int,
    int,
    int,
    int,
    tuple[str, _Items, str] | None,
    tuple[_Address | None, _Address | None, str | None, int] | None,
]

def prepare(
    canonical: dict[str, str],
    canonical_name: Callable[[str], str],
    marks: dict[str, int],
    methods: Iterable[str],
    max_lines: int,
    max_head: int,
) -> None: ...
def scan(data: bytes) -> _Scanned | None: ...
def plain_params(text: str) -> _Items | None: ...
def usual_credentials(
    text: str,
) -> tuple[str, str, str, str, str, str | None, str | None, str | None, str | None, str | None] | None: ...
def after_first(line: str) -> str | None: ...
def write(start: str, lines: list[str], body: bytes) -> bytes: ...
