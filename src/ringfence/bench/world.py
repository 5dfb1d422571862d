"""What both servers of a comparison stand in: the files they need, processes by pid, and what /proc tells of them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ringfence.bench.certificates import CertificateServer, make_identities

HOST = "127.0.0.1"
DOMAIN = "bench.test"
USERS = 1000
TICKS = os.sysconf("SC_CLK_TCK")

PRIORITY = "-10"
"""The nice value of everything measured, where we may set it: other work on the machine shall not matter."""


@dataclass
class World:
    """The directory, and every process that was started."""

    server_core: str = "0"
    load_core: str = "1"
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="ringfence-bench-")))
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        people = ["callee", *(f"user{number:04d}" for number in range(USERS))]
        passwords = {user: hashlib.sha256(user.encode()).hexdigest()[:12] for user in people}
        self.users, self.callers = self.directory / "users.csv", self.directory / "callers.csv"
        self.sipp_callers = self.directory / "sipp.csv"
        lines = [f"{user};{password}\n" for user, password in passwords.items()]
        self.users.write_text("".join(lines), encoding="utf-8")
        self.callers.write_text("".join(lines[1:]), encoding="utf-8")
        rows = [f"{u};[authentication username={u} password={p}]\n" for u, p in passwords.items()]
        self.sipp_callers.write_text("SEQUENTIAL\n" + "".join(rows[1:]), encoding="utf-8")
        self.database = self.directory / "kamailio.sqlite"
        self._make_database(passwords)
        self.one_caller = self.directory / "caller.csv"
        self.one_caller.write_text(lines[1], encoding="utf-8")
        self.cert, self.key = self.directory / "cert.pem", self.directory / "key.pem"
        words = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]
        words += ["-days", "2", "-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN}"]
        subprocess.run([*words, "-keyout", self.key, "-out", self.cert], check=True, capture_output=True)
        self.identities = self.fresh("identities")
        make_identities(self.identities, DOMAIN)
        self._certificates: CertificateServer | None = None

    @property
    def certificate_url(self) -> str:
        """Where the certificate of signed callers is fetched; from now on it is there."""
        if self._certificates is None:
            self._certificates = CertificateServer(HOST, self.identities / "theirs.pem", self.cert, self.key)
        return f"https://{DOMAIN}:{self._certificates.port}/theirs.pem"

    def _make_database(self, passwords: dict[str, str]) -> None:
        """The tables that Kamailio's htable reads at its start, and its auth_db for each request."""
        connection = sqlite3.connect(self.database)
        connection.executescript(
            "create table version(id integer primary key, table_name text, table_version int);"
            "insert into version(table_name, table_version) values('htcred', 2);"
            "create table htcred(id integer primary key, key_name text, key_type int default 0,"
            " value_type int default 0, key_value text, expires int default 0);"
            "create table subscriber(id integer primary key, username text, domain text, ha1 text,"
            " unique(username, domain));"
        )
        for user, password in passwords.items():
            ha1 = hashlib.md5(f"{user}:{DOMAIN}:{password}".encode()).hexdigest()
            connection.execute("insert into htcred(key_name, key_value) values(?, ?)", (user, ha1))
            connection.execute(
                "insert into subscriber(username, domain, ha1) values(?, ?, ?)", (user, DOMAIN, ha1)
            )
        connection.commit()
        connection.close()

    def fresh(self, name: str) -> Path:
        """An empty directory."""
        return Path(tempfile.mkdtemp(dir=self.directory, prefix=f"{name}-"))

    def spawn(
        self, words: Sequence[str], core: str, log: Path, directory: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process on a core."""
        pinned = ["taskset", "-c", core, *words]
        root = os.geteuid() == 0
        with log.open("ab") as file:
            process = subprocess.Popen(
                ["nice", "-n", PRIORITY, *pinned] if root else pinned, cwd=directory or self.directory,
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "TERM": "xterm"},
            )  # fmt: skip
        self.running.append(process)
        if (
            root
        ):  # a session is scheduled as one group, inside which alone its nice values count: lift the group
            with contextlib.suppress(OSError):
                Path(f"/proc/{process.pid}/autogroup").write_text(PRIORITY, encoding="ascii")
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM, and SIGKILL for what is left of its own tree."""
        pids = list(tree(process.pid)) if process.poll() is None else []
        if pids:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(4)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        self.running.remove(process)

    def close(self) -> None:
        """End everything, remove everything."""
        for process in list(self.running):
            self.end(process)
        if self._certificates is not None:
            self._certificates.close()
        shutil.rmtree(self.directory, ignore_errors=True)


# -- /proc ---------------------------------------------------------------------------------------------


def tree(root: int) -> dict[int, int]:
    """Clock ticks of CPU by process: ``root`` and its descendants, the dead ones in their parent's."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            values = (entry / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        pid = int(entry.name)
        children.setdefault(int(values[1]), []).append(pid)
        ticks[pid] = sum(map(int, values[11:15]))
    found, todo = {}, [root]
    while todo:
        pid = todo.pop()
        if pid in ticks:
            found[pid] = ticks[pid]
            todo += children.get(pid, [])
    return found


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """CPU time of a process and its descendants."""
    return sum(tree(process.pid).values()) / TICKS


def busy_seconds() -> float:
    """CPU time of the whole machine: user, nice, system, interrupts."""
    values = list(map(int, Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]))
    return (sum(values[:3]) + values[5] + values[6]) / TICKS


def sockets_at(port: int) -> int:
    """How many sockets take datagrams at a port of this machine (IPv4)."""
    lines = Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") for line in lines)


def is_free(port: int) -> bool:
    """Whether nobody has this port."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            # On a stream it lets past connections be, not a socket that listens.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
            try:
                sock.bind((HOST, port))
            except OSError:
                return False
    return True


def tail_of(log: Path) -> str:
    """The end of what a process said."""
    return log.read_text(encoding="utf-8", errors="replace")[-3000:]
