"""Time of our AUC, DeLong and bootstrap beside scikit-learn's: `python tests/benchmarks/bench_auc.py`.

The size is that of the NIH test list: 25,596 films of 2,797 patients, 14 findings. scikit-learn has to give our value
before it is timed. It has no DeLong, and its bootstrap is one weighted AUC after the other: a few resamples are timed
and the time of 2,000 is said. Times are the least of several rounds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from cxrbench.benchmark.metrics.auc_bootstrap import bootstrap_auc, patient_weights
from cxrbench.benchmark.metrics.classification import auc_columns, delong

FILMS, PATIENTS, FINDINGS, RESAMPLES, TIMED = 25_596, 2_797, 14, 2_000, 4


def least_seconds(call: Callable[[], Any], rounds: int = 5) -> float:
    call()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    rng = np.random.default_rng(0)
    patients = np.concatenate([np.arange(PATIENTS), rng.integers(0, PATIENTS, FILMS - PATIENTS)])
    truth = rng.random((FILMS, FINDINGS)) < np.linspace(0.003, 0.24, FINDINGS)
    ours = rng.normal(size=truth.shape) + truth
    theirs = ours + rng.normal(size=truth.shape)
    first = [patient_weights(PATIENTS, TIMED, 0, 0)[patients, r] for r in range(TIMED)]

    def sklearn_draws() -> list[Any]:
        return [roc_auc_score(truth, ours, average=None, sample_weight=weight) for weight in first]

    np.testing.assert_allclose(auc_columns(truth, ours), roc_auc_score(truth, ours, average=None), atol=1e-14)
    draws = bootstrap_auc(truth, [ours], patients, resamples=TIMED).draws[0]
    np.testing.assert_allclose(draws, sklearn_draws(), atol=1e-13)

    print(f"{FILMS:,} films x {FINDINGS} findings, {os.cpu_count()} CPUs")
    quick = least_seconds(lambda: auc_columns(truth, ours))
    slow = least_seconds(lambda: roc_auc_score(truth, ours, average=None))
    print(
        f"AUC of all findings          {1e3 * quick:8.1f} ms   scikit-learn {1e3 * slow:8.1f} ms ({slow / quick:.0f}x)"
    )
    pair = least_seconds(lambda: [delong(truth[:, c], ours[:, c], theirs[:, c]) for c in range(FINDINGS)])
    print(f"DeLong of two models         {1e3 * pair:8.1f} ms")
    slow = least_seconds(sklearn_draws, 3) / TIMED * RESAMPLES
    for threads in (1, 2):
        quick = least_seconds(partial(bootstrap_auc, truth, [ours], patients, threads=threads), 3)
        said = f"scikit-learn {slow:8.0f} s ({slow / quick:.0f}x)"
        print(f"{RESAMPLES:,} resamples, {threads} threads   {quick:8.2f} s    {said}")


if __name__ == "__main__":
    main()
