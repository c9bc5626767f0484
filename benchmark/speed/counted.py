"""What one step of every training of a fit or a cell costs, counted without doing it, and what that means on a device.

FLOPs, operations and bytes are counted; hours are not measured: they follow from the counts and from a stated share of the
device's peak, unless a throughput board has measured rates (`forecast`). Without torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydantic import Field

from ..errors import InputError, unknown
from ..runs.job import Cell, Work
from ..schema import Strict

SHARE = 0.15
"""Share of a device's peak that a training is taken to reach: stated, not measured."""
OPERATION_SECONDS = 1e-5
"""What starting one operation takes at the least: small networks wait for it."""
SPARE = 1.15
"""Bytes that a device needs for each counted one: the caching allocator and workspaces of convolutions, not counted."""


class CountAsk(Strict):
    """One count: of the fit of a cell's provider, or of its downstream training."""

    work: Work
    cell: Cell
    fit: bool
    real: bool = True
    """Whether steps may be done on real tensors, with their memory and time, where those without memory do not serve."""


class TrainingCount(Strict):
    """One training. `steps` are those of the settings; a validated training may stop earlier."""

    name: str
    steps: int = Field(ge=0)
    batch: int = Field(ge=0)
    """Films of a step at full size."""
    step_flops: float = Field(ge=0)
    """The mean of the steps that were counted, at full size: 2 a multiply-add, forward and backward."""
    flops: float = Field(ge=0)
    """Of the whole training; one that grows has smaller steps before."""
    operations: int = Field(ge=0)
    """Operations of such a step."""
    device_bytes: int = Field(ge=0)
    """Most that is held at once: weights, gradients, state of the optimiser, activations, what operations give."""
    reduced: bool
    """Whether CUDA computes its products in bfloat16; the bytes are those of float32, so never too few."""


class Count(Strict):
    """All that was counted of a fit or a cell."""

    trainings: tuple[TrainingCount, ...] = ()
    sampling_flops: float = Field(default=0.0, ge=0)
    """For one film."""
    sampling_bytes: int = Field(default=0, ge=0)
    host_bytes: int = Field(default=0, ge=0)
    """Films, masks and synthetic films that the host holds at once."""
    how: str = "fake"
    """fake: on tensors without memory; real: on real ones, where an operation depends on values."""
    note: str = ""

    @property
    def flops(self) -> float:
        """Of all trainings."""
        return sum(one.flops for one in self.trainings)

    @property
    def device_bytes(self) -> int:
        """The most of any training or of sampling."""
        return max((self.sampling_bytes, *(one.device_bytes for one in self.trainings)))


@dataclass(frozen=True)
class Chip:
    """A device by its data sheet: dense peaks in FLOP/s, and memory."""

    title: str
    peak: float
    """In float32; of tensor cores in TF32 where there are some."""
    reduced_peak: float
    """In bfloat16 with sums in float32."""
    memory: int
    half_peak: float = 0.0
    """In float16, where that is faster than both."""
    share: float = SHARE
    """Share of these that a training is taken to reach."""
    said: str = "of peak FLOP/s, or 10 us an operation: stated, not measured"
    """Of what, and how that is known."""

    @property
    def most(self) -> float:
        """FLOP/s that nothing on it is above: the fastest of its peaks, and `SPARSE` of that."""
        return SPARSE * max(self.peak, self.reduced_peak, self.half_peak)


SPARSE = 2.0
"""What data sheets multiply dense peaks with for weights of which half are zero, or for numbers of eight bits."""
GB = 10**9
CHIPS: Mapping[str, Chip] = {
    "h200": Chip("H200 SXM, 141 GB", 494e12, 989e12, 141 * GB),
    "h100": Chip("H100 SXM, 80 GB", 494e12, 989e12, 80 * GB),
    "a100": Chip("A100, 40 GB", 156e12, 312e12, 40 * GB),
    "v100": Chip("V100, 32 GB", 15.7e12, 15.7e12, 32 * GB, half_peak=125e12),
    "t4": Chip("T4, 16 GB", 8.1e12, 8.1e12, 16 * GB, half_peak=65e12),
    "l4": Chip("L4, 24 GB", 60e12, 121e12, 24 * GB),
    "l40s": Chip("L40S, 48 GB", 183e12, 362e12, 48 * GB),
    "rtx4090": Chip("RTX 4090, 24 GB", 82.6e12, 165e12, 24 * GB),
    "rtx3090": Chip("RTX 3090, 24 GB", 35.6e12, 71e12, 24 * GB),
}


def chip_of(name: str) -> Chip:
    """A chip by its name; InputError lists them."""
    if name not in CHIPS:
        raise unknown("device", name, [*CHIPS, "cpu"])
    return CHIPS[name]


def chip_called(device: str) -> Chip | None:
    """The chip that a device's name tells, as drivers say it (`NVIDIA H100 80GB HBM3`, `Tesla T4`); None for one that is not
    known, or where several are named."""
    words = re.findall(r"[a-z0-9]+", device.lower())
    found = {*words, *(first + second for first, second in pairwise(words))} & CHIPS.keys()
    return CHIPS[found.pop()] if len(found) == 1 else None


def bytes_of_text(text: str) -> int:
    """`24GB` as bytes; InputError for anything else."""
    number = text.strip().upper().removesuffix("B").removesuffix("G")
    try:
        found = float(number)
    except ValueError:
        found = 0.0
    if found <= 0:
        raise InputError(f"--memory {text}: expected a number of gigabytes, 24GB")
    return int(found * GB)


def seconds_on(chip: Chip, training: TrainingCount) -> float:
    """How long a training takes by its FLOPs at the stated share, or by the start of its operations where that is longer."""
    peak = chip.reduced_peak if training.reduced else chip.peak
    return max(training.flops / (chip.share * peak), training.steps * training.operations * OPERATION_SECONDS)


def needed(count: Count) -> int:
    """Bytes of device memory that the work needs."""
    return int(count.device_bytes * SPARE)


def advice(name: str, count: Count, memory: int) -> str:
    """One line where the work does not fit a device's memory; empty where it does."""
    if needed(count) <= memory:
        return ""
    largest = max(count.trainings, key=lambda one: one.device_bytes, default=None)
    if largest is None or largest.device_bytes < count.sampling_bytes:
        return (
            f"{name}: sampling needs {shown_bytes(needed(count))} of {shown_bytes(memory)}: sample at a smaller preset"
        )
    fits = int(largest.batch * memory / needed(count))
    cure = f"a batch of {fits} would fit" if fits else "take films of fewer pixels or a smaller preset"
    said = f"training '{largest.name}' needs {shown_bytes(needed(count))} of {shown_bytes(memory)}"
    return f"{name}: {said} with batches of {largest.batch}: {cure}"


def shown_bytes(count: float) -> str:
    """`3.2 GB`."""
    return f"{count / GB:.1f} GB"


def shown_rate(rate: float) -> str:
    """`223 GFLOP/s`."""
    return f"{shown_flops(rate)}/s"


def shown_flops(flops: float) -> str:
    """`1.2 PFLOP`, `830 TFLOP`."""
    for unit, size in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9)):
        if flops >= size:
            return f"{flops / size:.3g} {unit}FLOP"
    return f"{flops:.3g} FLOP"


def total_seconds(chip: Chip, counts: Sequence[Count]) -> float:
    """Of all trainings one after the other."""
    return sum(seconds_on(chip, one) for count in counts for one in count.trainings)
