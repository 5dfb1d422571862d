"""What goes away in the middle of calls, one thing after the other: each call is accounted once, in the ledger and by
the RADIUS server. `scripts/faults.py` has each fault alone, and more of them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.store.migrate import upgrade
from tests.interop.freeradius import FREERADIUS, SECRET, free_port, freeradius
from tests.interop.processes import eventually
from tests.interop.test_radius import SECTIONS, written
from tests.store.test_postgresql import BIN, start

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from fault_world import World, world

pytestmark = [
    pytest.mark.interop("freeradius"),
    pytest.mark.skipif(FREERADIUS is None, reason="FreeRADIUS is not installed"),
    pytest.mark.skipif(not (BIN / "initdb").exists(), reason="PostgreSQL is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL is started as another user, which takes root"),
]

SETTINGS = """
[database]
url = "{url}"

[ledger]
database = "{url}"

[[radius]]
server = "127.0.0.1:{port}"
secret = "{secret}"
timeout_seconds = 0.3
tries = 1
"""


def answered(made: World) -> dict[str, dict[str, object]]:
    """The calls that cost something, by their keys. The node is stopped."""
    lines = made.node.command("ledger", "export", "--format", "json").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    return {row["call"]: row for row in rows if row["answered"]}


def told(directory: Path) -> Counter[tuple[str, str]]:
    return Counter((each["Acct-Session-Id"], each["Acct-Status-Type"]) for each in written(directory))


@pytest.fixture
def home() -> Iterator[Path]:
    """Where a server may be that is another user: the directories of pytest are closed to it."""
    with tempfile.TemporaryDirectory() as name:
        shutil.chown(name, "postgres")
        yield Path(name)


def test_each_call_is_accounted_once_whatever_goes_away(home: Path, tmp_path: Path) -> None:
    radius, port = tmp_path / "radius", free_port()
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    database, url = start(home, "postgres")
    upgrade(url)
    settings = SETTINGS.format(url=url, port=port, secret=tmp_path / "secret")
    try:
        with world(tmp_path, settings) as made, made.serve() as traffic:
            traffic.wait_for(200, 5)  # the RADIUS server is not there: calls go on
            database.send_signal(signal.SIGQUIT)  # "immediate": as a crash
            database.wait(20)
            traffic.wait_for(503, 2)
            database = subprocess.Popen(
                [BIN / "postgres", "-D", home / "data", "-k", home, "-c", "listen_addresses="],
                stderr=subprocess.DEVNULL,
                user="postgres",
            )
            traffic.wait_for(200, 5, 40.0)
            with freeradius(radius, SECTIONS.format(dir=radius, port=port)):
                eventually(lambda: len(told(radius)) >= 10, "what was missed is told", 20)
            traffic.wait_for(200, 3)
            made.node.kill()
            made.node.serve()
            traffic.wait_for(200, 5, 40.0)
            traffic._stop.set()
            with freeradius(radius, SECTIONS.format(dir=radius, port=port)):
                made.node.end()
                calls = answered(made)
                made.node.serve()
                wanted = {(call, kind) for call in calls for kind in ("Start", "Stop")}
                eventually(lambda: told(radius).keys() >= wanted, "all is told in the end", 20)
            assert made.losses(traffic.calls) == "nothing"
    finally:
        database.terminate()
        database.wait(20)
    assert told(radius).keys() == wanted, "and nothing else"
    stops = {each["Acct-Session-Id"]: each for each in written(radius) if each["Acct-Status-Type"] == "Stop"}
    assert all(
        int(stops[key]["Acct-Session-Time"]) == round(float(str(row["seconds"])))
        for key, row in calls.items()
    )
