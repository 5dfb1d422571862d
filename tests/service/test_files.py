"""Files that nobody else may read, written wholly or not at all."""

import os
from pathlib import Path

import pytest

from ringfence.service.files import make_private_directory, write_private


def test_a_file_is_private_even_where_the_umask_is_open(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        write_private(tmp_path / "a/b.key", b"secret")
    finally:
        os.umask(mask)
    assert (tmp_path / "a/b.key").read_bytes() == b"secret"
    assert (tmp_path / "a/b.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_a_file_is_replaced_wholly_and_an_open_one_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    path.write_bytes(b"old, and longer")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.key"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_directory(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755
