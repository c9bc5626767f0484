"""Kernels that rates are held against: a small one of fixed size as a unit of time, large ones for the most a device does.

A rate in units of the small one, measured in turns with it in the same process, hardly depends on how busy the machine is
and carries over to another one of its kind. FLOPs are 2 per multiplication with addition, as PyTorch's counter has them.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ..device import synchronise

BLOCK_SECONDS = 0.1
"""A kernel is repeated until a block of calls takes that long; the block is what is timed."""
PEAK_ROUNDS = 5
MOST_CALLS = 100_000

Call = Callable[[], object]


def seconds_of(call: Call, calls: int, device: torch.device) -> float:
    """Seconds of one of `calls` calls: by the device's own events on CUDA, by the clock between two waits elsewhere."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(calls):
                call()
            end.record()
            end.synchronize()
        return float(start.elapsed_time(end)) / 1e3 / calls
    synchronise(device)
    begun = time.perf_counter()
    for _ in range(calls):
        call()
    synchronise(device)
    return (time.perf_counter() - begun) / calls


def calls_of_a_block(call: Call, device: torch.device, seconds: float = BLOCK_SECONDS) -> int:
    """How many calls take about `seconds`; the calls made to find out are the warm-up."""
    calls = 1
    while True:
        taken = seconds_of(call, calls, device) * calls
        if taken >= seconds / 4 or calls >= MOST_CALLS:
            return max(1, min(MOST_CALLS, math.ceil(calls * seconds / max(taken, 1e-9))))
        calls *= 4


def matmul(side: int, device: torch.device, dtype: torch.dtype) -> tuple[Call, float]:
    """A product of square matrices, and its FLOPs."""
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty(side, side, device=device, dtype=dtype)
    return lambda: torch.mm(a, b, out=out), 2.0 * side**3


def convolution(films: int, channels: int, side: int, device: torch.device, dtype: torch.dtype) -> tuple[Call, float]:
    """A 3 x 3 convolution of films (films, channels, side, side) that keeps their shape, and its FLOPs."""
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    x = torch.rand(films, channels, side, side, device=device, dtype=dtype).to(memory_format=layout)
    weight = torch.rand(channels, channels, 3, 3, device=device, dtype=dtype).to(memory_format=layout)

    def call() -> Tensor:
        with torch.no_grad():
            return F.conv2d(x, weight, padding=1)

    return call, 2.0 * films * side**2 * channels**2 * 9


class Reference:
    """The unit: a product of 512 x 512 matrices, then a 3 x 3 convolution of 8 films of 128 x 16 x 16, in float32.

    Its arrays are small on purpose: outputs of some megabytes cost page faults or not, as the memory of the process happens
    to be, and the unit of two providers would differ by a third."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        product, _ = matmul(512, device, torch.float32)
        film, _ = convolution(8, 128, 16, device, torch.float32)
        self._call: Call = lambda: (product(), film())
        self._calls = calls_of_a_block(self._call, device)

    def seconds(self) -> float:
        """Seconds of one call, from a block of them."""
        return seconds_of(self._call, self._calls, self.device)


def peak_of(device: torch.device, dtype: torch.dtype, reference: Reference) -> tuple[float, float]:
    """The most that a large product or convolution reaches here: floating-point operations a second (of its quickest block),
    and in the time of a call of the reference, with which it takes turns (median)."""
    large = device.type != "cpu"
    kernels = [
        matmul(8192 if large else 512, device, dtype),
        convolution(*((64, 256, 64) if large else (8, 128, 16)), device, dtype),  # small on a CPU: see Reference
    ]
    found = []
    for call, flops in kernels:
        calls = calls_of_a_block(call, device)
        seconds, units = in_turns(PEAK_ROUNDS, partial(seconds_of, call, calls, device), reference.seconds)
        ratios = [flops / ours * theirs for ours, theirs in zip(seconds, units, strict=True)]
        found.append((statistics.median(ratios), flops / min(seconds)))
    per_reference, per_second = max(found)
    return per_second, per_reference


def in_turns(rounds: int, call: Callable[[], float], reference: Callable[[], float]) -> tuple[list[float], list[float]]:
    """What `call` and `reference` gave in each round, measured A B, B A, A B, ... so that a slow drift hits both alike."""
    ours, theirs = [], []
    for number in range(rounds):
        if number % 2:
            theirs.append(reference())
        ours.append(call())
        if not number % 2:
            theirs.append(reference())
    return ours, theirs
