"""Arithmetic that gives the same bits on every processor.

`np.exp` and its like, `math.exp`, sums, matrix products, OpenCV and the distributions of numpy's `Generator` round
differently on processors with other vector instructions, with another C library or in another version. Here only
operations are used whose result IEEE 754 (binary64) prescribes to the bit: + - * / and the square root, each rounded by
itself, comparisons, rounding to whole numbers, and integers. Sums run in a fixed order or over integers, where any order
is exact (a matrix product of whole numbers below 2**53 is a sum of that kind).

Functions take a float or a float64 array of any shape and return the same. They are accurate to a few units in the last
place (`tests/benchmark/test_exact.py` holds them against mpmath).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any, overload

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_DIGITS = 40  # of the decimal arithmetic that tables are made with


def _tables() -> tuple[Array, Array, Array, Decimal]:
    """2**(j / 256); 1 / (1 + (j + 1/2) / 128) and its logarithm with the sign changed; ln 2. Correctly rounded."""
    with localcontext() as context:
        context.prec = _DIGITS
        ln2 = Decimal(2).ln()
        powers = np.array([float((ln2 * j / 256).exp()) for j in range(256)])
        inverses = np.array([256.0 / (257.0 + 2.0 * j) for j in range(128)])
        logs = np.array([float(-Decimal(inverse).ln()) for inverse in inverses.tolist()])
    return powers, inverses, logs, ln2


_POWERS, _INVERSES, _LOGS, _LN2 = _tables()
_POWER_BITS = _POWERS.view(np.int64)
_PI = Decimal("3.1415926535897932384626433832795028841971694")


def _halves(value: Decimal, bits: int) -> tuple[float, float]:
    """A number as the sum of two: the first with so few bits that its product with an integer of 53 - bits is exact."""
    scale = 2.0 ** (bits - math.frexp(float(value))[1])
    high = round(float(value) * scale) / scale
    with localcontext() as context:
        context.prec = _DIGITS
        return high, float(value - Decimal(high))


_STEP_HIGH, _STEP_LOW = _halves(_LN2 / 256, 33)
_LN2_HIGH, _LN2_LOW = _halves(_LN2, 40)
_QUARTER_HIGH, _QUARTER_LOW = _halves(_PI / 2, 33)
_STEPS = float(256 / _LN2)
_QUARTERS = float(2 / _PI)
_EXP_LEAST, _EXP_MOST = -708.0, 709.0
_SMALLEST = 2.0**-1022


@overload
def exp(x: float) -> float: ...
@overload
def exp(x: Array) -> Array: ...
def exp(x: float | Array) -> float | Array:
    """e to the x. Below -708 it is that of -708 (3e-308), above 709 that of 709."""
    if isinstance(x, np.ndarray):
        z = np.minimum(np.maximum(x, _EXP_LEAST), _EXP_MOST)
        count = np.rint(z * _STEPS)
        step = count.astype(np.int64)
        bits = _POWER_BITS.take(step & 255)
        step >>= 8
        step <<= 52
        bits += step  # the exponent of a float64 lies in its upper bits: times a power of two
        return _exp_part(z, count, bits.view(np.float64))
    one = min(max(x, _EXP_LEAST), _EXP_MOST)
    whole = round(one * _STEPS)
    return math.ldexp(_exp_part(one, float(whole), float(_POWERS[whole & 255])), whole >> 8)


def _exp_part(z: Any, count: Any, power: Any) -> Any:
    """A power of 2 times e to what z has beyond `count` steps of ln 2 / 256."""
    rest = z - count * _STEP_HIGH
    rest = rest - count * _STEP_LOW
    # |rest| <= ln 2 / 512: the next term of the series is below 4e-17.
    series = rest * (1.0 / 24.0)
    for factor in (1.0 / 6.0, 0.5, 1.0):
        series += factor
        series *= rest
    series *= power
    series += power
    return series


@overload
def log(x: float) -> float: ...
@overload
def log(x: Array) -> Array: ...
def log(x: float | Array) -> float | Array:
    """The natural logarithm of normal positive numbers (what is smaller counts as 2.2e-308)."""
    if isinstance(x, np.ndarray):
        bits = np.maximum(x, _SMALLEST).view(np.int64)
        power = ((bits >> 52) - 1023).astype(np.float64)
        place = (bits >> 45) & 127
        mantissa = ((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000).view(np.float64)  # [1, 2)
        return _log_part(mantissa, power, _INVERSES.take(place), _LOGS.take(place))
    half, above = math.frexp(max(x, _SMALLEST))
    at = int(256.0 * half) - 128
    return float(_log_part(2.0 * half, above - 1.0, float(_INVERSES[at]), float(_LOGS[at])))


def _log_part(mantissa: Any, power: Any, inverse: Any, known: Any) -> Any:
    rest = mantissa * inverse - 1.0
    # |rest| <= 1 / 257: the next term of the series is below 2e-18.
    series = rest * (-1.0 / 6.0)
    for factor in (1.0 / 5.0, -1.0 / 4.0, 1.0 / 3.0, -1.0 / 2.0, 1.0):
        series += factor
        series *= rest
    series += power * _LN2_LOW
    series += known
    return series + power * _LN2_HIGH


@overload
def power(x: float, exponent: float) -> float: ...
@overload
def power(x: Array, exponent: float) -> Array: ...
def power(x: float | Array, exponent: float) -> float | Array:
    """x to the exponent (> 0) for x >= 0; 0 where x <= 0."""
    if isinstance(x, np.ndarray):
        return exp(exponent * log(x)) * (x > 0.0)
    return exp(exponent * log(x)) if x > 0.0 else 0.0


_SINE = tuple((-1.0) ** n / math.factorial(2 * n + 1) for n in range(8, -1, -1))
_COSINE = tuple((-1.0) ** n / math.factorial(2 * n) for n in range(8, -1, -1))


def circle(x: Array) -> tuple[Array, Array]:
    """Cosine and sine of angles in radians, |x| up to 1e5."""
    count = np.rint(x * _QUARTERS)
    cosine, sine = _circle_part(x, count)
    quarter = count.astype(np.int64) & 3
    swapped = (quarter & 1).astype(bool)
    across, up = np.where(swapped, sine, cosine), np.where(swapped, cosine, sine)
    return across * _ACROSS.take(quarter), up * _UP.take(quarter)


_ACROSS, _UP = np.array([1.0, -1.0, -1.0, 1.0]), np.array([1.0, 1.0, -1.0, -1.0])


def _circle_part(x: Any, count: Any) -> tuple[Any, Any]:
    """Cosine and sine of what x has beyond `count` quarters of a turn."""
    rest = x - count * _QUARTER_HIGH
    rest = rest - count * _QUARTER_LOW
    square = rest * rest
    sine, cosine = square * _SINE[0], square * _COSINE[0]
    for odd, even in zip(_SINE[1:-1], _COSINE[1:-1], strict=True):
        sine += odd
        sine *= square
        cosine += even
        cosine *= square
    return cosine + 1.0, (sine + 1.0) * rest


def _of_one(x: float) -> tuple[float, float]:
    count = round(x * _QUARTERS)
    cosine, sine = _circle_part(x, float(count))
    return ((cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine))[count & 3]


@overload
def sin(x: float) -> float: ...
@overload
def sin(x: Array) -> Array: ...
def sin(x: float | Array) -> float | Array:
    """The sine of an angle in radians, |x| up to 1e5."""
    return circle(x)[1] if isinstance(x, np.ndarray) else _of_one(x)[1]


@overload
def cos(x: float) -> float: ...
@overload
def cos(x: Array) -> Array: ...
def cos(x: float | Array) -> float | Array:
    """The cosine of an angle in radians, |x| up to 1e5."""
    return circle(x)[0] if isinstance(x, np.ndarray) else _of_one(x)[0]


def bell(square: Array) -> Array:
    """exp(-square) for square >= 0, and 0 where that is below 1e-10; cheap where most of an array is far from 0."""
    flat = np.ascontiguousarray(square).reshape(-1)
    near = np.flatnonzero(flat < 23.0)
    value = np.zeros_like(flat)
    value[near] = exp(-flat[near])
    return value.reshape(square.shape)


def interp(x: Array, at: Sequence[float] | Array, values: Sequence[float] | Array) -> Array:
    """`np.interp`: straight lines between the points (`at` ascending), the end values beyond them."""
    known, heights = np.asarray(at, np.float64), np.asarray(values, np.float64)
    place = np.minimum(np.searchsorted(known[1:], x, side="right"), len(known) - 2)
    share = (x - known.take(place)) / (known[1:] - known[:-1]).take(place)
    share = np.minimum(np.maximum(share, 0.0), 1.0)
    return heights.take(place) + share * (heights[1:] - heights[:-1]).take(place)


def total(values: Array, axis: int = 0) -> Array:
    """The sum along an axis, from its first to its last element."""
    return np.take(np.add.accumulate(values, axis=axis), -1, axis=axis)


def box_mean(plane: Array, window: int, times: int = 1) -> Array:
    """The mean over window x window pixels, `times` over, float64 (H, W); beyond the border its edge goes on.

    Values (at most 8 in size) are rounded to whole multiples of 2**-20 or a little more, so that OpenCV adds whole numbers
    below 2**53 and every order of its sums gives the same. Of an even window the one pixel more lies above and to the left.
    """
    area = window ** (2 * times)
    scale = 2.0 ** min(20, 49 - area.bit_length())
    sums = np.rint(plane * scale)
    for _ in range(times):
        sums = cv2.boxFilter(sums, -1, (window, window), normalize=False, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(sums, np.float64) / (area * scale)


_WHOLE = 2.0**16


@lru_cache(maxsize=32)
def _cubic_weights(count: int, side: int) -> Array:
    """Weights (side, count) of Keys' cubic convolution (a = -3/4) in whole multiples of 2**-16; the edges go on."""
    at = (np.arange(float(side)) + 0.5) * (float(count) / float(side)) - 0.5
    first = np.floor(at)
    t = at - first
    weights = np.zeros((side, count))
    for offset in (-1, 0, 1, 2):
        d = np.abs(t - float(offset))
        near = (1.25 * d - 2.25) * d * d + 1.0
        far = ((-0.75 * d + 3.75) * d - 6.0) * d + 3.0
        column = np.clip(first.astype(np.int64) + offset, 0, count - 1)
        np.add.at(weights, (np.arange(side), column), np.rint(_WHOLE * np.where(d <= 1.0, near, far)))
    return weights


