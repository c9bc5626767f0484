"""Entries that nobody ran, for tests of the standings and the site: scores are drawn around what a test asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cxrbench.benchmark.metrics.scores import AVERAGE
from cxrbench.benchmark.results.rows import CostRow, MetricInfo
from cxrbench.benchmark.runs.record import ProviderIdentity
from cxrbench.benchmark.speed.rates import Row, Throughput
from cxrbench.leaderboard.attempts import Attempt, BoardKey, Division, Entrant, Protocol

DSC = MetricInfo(name="dsc", label="DSC", percent=True)
ORGANS = ("left_lung", "heart", "right_lung")
ARMS = ("real", "synthetic", "finetune")
KEY = BoardKey("scr_official", 1, "phantom", "quick", "0" * 64, "1" * 64)
REAL_SEED = 1


def scores(mean: float, sd: float, seeds: Sequence[int], seed: int) -> dict[int, float]:
    """Scores around `mean`, the same for the same `seed`."""
    drawn = np.random.default_rng(seed).normal(mean, sd, max(seeds, default=0) + 1)
    return {one: float(drawn[one]) for one in seeds}


def attempt(
    name: str,
    utility: float = 0.0,
    *,
    sd: float = 0.002,
    seeds: Sequence[int] = range(5),
    seed: int = 2,
    key: BoardKey = KEY,
    metric: MetricInfo = DSC,
    division: Division = Division.REPRODUCED,
    real_seed: int = REAL_SEED,
    sizes: Mapping[str, int] | None = None,
    arms: Sequence[str] = ARMS,
    label_by: str = "native",
    provider: str = "",
    missing: frozenset[tuple[str, str, str, int]] = frozenset(),
    phantom: bool = True,
    seconds: float = 60.0,
    created: str = "2026-01-01T00:00:00Z",
    entrant: Entrant | None = None,
) -> Attempt:
    """An entry whose finetune arm is `utility` above REAL (0.95) on average, whose synthetic arm 0.1 below that."""
    sizes = sizes or {"full": 124, "tiny": 11}
    values = {}
    for place, size in enumerate(sizes):
        for arm in arms:
            base = 0.95 + {"real": 0.0, "synthetic": utility - 0.1}.get(arm, utility)
            for number, organ in enumerate((*ORGANS, AVERAGE)):
                stream = real_seed if arm == "real" else 1000 * seed + len(arm)
                found = scores(base, 0.002 if arm == "real" else sd, seeds, stream + 50 * place)
                lost = {one for one in seeds if (size, "official", arm, one) in missing}
                offset = 0.01 * (number - 1) * (organ != AVERAGE)
                values[size, arm, metric.name, organ] = {s: v + offset for s, v in found.items() if s not in lost}
    cells = {(size, "official", arm, one) for size in sizes for arm in arms for one in seeds}
    identity = ProviderIdentity(name=provider or name, spec=name, code="c" * 64, settings={}, label_by=label_by)
    cost = {"device": "cpu", "precision": "float32", "threads": 1, "weights": "none", "fits": len(seeds)}
    return Attempt(
        entrant=entrant or Entrant(name=name, division=division, version="1.0", description="made up"),
        key=key,
        protocol=Protocol("organ segmentation", metric, (metric,)),
        label_by=label_by,
        provider=identity,
        phantom=phantom,
        films=dict(sizes),
        cells=frozenset(cells - missing),
        seeds=tuple(seeds),
        values=values,
        structures=ORGANS,
        created=created,
        costs=tuple(
            CostRow(
                size=size,
                parameters=1_200_000,
                fit_seconds=seconds,
                train_images_per_second=100.0,
                sample_images_per_second=312.0,
                peak_memory_bytes=900_000_000,
                **cost,
            )
            for size in sizes
        ),
        checks=(("nearest test film", "no near copies (0 of 240 below the 1st percentile)", False),),
    )


def rates(*rows: Row, device: str = "a processor") -> Throughput:
    """What `cxrbench throughput` might have written."""
    return Throughput(cxrbench="1", machine="m", asked_device=device, rows=rows)


def rate_row(
    name: str, films: float = 100.0, *, batch: int | None = None, device: str = "a processor", **fields: object
) -> Row:
    """A provider that trains on `films` films a second and samples twice as many."""

    def spread(median: float) -> dict[str, float]:
        return {"median": median, "low": 0.9 * median, "high": 1.1 * median, "rounds": 8}

    def rate(median: float) -> dict[str, object]:
        found = {"films_per_second": spread(median), "films_per_reference": spread(median / 1000)}
        return found | {"flops_per_film": 2.5e8, "share_of_peak": 0.25, "precision": "32-true"}

    part = rate(films) | {"name": "films", "batch": batch or 16, "steps": 10, "first_step_seconds": 0.1}
    values = {
        "key": f"{name}-{batch}-{device}",
        "provider": name,
        "preset": "quick",
        "task": "scr_official",
        "data": "phantom",
        "batch": batch,
        "created": "2026-01-01T00:00:00Z",
        "parameters": 1_200_000,
        "training": rate(films),
        "parts": [part],
        "sampling": rate(2 * films) | {"films": 128, "source": "stored fit"},
        "peak_memory_bytes": 900_000_000,
        "peaks": {"float32": {"flops_per_second": 1e11, "flops_per_reference": 1e8}},
        "device": device,
        "threads": 1,
        "load": 0.1,
        "packages": {"torch": "2.6.0"},
    }
    return Row.model_validate(values | fields)
