"""Time of an audit and of its distances, in seconds of processor time and as ratios to other code on the same features.

    python tests/benchmarks/bench_audit.py [--films 1000] [--vectors 10000] [--rounds 2]

An audit of so many films of 64 pixels (phantoms with masks) against as many real ones, with every part that needs no store;
the Fréchet distance of (10,000, 1,024) features against torchmetrics' own computation; precision, recall, density and
coverage of 10,000 films against the package `prdc` in turn. Prints Markdown. Asked are an audit in 120 s, a distance in 0.25
of torchmetrics' time, and neighbours in 5 s on two cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from cxrbench.benchmark.metrics.frechet import frechet_distance
from cxrbench.benchmark.metrics.neighbours import K, neighbours


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Processor time and time on the clock of one call."""
    processor, clock = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - processor, time.perf_counter() - clock


def torchmetrics_distance(a: np.ndarray, b: np.ndarray) -> float:
    """What torchmetrics computes of features: means, covariances, eigenvalues of their product."""
    import torch
    from torchmetrics.image.fid import _compute_fid

    one, other = torch.from_numpy(a), torch.from_numpy(b)
    return float(_compute_fid(one.mean(dim=0), torch.cov(one.T), other.mean(dim=0), torch.cov(other.T)))


def prdc_numbers(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """What the package `prdc` says of the same features."""
    import contextlib
    import io

    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        return {name: float(value) for name, value in compute_prdc(a, b, K).items()}


def audited(count: int) -> tuple[float, float]:
    """An audit of films of a phantom with findings against others of it."""
    from cxrbench.benchmark.data.catalogue import find_dataset
    from cxrbench.benchmark.fidelity.audit import Sides, make_audit
    from cxrbench.benchmark.progress import Progress

    whole = find_dataset(f"phantom_nih-{2 * count}", 64, Progress())
    patients = whole.cases["patient"].astype(str).to_numpy()
    known = np.unique(patients)
    mine = np.isin(patients, np.random.default_rng(0).permutation(known)[: len(known) // 2])
    films, real = whole.select(mine, name="films"), whole.select(~mine)
    split = real.cases["split"].astype(str).to_numpy()
    sides = Sides(films, real, real.select(split == "train"), real.select(split == "test"))
    return seconds(lambda: make_audit(sides, "bench"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--vectors", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2, help="of neighbours and prdc in turn")
    asked = parser.parse_args()
    draw = np.random.default_rng(0)
    a, b = draw.standard_normal((2, asked.vectors, 1024))
    frechet_distance(a[:2000], b[:2000])  # warm
    ours, theirs = seconds(lambda: frechet_distance(a, b)), seconds(lambda: torchmetrics_distance(a, b))
    same = frechet_distance(a, b) / torchmetrics_distance(a, b)
    near = [(seconds(lambda: neighbours(a, b)), seconds(lambda: prdc_numbers(a, b))) for _ in range(asked.rounds)]
    mine, theirs_too = (min(one[side] for one in near) for side in (0, 1))
    small = seconds(lambda: neighbours(a[:, :16], b[:, :16]))
    ratio = float(np.median([one[0] / other[0] for one, other in near]))
    said = neighbours(a[:1000], b[:1000]).means(), prdc_numbers(a[:1000], b[:1000])
    equal = all(abs(said[0][name] - said[1][name]) < 1e-15 for name in said[1])
    print("| what | processor time | clock | asked |\n|---|---|---|---|")
    print(f"| FD, {asked.vectors:,} x 1,024 | {ours[0]:.2f} s | {ours[1]:.2f} s | 0.25 of torchmetrics |")
    print(f"| torchmetrics, the same ({same:.8f} of its value) | {theirs[0]:.2f} s | {theirs[1]:.2f} s | |")
    print(f"| ratio | {ours[0] / theirs[0]:.2f} | {ours[1] / theirs[1]:.2f} | 0.25 |")
    print(f"| neighbours of {asked.vectors:,} films, 1,024 numbers | {mine[0]:.2f} s | {mine[1]:.2f} s | 5 s |")
    print(f"| prdc, the same (equal: {equal}) | {theirs_too[0]:.2f} s | {theirs_too[1]:.2f} s | |")
    print(f"| ratio, median of {asked.rounds} rounds | {ratio:.2f} | | |")
    print(f"| neighbours of {asked.vectors:,} films, 16 numbers | {small[0]:.2f} s | {small[1]:.2f} s | 5 s |")
    if asked.films:
        found = audited(asked.films)
        print(f"| audit of about {asked.films:,} films, 64 pixels | {found[0]:.0f} s | {found[1]:.0f} s | 120 s |")


if __name__ == "__main__":
    main()
