from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ringfence.store import StoreError
from ringfence.store.connect import engine_for, sqlite_url, store_error, translated


@pytest.mark.parametrize("umask", [0o022, 0o000, 0o077])
def test_the_files_are_for_their_owner_only(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with engine_for(sqlite_url(tmp_path / "a.db")).begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (x)")
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"a.db": 0o600, "a.db-wal": 0o600, "a.db-shm": 0o600}


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
def test_a_file_open_to_every_user_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.db"
    path.touch()
    path.chmod(mode)
    with pytest.raises(StoreError, match="run: chmod 600 "):
        engine_for(sqlite_url(path))
    path.chmod(0o640)
    engine_for(sqlite_url(path))


def test_a_commit_is_on_the_disk(url: str) -> None:
    with engine_for(url).connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}  # 2 is FULL


def test_odd_paths_make_urls(tmp_path: Path) -> None:
    path = tmp_path / "a b?c#d%20é.db"
    engine_for(sqlite_url(path)).connect().close()
    assert path.stat().st_size >= 0
    assert {file.name for file in tmp_path.iterdir()} == {path.name}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ringfence.db", "can't be read"),
        ("mysql://localhost/ringfence", "mysql are not served"),
        ("sqlite://", "use MemoryStore"),
        ("sqlite:///:memory:", "use MemoryStore"),
        ("sqlite:////nonexistent/ringfence.db", "can't create /nonexistent/ringfence.db"),
    ],
)
def test_a_url_that_is_of_no_use_says_why(url: str, reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        engine_for(url)


def test_the_errors_have_no_values(url: str) -> None:
    with (
        pytest.raises(StoreError) as caught,
        translated("write"),
        engine_for(url).begin() as connection,
    ):
        connection.exec_driver_sql("INSERT INTO absent VALUES (?)", ("secret",))
    assert str(caught.value) == "can't write: no such table: absent"
    assert "secret" not in f"{caught.value.__cause__}"


def test_an_error_is_translated_once() -> None:
    first = StoreError("first")
    assert store_error("write", first) is first
    with pytest.raises(StoreError, match=r"^first$"), translated("write"):
        raise first
    assert str(store_error("write", OSError())) == "can't write: OSError"
