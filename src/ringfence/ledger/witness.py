"""The witness: a copy of every checkpoint, outside the database, in a file that is only ever added to.

Who cuts the end off the ledger, checkpoints too, leaves a chain that is right as far as it goes. The witness knows
that there was more. Put it on another disk, or let another machine follow it; it holds no secret, and its lines are
signed, so that it need not be trusted either.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path

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


def read_witness(path: Path) -> dict[str, list[Checkpoint]]:
    """The checkpoints of each writer, in the order of the file; none where there is no file.

    The last line may have been cut off by a crash: its checkpoint is in the database.

    Raises:
        LocalError: Another line can't be read, so somebody has changed it.
    """
    found: dict[str, list[Checkpoint]] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return found
    except OSError as error:
        raise LocalError(f"{path} can't be read: {error.strerror}") from None
    for place, line in enumerate(lines):
        if not line:
            continue
        try:
            fields = json.loads(line)
            checkpoint = Checkpoint(
                fields["writer"],
                fields["number"],
                fields["body"],
                b64decode(fields["signature"], validate=True),
            )
        except (ValueError, KeyError, TypeError):
            if _was_torn(lines, place):
                continue
            raise LocalError(f"line {place + 1} of {path} was changed: it is no checkpoint") from None
        found.setdefault(checkpoint.writer, []).append(checkpoint)
    return found


def _ends_torn(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def _was_torn(lines: list[bytes], place: int) -> bool:
    """A line that a crash cut short: the last one, or one that the node went on after, as a prefix of the next."""
    following = lines[place + 1] if place + 1 < len(lines) else b""
    return not following or following.startswith(lines[place])
