"""Files that nobody else may read, written wholly or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def make_private_directory(path: Path) -> None:
    """Create a directory that only its owner can enter, and those above it that are missing."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """Write or replace a file, mode 0600. A reader sees the old content or the new, never a part."""
    make_private_directory(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:  # mkstemp gives mode 0600
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
