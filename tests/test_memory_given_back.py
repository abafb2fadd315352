"""Memory that is freed goes back to the system, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import numpy as np
from ptx.memory import freed_blocks_go_back, what_is_free_goes_back

def held():
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])

if {first}:
    freed_blocks_go_back()
large = np.ones(30 * 2**20, np.uint8)  # the first of its size teaches glibc to keep such blocks
del large
blocks = [np.ones(20 * 2**20, np.uint8) for _ in range(8)] + [np.ones(100, np.uint8)]
before = held()
del blocks[0:7]
freed = before - held()
small = [np.ones(2**16, np.uint8) for _ in range(1000)]
last = np.ones(2**16, np.uint8)
del small
before = held()
what_is_free_goes_back()
print(freed, before - held())
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists() or platform.libc_ver()[0] != "glibc", reason="needs Linux's /proc, and glibc"
)
def test_large_blocks_at_once_and_small_ones_when_asked() -> None:
    def measured(first: bool) -> list[int]:
        code = MEASURE.replace("{first}", str(first))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return [*map(int, done.stdout.split())]

    large, small = measured(True)
    assert large > 130 * 2**20  # of 140 that were freed
    assert small > 50 * 2**20  # of 62
    kept, _ = measured(False)
    assert kept < large
