"""A program within limits is ended with all that it started, and says what for."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from .limited import limited
from .smoke_presets import Pair, _reached

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="reads /proc")
LIMITS = {"core_seconds": 60.0, "clock_seconds": 60.0, "most_bytes": 10**10}
CHILD = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {code!r}]); "
CHILD += "open({file!r}, 'w').write(str(p.pid)); p.wait()"


def runs(number: int) -> bool:
    """Whether a process is there that has not ended."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_that_keeps_its_limits_ends_by_itself():
    found = limited([sys.executable, "-c", "raise SystemExit(3)"], **LIMITS)
    assert (found.status, found.limit) == (3, "")


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        ("while True: pass", {"core_seconds": 2.0}),
        ("import time; time.sleep(600)", {"clock_seconds": 1.0}),
        ("import time; held = bytearray(b'1') * 300_000_000; time.sleep(600)", {"most_bytes": 200_000_000}),
    ],
)
def test_what_takes_more_is_ended_with_what_it_started(tmp_path, code, limit):
    file = tmp_path / "child"
    found = limited([sys.executable, "-c", CHILD.format(code=code, file=str(file))], **(LIMITS | limit))
    assert found.status is None
    assert (
        found.limit
        == {"core_seconds": "2 s of a core", "clock_seconds": "1 s of the clock", "most_bytes": "0.2 GB"}[
            next(iter(limit))
        ]
    )
    if "core_seconds" in limit:
        assert found.core_seconds > 2
    if "most_bytes" in limit:
        assert found.most_bytes > 200_000_000
    child = int(file.read_text())
    end = time.monotonic() + 30
    while runs(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not runs(child)


def test_how_far_a_run_came_is_what_its_newest_step_says(tmp_path):
    (tmp_path / "old.json").write_text('[0.9, "train 2/2"]')
    os.utime(tmp_path / "old.json", (1000, 1000))
    assert _reached(tmp_path, 2000) == "films, plan and start of processes"
    (tmp_path / "new.json").write_text('[0.5, "train 1/2"]')
    assert _reached(tmp_path, 2000) == "train 1/2"


def test_a_key_names_its_pair():
    pair = Pair("noise", "scr_3fold", "paper")
    assert Pair.of(pair.key) == pair
