"""What commands print arrives whole, whoever reads it and however slowly."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

PIPE = 65_536
"""Bytes that a pipe of Linux holds."""

PRINT = """
import asyncio, uvloop
from ringfence.cli.output import keep_output_whole, print_json
keep_output_whole()
uvloop.run(asyncio.sleep(0.01))
print_json("x" * 300_000)
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_long_report_is_not_cut_short_by_a_slow_reader(unbuffered: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PRINT], stdout=subprocess.PIPE, env={"PYTHONUNBUFFERED": unbuffered}
    ) as program:
        assert program.stdout is not None
        read = program.stdout.read1(1)  # it has begun, and fills the pipe meanwhile
        time.sleep(0.1)
        read += program.stdout.read()
    assert len(read) == 300_003 > PIPE