def cubic(grid: Array, side: int) -> Array:
    """A grid (n, n) of values up to 8 in size, interpolated to (side, side) by cubic convolution.

    Both products are sums of whole numbers below 2**53 and so exact in any order (a row of weights sums to 1.6 at most).
    """
    weights = _cubic_weights(len(grid), side)
    whole = np.rint(grid * _WHOLE)
    return (weights @ whole @ weights.T) / (_WHOLE * _WHOLE * _WHOLE)


@lru_cache(maxsize=32)
def _gaussian_weights(count: int, spread: float) -> Array:
    """Weights (count, count) of a Gaussian in whole multiples of 2**-16, mirrored at the edges."""
    radius = math.ceil(4.0 * spread)
    offsets = np.arange(float(2 * radius + 1)) - float(radius)
    bell_curve = exp(-0.5 * (offsets / spread) * (offsets / spread))
    whole = np.rint(_WHOLE * (bell_curve / float(total(bell_curve))))
    place = (np.arange(count)[:, None] + np.arange(-radius, radius + 1)) % (2 * count)
    weights = np.zeros((count, count))
    for row, columns in enumerate(np.minimum(place, 2 * count - 1 - place)):
        np.add.at(weights[row], columns, whole)
    return weights


def smooth(plane: Array, spread: float) -> Array:
    """A plane (n, n) of values up to 8 in size under a Gaussian of standard deviation `spread` pixels, mirrored at the edges
    (`cv2.BORDER_REFLECT`). The products are sums of whole numbers, as in `cubic`; weights below 2**-17 are left out."""
    weights = _gaussian_weights(len(plane), spread)
    return (weights @ np.rint(plane * _WHOLE) @ weights.T) / (_WHOLE * _WHOLE * _WHOLE)


