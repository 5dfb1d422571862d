"""The reports in docs/audit: a node as ``ringfence init`` makes it, and Kamailio as Debian installs it.

    python scripts/audit_reports.py

Both listen on loopback only, in directories that go away again. Kamailio has its stock configuration, which is meant to
be changed before it serves anybody; the report says what there is to change. Only its ports, its directories and the
name of its domain are given on the command line. Since it asks nobody for a password, any two users can be named.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

OUT = Path(__file__).parent.parent / "docs" / "audit"
RINGFENCE = [sys.executable, "-m", "ringfence"]
HOST = "127.0.0.1"
STOCK = Path("/etc/kamailio/kamailio.cfg")
KAMAILIO = "kamailio.example"
LAST_MEDIA_PORT = 39_999
READY_SECONDS = 30.0


def free_port() -> int:
    """A port that nobody has now, and that is none of those for media (see [media] ports)."""
    for _ in range(1000):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port > LAST_MEDIA_PORT:
            return port
    raise SystemExit("no port is free")


@contextmanager
def running(command: Sequence[str | Path], port: int) -> Iterator[None]:
    """A server that answers on a TCP port of loopback while the block runs."""
    server = subprocess.Popen(  # noqa: S603
        [str(each) for each in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    begun = time.monotonic()
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    break
            if server.poll() is not None or time.monotonic() - begun > READY_SECONDS:
                raise SystemExit(f"{command[0]} does not serve")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait(20)


def audited(name: str, *words: str | Path) -> None:
    """Run an audit and keep its two reports."""
    html = OUT / f"{name}.html"
    done = subprocess.run(  # noqa: S603
        [*RINGFENCE, "audit", *map(str, words), "--html", str(html)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):  # 1: something was found
        raise SystemExit(done.stderr)
    text = "\n".join(line.rstrip() for line in done.stdout.splitlines())
    (OUT / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
    print(f"{name}: {text.splitlines()[-1]}")


def ringfence(directory: Path) -> None:
    """Our own node, with nothing changed but its ports."""
    home, tls, plain = directory / "node", free_port(), free_port()
    ports = [f"--listen={transport}:{HOST}:{plain}" for transport in ("udp", "tcp")]
    ports += [f"--listen=tls:{HOST}:{tls}", f"--listen=wss:{HOST}:{free_port()}"]
    subprocess.run(  # noqa: S603
        [*RINGFENCE, "init", "example.org", "--host", HOST, *ports, "--dir", str(home)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    config = home / "ringfence.toml"
    config.write_text(config.read_text(encoding="utf-8") + '\n[metrics]\nlisten = ""\n', encoding="utf-8")
    with running([*RINGFENCE, "serve", "--config", config], plain):
        audited("ringfence", "--config", config)


def kamailio(directory: Path) -> None:
    """Kamailio with the configuration that its package brings."""
    port = free_port()
    command = [
        "kamailio", "-DD", "-E", "-f", STOCK, "-Y", directory, "-P", directory / "kamailio.pid",
        "-l", f"udp:{HOST}:{port}", "-l", f"tcp:{HOST}:{port}", "--alias", KAMAILIO, "-w", directory,
    ]  # fmt: skip
    password = directory / "password"
    password.write_text("any\n", encoding="utf-8")
    users = [
        "--user",
        "alice",
        "--password-file",
        password,
        "--second-user",
        "bob",
        "--second-password-file",
        password,
    ]
    also = f"sip:{HOST}:{port};transport=tcp"
    with running(command, port):
        audited("kamailio", f"sip:{HOST}:{port};transport=udp", "--also", also, "--domain", KAMAILIO, *users)


def main() -> None:
    """Make all reports that can be made here."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="audit-") as name:
        ringfence(Path(name))
        if shutil.which("kamailio") and STOCK.exists():
            kamailio(Path(name))
        else:
            print("kamailio is not installed: its report stays as it is")


if __name__ == "__main__":
    main()
