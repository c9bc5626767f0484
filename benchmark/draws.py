"""Random numbers that are the same on every processor and in every version of numpy.

They come from PCG64's raw stream, which numpy promises to keep (NEP 19); what is made of them is defined here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .exact import Array, normal_quantile

T = TypeVar("T")
_NOISE = normal_quantile((np.arange(65536.0) + 0.5) / 65536.0)


class Draw:
    """Random numbers from a seed (integers from 0 on; zeros at its end do not count): the same everywhere, for ever."""

    def __init__(self, *seed: int) -> None:
        self._bits = np.random.PCG64(list(seed))

    def _share(self) -> float:
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def random(self) -> float:
        """Evenly from [0, 1)."""
        return self._share()

    def uniform(self, low: float, high: float) -> float:
        """Evenly from [low, high)."""
        return low + (high - low) * self._share()

    def normal(self, mean: float = 0.0, spread: float = 1.0) -> float:
        """From a normal distribution."""
        return mean + spread * normal_quantile(self._share() + 2.0**-54)

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high - 1."""
        return low + (int(self._bits.random_raw()) * (high - low) >> 64)

    def choice(self, among: Sequence[T]) -> T:
        """One of a sequence."""
        return among[self.integer(0, len(among))]

    def order(self, count: int) -> NDArray[np.int64]:
        """The numbers 0 to count - 1 in a random order, int64 (count,)."""
        return np.argsort(self._bits.random_raw(count), kind="stable")

    def integers(self, low: int, high: int, count: int) -> NDArray[np.int64]:
        """Whole numbers from low to high - 1 (at most 2**21 of them), int64 (count,)."""
        return low + np.floor(self.shares(count) * (high - low)).astype(np.int64)

    def shares(self, count: int) -> Array:
        """Evenly from [0, 1), float64 (count,)."""
        return (self._bits.random_raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def uniforms(self, low: float, high: float, count: int) -> Array:
        """Evenly from [low, high), float64 (count,)."""
        return low + (high - low) * self.shares(count)

    def uniform_noise(self, *shape: int) -> Array:
        """Evenly from [-1, 1) in steps of 2**-15, float64 of a shape."""
        size = math.prod(shape)
        raw = self._bits.random_raw((size + 3) // 4).astype("<u8").view("<u2")
        return (raw[:size].astype(np.float64) / 32768.0 - 1.0).reshape(shape)

    def noise(self, *shape: int) -> Array:
        """Standard normal in 65,536 equally likely values (up to 4.2), float64 of a shape."""
        size = math.prod(shape)
        raw = self._bits.random_raw((size + 3) // 4).astype("<u8").view("<u2")
        return _NOISE.take(raw[:size]).reshape(shape)