def _cut(plane: Array, low: int, high: int | None, axis: int) -> Array:
    return plane[low:high] if axis == 0 else plane[:, low:high]


def _edged(plane: Array, before: int, after: int, axis: int) -> Array:
    """A plane with the first and the last of its rows (columns) repeated."""
    shape = list(plane.shape)
    shape[axis] += before + after
    wide = np.empty(shape)
    stop = before + plane.shape[axis]
    _cut(wide, 0, before, axis)[:] = _cut(plane, 0, 1, axis)
    _cut(wide, before, stop, axis)[:] = plane
    _cut(wide, stop, None, axis)[:] = _cut(plane, -1, None, axis)
    return wide


def gaussian_blur(plane: Array, spread: float, radius: int) -> Array:
    """A Gaussian of standard deviation `spread` pixels, cut at `radius`, over float64 (H, W); beyond the border its edge
    goes on."""
    offsets = np.arange(float(radius + 1)) / spread
    weights = exp(-0.5 * offsets * offsets)
    weights /= weights[0] + 2.0 * total(weights[1:])
    for axis in (0, 1):
        wide, size = _edged(plane, radius, radius, axis), plane.shape[axis]
        blurred = weights[0] * plane
        for step, weight in enumerate(weights[1:].tolist(), start=1):
            sides = _cut(wide, radius - step, radius - step + size, axis)
            blurred += weight * (sides + _cut(wide, radius + step, radius + step + size, axis))
        plane = blurred
    return plane


