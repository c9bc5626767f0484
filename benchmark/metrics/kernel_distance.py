"""The kernel distance of two sets of feature vectors (KID): the full unbiased statistic, with a standard error.

Binkowski et al., "Demystifying MMD GANs" (ICLR 2018): squared maximum mean discrepancy with the kernel (x.y / D + 1)^3. No
subsets are drawn: their spread is that of the subsets, and of subsets as large as the set it is nothing.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError


def kernel_distance(real: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The unbiased squared discrepancy of features (N, D) and (M, D), which may be below 0, and its standard error.

    The error is the jackknife's, each film left out once; it needs the sums of rows alone. InputError for fewer than three
    films of a side or other dimensions.
    """
    a, b = np.asarray(real, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if min(len(a), len(b)) < 3 or a.shape[1] != b.shape[1]:
        raise InputError(
            f"kernel distance of features {a.shape} and {b.shape}: expected three films or more, one dimension"
        )
    within_a, all_a = _within(a)
    within_b, all_b = _within(b)
    between = _kernel(a, b)
    rows, columns, total = between.sum(axis=1), between.sum(axis=0), float(between.sum())
    n, m = len(a), len(b)

    def statistic(sum_a: np.ndarray, sum_b: np.ndarray, sum_ab: np.ndarray, n: int, m: int) -> np.ndarray:
        return sum_a / (n * (n - 1)) + sum_b / (m * (m - 1)) - 2 * sum_ab / (n * m)

    whole = statistic(np.array(all_a), np.array(all_b), np.array(total), n, m)
    without_a = statistic(all_a - 2 * within_a, np.array(all_b), total - rows, n - 1, m)
    without_b = statistic(np.array(all_a), all_b - 2 * within_b, total - columns, n, m - 1)
    variance = sum((len(one) - 1) / len(one) * ((one - one.mean()) ** 2).sum() for one in (without_a, without_b))
    return float(whole), float(np.sqrt(variance))


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _within(a: np.ndarray) -> tuple[np.ndarray, float]:
    """Sums of the rows of a set's kernel without its diagonal, and their sum."""
    kernel = _kernel(a, a)
    np.fill_diagonal(kernel, 0)
    sums = kernel.sum(axis=1)
    return sums, float(sums.sum())
