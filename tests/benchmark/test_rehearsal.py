"""What a server that forks does beforehand: no thread, nothing left, nothing drawn; large pages change nothing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cxrbench.benchmark import large_pages
from cxrbench.benchmark.large_pages import MANY, Pages
from cxrbench.benchmark.processes import surroundings
from cxrbench.benchmark.runs import rehearsal

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")


def alone(code: str) -> list[str]:
    """The words that code prints in a process of its own, in the surroundings of a step."""
    done = subprocess.run([sys.executable, "-c", code], env=surroundings(1), capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_every_part_of_the_rehearsal_works(monkeypatch, tmp_path):
    """`rehearse` says nothing of what fails, so its parts are called by themselves."""
    monkeypatch.chdir(tmp_path)
    rehearsal._films()
    rehearsal._tables()
    assert list(tmp_path.iterdir()) == []


def test_a_rehearsal_draws_nothing():
    def drawn_next() -> tuple[float, float]:
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002  # the generator that a provider's code may use
        rehearse()
        return random.random(), float(np.random.random())  # noqa: NPY002

    def rehearse() -> None:
        if rehearsing:
            rehearsal.rehearse()

    rehearsing = False
    before = drawn_next()
    rehearsing = True
    assert drawn_next() == before


@LINUX
def test_after_all_that_a_server_does_beforehand_it_can_still_fork():
    code = (
        "from cxrbench.benchmark.runs import worker, rehearsal\n"
        "from cxrbench.benchmark import fork_server\n"
        "worker.ready()\n"
        "rehearsal._films(); rehearsal._tables()\n"
        "print(fork_server._threads())"
    )
    assert alone(code) == ["1"]


@LINUX
def test_large_pages_hold_what_the_small_ones_held_also_for_a_child():
    code = (
        "import hashlib, os, sys\n"
        "import numpy as np\n"
        "from cxrbench.benchmark.large_pages import gather\n"
        "held = np.random.default_rng(0).integers(0, 256, 24 << 20, np.uint8)\n"
        "seen = lambda: hashlib.sha256(held).hexdigest()\n"
        "before, some = seen(), gather()\n"
        "print(seen() == before, some % (2 << 20), flush=True)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    held[::5000] ^= 1\n"
        "    os._exit(seen() == before)\n"
        "print(os.waitpid(pid, 0)[1], seen() == before)"
    )
    assert alone(code) == ["True", "0", "0", "True"]


def test_memory_is_gathered_once_for_many_children_and_again_where_more_was_loaded(monkeypatch):
    calls: list[int] = []
    monkeypatch.setattr(large_pages, "gather", lambda: calls.append(1) or 0)
    pages = Pages()
    for _ in range(MANY - 1):
        pages.before_fork()
    assert calls == []
    for _ in range(3 * MANY):
        pages.before_fork()
    assert len(calls) == 1
    pages.changed()
    for _ in range(MANY):
        pages.before_fork()
    assert len(calls) == 2


@LINUX
def test_only_memory_of_no_file_is_gathered():
    files = {line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if line.split()[-1][0] == "/"}
    found = list(large_pages._areas())
    assert found and all(start % (2 << 20) == end % (2 << 20) == 0 for start, end in found)
    for start, end in found:
        for area in files:
            low, high = (int(part, 16) for part in area.split("-"))
            assert end <= low or high <= start


def test_a_system_without_large_pages_is_no_trouble(monkeypatch):
    def nothing():
        raise OSError("no /proc here")

    monkeypatch.setattr(large_pages, "_areas", nothing)
    assert large_pages.gather() == 0
    assert os.getpid()
