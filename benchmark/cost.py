"""What a provider costs: sampling rate and memory. Rates exclude warm-up and wait for the device."""

from __future__ import annotations

import resource
import statistics
import sys
import time

from .errors import CxrbenchError
from .provider import Provider

ROUNDS = 5
ROUND_FILMS = 64
BUDGET_SECONDS = 60.0


def require_device(device: str) -> None:
    """CxrbenchError for a CUDA device that torch cannot use here."""
    if not device.startswith("cuda"):
        return
    import torch

    if not torch.cuda.is_available():
        raise CxrbenchError(f"device {device}: this machine has no CUDA device that torch can use; try --device cpu")


def _synchronise(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def sampling_rate(provider: Provider, n: int, *, first_seconds: float) -> tuple[float, int]:
    """(films per second, rounds): the median of five rounds of up to 64 films after a first sampling of `n` films took
    `first_seconds`, which was the warm-up; where five rounds would take over a minute, that first sampling alone."""
    films = min(ROUND_FILMS, n)
    if first_seconds / n * films * ROUNDS > BUDGET_SECONDS:
        return n / first_seconds, 1
    rates = []
    for seed in range(ROUNDS):
        _synchronise(provider.device)
        start = time.perf_counter()
        made = sum(len(batch.images) for batch in provider.sample(films, seed=seed))
        _synchronise(provider.device)
        rates.append(made / (time.perf_counter() - start))
    return statistics.median(rates), ROUNDS


def peak_memory(device: str) -> int:
    """Peak bytes: of the device on CUDA, else the resident set of this process."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_name(device: str) -> str:
    """The name of the chip."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name())
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        models = []
    return models[0] if models else platform.processor() or platform.machine()
