"""Does a REAL model of the store see wrong masks, as those of `degraded`? 0, 5, 25, 50 and 100 % of 500 films.

    python tests/benchmarks/bench_agreement.py --data DATASET [--films 500]

needs a REAL model: `cxrbench run --provider copy_train --task scr_official --data DATASET --arms real --sizes full`. Its
films are the held-out ones of its test (half as real films, half with masks of which a share is another film's), so that it
has learnt from neither side. Then films of the control `degraded` itself beside all held-out ones, as an audit has them: it
is fitted on the films that the model has learnt from. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cxrbench.baselines.controls import Degraded, DegradedSettings
from cxrbench.benchmark.audit.faithful import agreement
from cxrbench.benchmark.audit.real_model import Judge, load_judge, newest_real
from cxrbench.benchmark.audit.sources import Opened
from cxrbench.benchmark.contracts.collector import Collector, fill
from cxrbench.benchmark.data.catalogue import find_dataset, is_drawn
from cxrbench.benchmark.data.dataset import Annotation, Dataset
from cxrbench.benchmark.fidelity.audit import Sides
from cxrbench.benchmark.progress import Progress

SHARES = (0.0, 0.05, 0.25, 0.5, 1.0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="phantom_hard")
    parser.add_argument("--films", type=int, default=500)
    asked = parser.parse_args()
    films = find_dataset(asked.data, 64 if is_drawn(asked.data) else None, Progress())
    record = newest_real(Opened(Sides(films, films), "", None, ()), Annotation.MASKS.__eq__)
    if record is None:
        raise SystemExit(f"no REAL model of {asked.data} in the store")
    judge = load_judge(record)
    rows = np.random.default_rng(0).permutation(len(judge.test))
    real, pool = judge.test.select(rows[::2]), judge.test.select(rows[1::2])
    print(
        f"{record.cell.task.name} {record.cell.preset}, {asked.data}: {len(real)} held-out films, {asked.films} films"
    )
    table(Judge(judge.task, judge.model, real), {share: degraded(pool, asked.films, share) for share in SHARES})
    train = judge.train.resized(judge.test.resolution)
    print(f"`degraded`, fitted on {len(train)} training films, beside {len(judge.test)} held-out films:")
    table(judge, {share: by_control(judge, train, asked.films, share) for share in SHARES})


def table(judge: Judge, by_share: Mapping[float, Dataset]) -> None:
    """Print a row for each share."""
    print(
        "| wrong | agreement (95 %) | of real films | below what 99 % of real ones reach | alarm |\n|---|---|---|---|---|"
    )
    for share, made in by_share.items():
        whole = agreement(judge, made)[0]
        odd = 100 * (whole.odd or 0)
        print(
            f"| {100 * share:.0f} % | {whole.value:.3f} ({whole.low:.3f} to {whole.high:.3f}) | "
            f"{whole.real:.3f} ({whole.real_low:.3f}) | {odd:.1f} % (p = {whole.odd_p:.2g}) | "
            f"{'yes' if whole.worse else 'no'} |"
        )


def by_control(judge: Judge, train: Dataset, count: int, share: float) -> Dataset:
    """So many films of the control, of which a share has masks of another patient, upside down and at half their size."""
    control = Degraded(DegradedSettings(wrong=share))
    control.fit(train, seed=0, progress=Progress())
    asked = Collector(control.name, train, frozenset({judge.task.needs}), count, resolution=train.resolution)
    return fill(asked, control, seed=0, progress=Progress())


def degraded(pool: Dataset, count: int, share: float) -> Dataset:
    """So many films of a pool, again and again, moved by a few pixels; a share of them with the masks of another film."""
    draw = np.random.default_rng(1)
    rows = np.arange(count) % len(pool)
    moves = draw.integers(-2, 3, (count, 2))
    images, masks = (
        np.stack([np.roll(side[row], move, axis=(0, 1)) for row, move in zip(rows, moves, strict=True)])
        for side in (np.asarray(pool.images), np.asarray(pool.masks))
    )
    wrong = draw.permutation(count)[: round(share * count)]
    masks[wrong] = np.asarray(pool.masks)[(rows[wrong] + draw.integers(1, len(pool), len(wrong))) % len(pool)]
    names = [f"d{number}" for number in range(count)]
    cases = pool.cases.iloc[rows].reset_index(drop=True).assign(id=names, patient=names)
    return replace(
        pool,
        info=pool.info.changed(name="degraded"),
        images=images,
        masks=masks,
        cases=cases,
        originals=None,
        folder=None,
    )


if __name__ == "__main__":
    main()
