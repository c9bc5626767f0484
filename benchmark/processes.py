"""Work in a process of its own, for measurements: what one provider leaves in memory, in caches or on the device does not
touch the next. The child is a module run as a program; it reads one line from standard input and answers with one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from .errors import CxrbenchError, ProviderError

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# glibc hands memory of the size of a batch back to the system at every step of a training and asks for it again, which
# took up to a third of the time of a small network on a processor. Other C libraries ignore these names.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}


def surroundings(threads: int) -> dict[str, str]:
    """The environment variables of a process that computes with that many threads."""
    return KEEP_MEMORY | os.environ | dict.fromkeys(THREADS, str(threads))


def run_apart(module: str, line: str, *, threads: int, time_limit: float, label: str, hint: str) -> dict[str, Any]:
    """What `answer` found in a fresh process with that many threads. ProviderError, which begins with `label`, when it
    fails or takes more than `time_limit` seconds (`hint` says what to do then)."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", module],
            input=line,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=time_limit,
            env=surroundings(threads),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProviderError(f"{label}: took more than {time_limit:.0f} s and was stopped ({hint})") from None
    if done.returncode or not done.stdout.strip():
        last = done.stderr.strip().splitlines()[-1:] or ["nothing was said"]
        raise ProviderError(f"{label}: the process exited with code {done.returncode}: {last[0]}")
    outcome = json.loads(done.stdout)
    if "error" in outcome:
        raise ProviderError(outcome["error"])
    return dict(outcome["ok"])


def answer(perform: Callable[[str], dict[str, Any]]) -> None:
    """The child's part: give `perform` the line and write what it found; what else is printed goes to standard error."""
    line = sys.stdin.readline()
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        outcome: dict[str, Any] = {"ok": perform(line)}
    except CxrbenchError as error:
        outcome = {"error": str(error)}
    with channel:
        channel.write(json.dumps(outcome))
