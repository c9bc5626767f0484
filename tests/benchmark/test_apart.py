"""Processes that compute: their threads, and the memory that they keep between steps."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from cxrbench.benchmark.processes import KEEP_MEMORY, surroundings

STEPS = """
import resource, numpy
for _ in range(20):
    kept = [numpy.ones(1 << 19) for _ in range(8)]  # 32 MB, as a step of a small training holds
    del kept
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def test_threads_are_set_and_the_users_own_memory_settings_stay(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    for name in KEEP_MEMORY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    found = surroundings(3)
    assert {found[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"3"}
    assert found["MALLOC_TRIM_THRESHOLD_"] == "1"
    assert found["MALLOC_MMAP_THRESHOLD_"] == KEEP_MEMORY["MALLOC_MMAP_THRESHOLD_"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the names are glibc's")
def test_memory_is_not_asked_for_again_at_every_step():
    def pages(environment):
        asked = subprocess.run(
            [sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True, check=True
        )
        return int(asked.stdout)

    kept = surroundings(1)
    assert pages(kept) < pages({name: text for name, text in kept.items() if name not in KEEP_MEMORY}) / 3
