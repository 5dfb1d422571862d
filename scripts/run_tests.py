"""Run all tests in two halves at the same time: those that talk to other programs, which mostly wait, and all others.

    python scripts/run_tests.py [options for pytest]

Each line says by its first word which half it is of. Exit code 1 when one of them failed. ``pytest`` alone runs the
same tests one after another.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parent.parent
HALVES = {"interop": ["tests/interop"], "others": ["tests", "--ignore=tests/interop"]}
LOCK = threading.Lock()


def main() -> int:
    """Both halves; 0 when all tests of both passed."""
    codes: dict[str, int] = {}
    threads = [threading.Thread(target=run, args=(name, codes)) for name in HALVES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = [name for name, code in codes.items() if code]
    print(f"failed: {', '.join(failed)}" if failed or len(codes) < len(HALVES) else "all tests passed")
    return 1 if failed or len(codes) < len(HALVES) else 0


def run(name: str, codes: dict[str, int]) -> None:
    """One half; its lines are printed as they come."""
    # Each has its own cache: they would write over each other's.
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{name}", *HALVES[name]]
    with (
        subprocess.Popen(  # noqa: S603  (our own interpreter and pytest)
            [*command, *sys.argv[1:]], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process
    ):
        assert process.stdout is not None
        for line in process.stdout:
            with LOCK:
                print(f"{name:7} {line}", end="", flush=True)
    codes[name] = process.returncode


if __name__ == "__main__":
    sys.exit(main())
