"""A bounded run of every fuzz target, with the torture messages to begin with.

    python fuzz/run.py [--seconds 20] [TARGET ...]

An input that fails is kept in build/fuzz/crashes; give it to ``--again`` to see it fail again. What was learnt is
kept in build/fuzz/corpus, so that the next run begins where this one ended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from ringfence.message import PeerError, parse

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.torture.malformed import cases  # noqa: E402

from fuzz import memory  # noqa: E402  (the root is no package that is installed)
from fuzz.targets import TARGETS, seeds  # noqa: E402

WORK = ROOT / "build" / "fuzz"
MAX_LENGTH = 8192
"""Longest input: the limits of the message package that are longer are tested one by one, in tests/torture."""
SLOW = 5
"""Seconds after which one input counts as a failure."""
MEMORY = 1024
"""Megabytes that the fuzzer may take."""


def main() -> int:
    """Run the targets one after the other; 1 when one has failed."""
    options = argparse.ArgumentParser(description="Fuzz what reads messages.")
    options.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"some of: {', '.join(TARGETS)}, memory"
    )
    options.add_argument("--seconds", type=int, default=20, help="for each target (default 20)")
    options.add_argument("--again", type=Path, metavar="FILE", help="run one input of the one target named")
    chosen = options.parse_args()
    if unknown := set(chosen.targets) - TARGETS.keys() - {"memory"}:
        options.error(f"no such target: {' '.join(sorted(unknown))}")
    if chosen.again is not None:
        for name in chosen.targets:
            TARGETS[name](chosen.again.read_bytes())
        return 0
    failed = [name for name in chosen.targets or (*TARGETS, "memory") if not bounded(name, chosen.seconds)]
    print(f"{len(failed)} targets failed: {' '.join(failed)}" if failed else "No target failed.")
    return 1 if failed else 0


def bounded(name: str, seconds: int) -> bool:
    """Run one target in a process of its own."""
    print(f"== {name}, {seconds} seconds", flush=True)
    if name == "memory":
        return memory.run(seconds)
    corpus, crashes = WORK / "corpus" / name, WORK / "crashes"
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    plant(name, corpus)
    limits = (
        f"-max_total_time={seconds}",
        f"-max_len={MAX_LENGTH}",
        f"-timeout={SLOW}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={crashes}/{name}-",
        "-verbosity=0",
        "-print_final_stats=1",
    )
    command = [sys.executable, str(ROOT / "fuzz" / "one.py"), name, *limits, str(corpus)]
    return subprocess.run(command, check=False, timeout=seconds + 120).returncode == 0


def plant(name: str, corpus: Path) -> None:
    """Write the seeds of a target."""
    raw = [path.read_bytes() for path in sorted((ROOT / "tests" / "torture").glob("rfc*/*.dat"))]
    messages = []
    for data in raw:
        try:
            messages.append(parse(data))
        except PeerError:
            continue
    raw += [case.data for case in cases() if len(case.data) <= MAX_LENGTH]
    for number, seed in enumerate(seeds(name, messages, raw)):
        (corpus / f"seed-{number}").write_bytes(seed)


if __name__ == "__main__":
    sys.exit(main())
