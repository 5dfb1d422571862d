"""What a service manager is told, by the real program."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.service.notify import Notifier
from tests.cli.test_serve import PROGRAM, free_port

PATIENCE = 60.0


class Manager:
    """Hears what a service tells."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(PATIENCE)

    def hears(self) -> list[str]:
        return self._socket.recv(4096).decode().split("\n")

    def hears_but_for_life(self) -> list[str]:
        while (said := self.hears()) == ["WATCHDOG=1"]:
            pass
        return said

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def test_nothing_is_told_where_nobody_listens(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}, {"WATCHDOG_USEC": "1000000"}):
        notifier = Notifier(environment)
        notifier.ready()
        notifier.stopping(1.0)
        assert notifier.pause == 0.0


def test_signs_of_life_come_twice_in_the_time_that_is_waited(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000"})
    assert notifier.pause == 15.0
    asyncio.run(notifier.alive())
    assert manager.hears() == ["WATCHDOG=1"]


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket(tmp_path: Path) -> None:
    name = f"ringfence-{os.getpid()}-{tmp_path.name}"
    manager = Manager.__new__(Manager)
    manager._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager._socket.bind(f"\0{name}")
    manager._socket.settimeout(PATIENCE)
    Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
    assert manager.hears() == ["READY=1"]
    manager.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_node_tells_its_manager_what_it_does(tmp_path: Path, manager: Manager, workers: int) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RINGFENCE")}
    ports = (
        f"--listen=udp:127.0.0.1:{free_port(socket.SOCK_DGRAM)}",
        f"--listen=tls:127.0.0.1:{free_port(socket.SOCK_STREAM)}",
    )
    subprocess.run([PROGRAM, "init", "example.org", *ports], cwd=tmp_path, env=clean, check=True, timeout=60)
    config = tmp_path / "ringfence.toml"
    text = config.read_text().replace("[node]\n", f"[node]\nworkers = {workers}\n")
    config.write_text(f'{text}\n[metrics]\nlisten = ""\n')
    told = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"}
    with (tmp_path / "log").open("w") as log:
        node = subprocess.Popen([PROGRAM, "serve"], cwd=tmp_path, env={**clean, **told}, stderr=log)
    try:
        assert manager.hears() == ["READY=1"]
        assert manager.hears() == ["WATCHDOG=1"]
        if workers == 1:
            node.send_signal(signal.SIGHUP)
            reloading = manager.hears_but_for_life()
            assert reloading[0] == "RELOADING=1"
            assert reloading[1].startswith("MONOTONIC_USEC=")
            assert manager.hears_but_for_life() == ["READY=1"]
        node.send_signal(signal.SIGTERM)
        assert manager.hears_but_for_life()[0] == "STOPPING=1"
        assert node.wait(PATIENCE) == 0
    finally:
        node.kill()
        node.wait()
