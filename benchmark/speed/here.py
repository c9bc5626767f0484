"""This machine as a device that costs are said of: its memory, and the speed of a processor, measured now.

As a program it answers how fast products and convolutions are here, in a process of its own with a step's threads.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..device import device_name
from ..processes import answer, run_apart
from .counted import Chip, shown_rate

PROCESSOR_SHARE = 0.25
"""Share of that speed that trainings reach on a processor: the median of 52 measured ones on the throughput board (AMD EPYC,
one thread, `quick`)."""
TIME_LIMIT = 300.0
PROGRAM = "cxrbench.benchmark.speed.here"
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def memory_of(device: str) -> int:
    """Bytes of memory of a device of this machine; 0 where that is not known."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.get_device_properties(device).total_memory) if torch.cuda.is_available() else 0
    if device != "cpu":
        return 0
    found = 0
    with suppress(OSError, ValueError):
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):
        found = min(found, int(_CGROUP.read_text(encoding="ascii")))
    return found


def processor(threads: int) -> Chip:
    """This machine's processor with a step's threads. ProviderError where its speed cannot be measured."""
    hint = "another device can be named"
    found = run_apart(
        PROGRAM, json.dumps(threads) + "\n", threads=threads, time_limit=TIME_LIMIT, label="speed of cpu", hint=hint
    )
    speed = float(found["flops_per_second"])
    title = f"{device_name('cpu')}, {threads} thread{'s' * (threads > 1)}, {shown_rate(speed)} measured now"
    return Chip(title, speed, speed, memory_of("cpu"), share=PROCESSOR_SHARE, said="of it, the board's median")


def _measured(line: str) -> dict[str, Any]:
    import torch

    from .reference import Reference, peak_of

    torch.set_num_threads(int(json.loads(line)))
    device = torch.device("cpu")
    speed, _ = peak_of(device, torch.float32, Reference(device))
    return {"flops_per_second": speed}


if __name__ == "__main__":
    answer(_measured)