# ----------------------------------------------------------------------------------------------- the normal distribution

# Wichura, Algorithm AS 241, Applied Statistics 37 (1988) 477-484, PPND16: numerators and denominators, highest power first.
_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
_MIDDLE = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)  # fmt: skip


def _ratio(x: Any, fraction: tuple[tuple[float, ...], tuple[float, ...]]) -> Any:
    (above, *overs), (below, *unders) = fraction
    for over, under in zip(overs, unders, strict=True):
        above = above * x + over
        below = below * x + under
    return above / below


@overload
def normal_quantile(share: float) -> float: ...
@overload
def normal_quantile(share: Array) -> Array: ...
def normal_quantile(share: float | Array) -> float | Array:
    """The standard normal value below which a share in (0, 1) lies (Wichura's AS 241)."""
    if isinstance(share, np.ndarray):
        off = share - 0.5
        value = off * _ratio(0.180625 - off * off, _CENTRE)
        tail = np.flatnonzero(np.abs(off) > 0.425)
        outer = np.minimum(share, 1.0 - share)[tail]
        beyond = np.sqrt(-log(outer))
        far = np.where(beyond <= 5.0, _ratio(beyond - 1.6, _MIDDLE), _ratio(beyond - 5.0, _FAR))
        value[tail] = np.where(off[tail] < 0.0, -far, far)
        return value
    gap = share - 0.5
    if abs(gap) <= 0.425:
        return float(gap * _ratio(0.180625 - gap * gap, _CENTRE))
    away = math.sqrt(-log(min(share, 1.0 - share)))
    found = float(_ratio(away - 1.6, _MIDDLE) if away <= 5.0 else _ratio(away - 5.0, _FAR))
    return -found if gap < 0.0 else found


def normal_share(x: Array) -> Array:
    """The share of a standard normal distribution below x, |x| up to 6 (beyond: that of 6).

    Half plus the density times the series x + x**3 / 3 + x**5 / 15 + ... (Abramowitz and Stegun 26.2.11).
    """
    z = np.clip(np.asarray(x, np.float64), -6.0, 6.0)
    square, term = z * z, np.array(z)
    series = np.array(z)
    for odd in range(3, 201, 2):
        term = term * square / float(odd)
        series = series + term
    return 0.5 + series * exp(-0.5 * square) * 0.3989422804014327
