"""A FreeRADIUS of our own on loopback, with the sections that a test needs."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FREERADIUS = shutil.which("freeradius") or shutil.which("radiusd")
SECRET = "testing123"

CONFIG = """
logdir = "{dir}"
raddbdir = "{dir}"
run_dir = "{dir}"
libdir = /usr/lib/freeradius
pidfile = "{dir}/radiusd.pid"
max_request_time = 5
log {{ destination = stdout
    auth = yes }}
security {{ status_server = no
    reject_delay = 0 }}
client phone_node {{ ipaddr = 127.0.0.1
    require_message_authenticator = yes
    secret = {secret} }}
thread pool {{ start_servers = 1
    max_servers = 4
    min_spare_servers = 1
    max_spare_servers = 3
    max_requests_per_server = 0 }}
"""


def free_port() -> int:
    """A port for UDP that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def freeradius(directory: Path, sections: str) -> Iterator[None]:
    """FreeRADIUS with these sections of radiusd.conf, while the block runs."""
    directory.mkdir(exist_ok=True)
    config = CONFIG.format(dir=directory, secret=SECRET) + sections
    (directory / "radiusd.conf").write_text(config)
    with (directory / "out").open("wb") as out:
        server = subprocess.Popen(
            [str(FREERADIUS), "-f", "-d", str(directory), "-D", "/usr/share/freeradius", "-l", "stdout"],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 20
        while b"Ready to process requests" not in (directory / "out").read_bytes():
            assert server.poll() is None, (directory / "out").read_text()
            assert time.monotonic() < deadline, (directory / "out").read_text()
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(10)
