"""What we say of one datagram: parse it, then read everything that is in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringfence.message import PeerError, Request, Response, parse
from ringfence.message.validate import validate

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Judgement:
    """The message, unless it could not be parsed, and the faults found: (status, header or None)."""

    message: Request | Response | None
    faults: tuple[tuple[int, str | None], ...]


def judge(data: bytes) -> Judgement:
    """Parse and validate."""
    try:
        message = parse(data)
    except PeerError as error:
        return Judgement(None, _told([error]))
    return Judgement(message, _told(validate(message)))


def _told(errors: list[PeerError]) -> tuple[tuple[int, str | None], ...]:
    assert all(error.reason for error in errors)
    return tuple((error.status, error.header) for error in errors)


def load(folder: str, name: str) -> bytes:
    """The octets of one file."""
    return (HERE / folder / f"{name}.dat").read_bytes()


def stored(folder: str) -> set[str]:
    """The names of the files there."""
    return {path.stem for path in (HERE / folder).glob("*.dat")}
