"""The witness: a copy of every checkpoint, outside the database, in a file that is only ever added to.

Who cuts the end off the ledger, checkpoints too, leaves a chain that is right as far as it goes. The witness knows
that there was more. Put it on another disk, or let another machine follow it; it holds no secret, and its lines are
signed, so that it need not be trusted either.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from ringfence.ledger.chain import Checkpoint
from ringfence.message.errors import LocalError


def witness(path: Path, checkpoints: Iterable[Checkpoint]) -> None:
    """Add checkpoints to the file, durably. Raises OSError."""
    lines = "".join(
        json.dumps(
            {
                "writer": each.writer,
                "number": each.number,
                "body": each.body,
                "signature": b64encode(each.signature).decode(),
            }
        )
        + "\n"
        for each in checkpoints
    )
    if not lines:
        return
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with open(descriptor, "r+b", buffering=0) as file:
        if _ends_torn(file.fileno()):
            lines = "\n" + lines
        file.write(lines.encode())
        os.fsync(file.fileno())


class Witnessed(Sequence[Checkpoint]):
    """The checkpoints of one writer, in order of number. Only where they are in the file is held in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: list[tuple[int, int]] = []

    def add(self, number: int, place: int) -> None:
        """There is one of that number at that octet."""
        self._places.append((number, place))

    def order(self) -> None:
        """All are added. A crash has checkpoints come late."""
        self._places.sort()

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Checkpoint: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Checkpoint]: ...
    def __getitem__(self, index: int | slice) -> Checkpoint | Sequence[Checkpoint]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        return next(self._read([self._places[index]]))

    def __iter__(self) -> Iterator[Checkpoint]:
        return self._read(self._places)

    def _read(self, places: Sequence[tuple[int, int]]) -> Iterator[Checkpoint]:
        with open(self._path, "rb") as file:
            for _, place in places:
                file.seek(place)
                yield _checkpoint(file.readline())


def read_witness(path: Path) -> dict[str, Witnessed]:
    """The checkpoints of each writer; none where there is no file.

    The last line may have been cut off by a crash: its checkpoint is in the database.

    Raises:
        LocalError: Another line can't be read, so somebody has changed it.
    """
    found: dict[str, Witnessed] = {}
    torn, place = b"", 0
    try:
        with open(path, "rb") as file:
            for count, line in enumerate(file, 1):
                if torn and not line.startswith(torn):
                    raise LocalError(f"line {count - 1} of {path} was changed: it is no checkpoint")
                torn = b""
                if line != b"\n":
                    try:
                        checkpoint = _checkpoint(line)
                    except (ValueError, KeyError, TypeError):
                        torn = line.removesuffix(b"\n")
                    else:
                        found.setdefault(checkpoint.writer, Witnessed(path)).add(checkpoint.number, place)
                place += len(line)
    except FileNotFoundError:
        return found
    except OSError as error:
        raise LocalError(f"{path} can't be read: {error.strerror}") from None
    for each in found.values():
        each.order()
    return found


def _checkpoint(line: bytes) -> Checkpoint:
    fields = json.loads(line)
    writer, number, body = fields["writer"], fields["number"], fields["body"]
    if type(writer) is not str or type(number) is not int or type(body) is not str:
        raise TypeError("it is no checkpoint")
    return Checkpoint(writer, number, body, b64decode(fields["signature"], validate=True))


def _ends_torn(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
