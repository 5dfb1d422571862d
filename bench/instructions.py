"""How many instructions one proxied call takes, by Valgrind's count: the same on a busy machine as on a quiet one.

    python bench/instructions.py             of the package that this Python has installed
    python bench/instructions.py --top 40    and where they are, callees included

It is ``call.py`` under callgrind, which counts inside ``Driver.received`` alone, and so only where the package is
compiled. The figure leaves out sockets, the kernel, and what a cold cache costs; ``run.py`` has those.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WARM = 50
"""Calls that are not counted apart: caches of the process fill."""

CHILD = """
import asyncio, gc, sys
sys.path.insert(0, {bench!r})
from call import Wire, call, node
from ringfence.transport.flow import Endpoint
gc.disable()
caller, callee = Wire(Endpoint("127.0.0.1", 7001)), Wire(Endpoint("127.0.0.1", 7002))
driver = node(asyncio.new_event_loop(), caller, callee)
for number in range(1000, 1000 + {calls}):
    call(driver, caller, callee, number)
"""


def count(calls: int, out: Path) -> int:
    """Instructions of so many calls, with what they do once."""
    child = CHILD.format(bench=str(Path(__file__).parent), calls=calls)
    words = ["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={out}"]
    words += ["--toggle-collect=CPyDef_driver___Driver___received", sys.executable, "-c", child]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    found = re.search(r"Collected : (\d+)", said)
    if found is None or found[1] == "0":
        sys.exit("nothing was counted: the package is not compiled here")
    return int(found[1])


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--top", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("no valgrind here")
    with tempfile.TemporaryDirectory() as directory:
        few, many = Path(directory) / "few", Path(directory) / "many"
        each = (count(WARM + arguments.calls, many) - count(WARM, few)) / arguments.calls
        print(f"{each / 1000:.0f} thousand instructions a call")
        if arguments.top:
            words = ["callgrind_annotate", "--inclusive=yes", "--auto=no", str(many)]
            said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            print("\n".join([line for line in said.splitlines() if "CPyDef" in line][: arguments.top]))


if __name__ == "__main__":
    main()
