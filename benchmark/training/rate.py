"""How many images a second a training takes."""

from __future__ import annotations

import time

import numpy as np
import torch

from ..device import synchronise

WINDOWS = 5  # the training rate is the median over this many windows of steps, after the warm-up


WARMUP_STEPS = 5


class Rate:
    """Images per second as the median over windows of steps, warm-up excluded, device synchronised."""

    def __init__(self, device: torch.device, total: int) -> None:
        self.device = device
        self.first = min(WARMUP_STEPS, total // 2)
        self.width = max(1, (total - self.first) // WINDOWS)
        self.start = 0.0
        self.images = 0
        self.rates: list[float] = []

    def after(self, step: int, images: int) -> None:
        """Count the images of a finished step."""
        self.images += images
        if step + 1 == self.first or (step + 1 > self.first and (step + 1 - self.first) % self.width == 0):
            synchronise(self.device)
            now = time.perf_counter()
            if self.start:
                self.rates.append(self.images / (now - self.start))
            self.start, self.images = time.perf_counter(), 0

    def pause(self, seconds: float) -> None:
        """Leave out time that was not training (validation, checkpoints)."""
        if self.start:
            self.start += seconds

    def median(self) -> float:
        """Images per second; 0 when the training was too short to tell (one or two steps)."""
        if not self.rates and self.start and self.images:  # stopped early, before the first window was over
            synchronise(self.device)
            return self.images / (time.perf_counter() - self.start)
        return float(np.median(self.rates)) if self.rates else 0.0
