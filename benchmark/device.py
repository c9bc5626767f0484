"""Where a computation runs: whether that is possible, what it is called, how much memory was used."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING

from .errors import CxrbenchError

if TYPE_CHECKING:
    import torch


def require_device(device: str) -> None:
    """CxrbenchError for a CUDA device that torch cannot use here."""
    if not device.startswith("cuda"):
        return
    import torch

    if not torch.cuda.is_available():
        raise CxrbenchError(f"device {device}: this machine has no CUDA device that torch can use; try --device cpu")


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


def synchronise(device: torch.device | str) -> None:
    """Wait until the device has done what was asked of it."""
    kind = str(device).partition(":")[0]
    if kind in ("cuda", "mps"):
        import torch

        if kind == "cuda":
            torch.cuda.synchronize(device)
        else:
            torch.mps.synchronize()
