"""Entries that nobody ran, for tests of the standings and the site: scores are drawn around what a test asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cxrbench.benchmark.fidelity.compare import Agreement as FilmsAgreement
from cxrbench.benchmark.fidelity.compare import Distance, InSpace, Share
from cxrbench.benchmark.metrics.scores import AVERAGE
from cxrbench.benchmark.registry import TASKS, plugins
from cxrbench.benchmark.results.fidelity_rows import FidelityRow
from cxrbench.benchmark.results.gains import CurvePoint, PlaceboCurve
from cxrbench.benchmark.results.rows import CostRow, MetricInfo
from cxrbench.benchmark.runs.record import DataIdentity, ProviderIdentity
from cxrbench.benchmark.settings import plain
from cxrbench.benchmark.speed.rates import Row, Throughput
from cxrbench.leaderboard.attempts import Attempt, BoardKey, Division, Entrant, Protocol
from cxrbench.leaderboard.fidelity import SPACES

DSC = MetricInfo(name="dsc", label="DSC", percent=True)
ORGANS = ("left_lung", "heart", "right_lung")
ARMS = ("real", "synthetic", "mixed", "finetune")
SIZES = {"full": 124, "31": 31}
HEADLINE = ("31", "mixed")
KEY = BoardKey("scr_official", 3, "phantom", "quick", "0" * 64, "1" * 64)
LUCK = 1
"""The stream of what a seed does to REAL and to all placebos."""


def scores(mean: float, sd: float, seeds: Sequence[int], seed: int) -> dict[int, float]:
    """Scores around `mean`, the same for the same `seed`."""
    drawn = np.random.default_rng(seed).normal(mean, sd, max(seeds, default=0) + 1)
    return {one: float(drawn[one]) for one in seeds}


def settings_of(key: BoardKey) -> Mapping[str, object]:
    """Those of the task's preset; nothing of a task that is not there."""
    known = plugins(TASKS)
    return plain(known[key.task].load().presets[key.preset]) if key.task in known else {}


def attempt(
    name: str,
    gain: float = 0.0,
    *,
    sd: float = 0.002,
    seeds: Sequence[int] = range(5),
    seed: int = 2,
    key: BoardKey = KEY,
    metric: MetricInfo = DSC,
    division: Division = Division.REPRODUCED,
    luck: int = LUCK,
    sizes: Mapping[str, int] | None = None,
    arms: Sequence[str] = ARMS,
    headline: tuple[str, str] | None = HEADLINE,
    placebos: bool = True,
    changed: Mapping[tuple[str, str, int], float] | None = None,
    label_by: str = "native",
    provider: str = "",
    missing: frozenset[tuple[str, str, str, int]] = frozenset(),
    phantom: bool = True,
    seconds: float = 60.0,
    created: str = "2026-01-01T00:00:00Z",
    control: bool = False,
    entrant: Entrant | None = None,
    settings: Mapping[str, object] | None = None,
) -> Attempt:
    """An entry whose arms are `gain` above their placebos on average, the synthetic one 0.1 below that; sd: of the gain over
    seeds. REAL and placebos score 0.95, finetune's 0.005 more. `changed`: other scores, by size, arm (or placebo) and seed.
    """
    sizes = sizes or SIZES
    labels = [*arms, *(f"placebo_{arm}" for arm in arms if placebos and arm != "real")]
    values = {}
    for place, size in enumerate(sizes):
        base = scores(0.95, 0.004, seeds, luck + 50 * place)
        for arm in labels:
            kind = arm.removeprefix("placebo_")
            added = scores(gain - 0.1 * (arm == "synthetic"), sd, seeds, 1000 * seed + len(arm) + 50 * place)
            more = 0.005 * (kind == "finetune")
            for number, organ in enumerate((*ORGANS, AVERAGE)):
                offset = more + 0.01 * (number - 1) * (organ != AVERAGE)
                there = [one for one in seeds if (size, "official", arm, one) not in missing]
                found = {one: base[one] + offset + (arm in arms and arm != "real") * added[one] for one in there}
                changes = {one: v for (s, a, one), v in (changed or {}).items() if (s, a) == (size, arm)}
                values[size, arm, metric.name, organ] = found | changes
    cells = {(size, "official", arm, one) for size in sizes for arm in labels for one in seeds}
    identity = ProviderIdentity(name=provider or name, spec=name, code="c" * 64, settings={}, label_by=label_by)
    cost = {"device": "cpu", "precision": "float32", "threads": 1, "weights": "none", "fits": len(seeds)}
    return Attempt(
        entrant=entrant or Entrant(name=name, division=division, version="1.0", description="made up", control=control),
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
        headline=headline,
        settings=settings_of(key) if settings is None else settings,
        checks=(("nearest test film", "no near copies (0 of 240 below the 1st percentile)", False),),
        elsewhere=((("further test set", "films"), (("<b>another</b> hospital", "24"),)),),
    )


CURVE_SIZES = (4, 8, 16, 31, 62, 124)


def curve(
    key: BoardKey = KEY,
    *,
    slope: float = 0.01,
    flat_from: float = np.inf,
    seeds: Sequence[int] = range(5),
    arms: Sequence[str] = ("synthetic", "mixed"),
    luck: int = LUCK,
    sd: float = 0.001,
) -> PlaceboCurve:
    """A placebo curve that scores 0.95 with 31 films, `slope` more with every doubling up to `flat_from` films, and that has
    most of its luck in common with the placebos of `attempt` at 31 films."""
    base = scores(0.0, 0.004, seeds, luck + 50)
    points = []
    for arm in arms:
        for number, films in enumerate(CURVE_SIZES):
            own = scores(0.0, sd, seeds, 7 + number + 100 * len(arm))
            height = 0.95 + slope * np.log2(min(films, flat_from) / min(31, flat_from))
            size = "full" if films == 124 else str(films)
            points += [
                CurvePoint(arm=arm, size=size, films=films, seed=seed, value=height + base[seed] + own[seed])
                for seed in seeds
            ]
    return PlaceboCurve(
        task=key.task,
        version=key.version,
        code="c" * 64,
        settings={},
        data=DataIdentity(name=key.data, digest=key.digest),
        preset=key.preset,
        device="cpu",
        metric="dsc",
        points=points,
        environments=[],
        created="2026-01-01T00:00:00Z",
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


def films_row(
    ratio: float, *, size: str = "31", films: int = 123, alike: float | None = 0.4, agreement: float | None = 0.9
) -> FidelityRow:
    """What a run may say of its films: distances of `ratio` floors in every space, and the rest around it."""
    share = Share(value=1 / ratio, low=0.9 / ratio, high=1.1 / ratio, real=0.9, real_low=0.85, real_high=0.95)
    return FidelityRow(
        size=size,
        fold="official",
        seed=0,
        films=films,
        resolution=64,
        digest="d" * 64,
        real="e" * 64,
        spaces=[_space(space, ratio + place, films, share) for place, space in enumerate(SPACES)],
        repeats=0.0,
        repeats_real=0.0,
        alike=None if alike is None else share.model_copy(update={"value": alike, "low": alike, "high": alike}),
        agreement=[] if agreement is None else [_agreement(agreement)],
    )


def _space(name: str, ratio: float, films: int, share: Share) -> InSpace:
    distance = Distance(films=films, distance=2 * ratio, floor=2.0, ratio=ratio, low=0.8 * ratio, high=1.2 * ratio)
    shares = dict.fromkeys(("precision", "recall", "density", "coverage"), share)
    kernel = {"kernel": 0.1, "kernel_error": 0.01, "kernel_real": 0.0}
    return InSpace(space=name, about="made up", dimensions=16, frechet=distance, **kernel, **shares)


def _agreement(value: float) -> FilmsAgreement:
    numbers = {"value": value, "low": value - 0.01, "high": value + 0.01, "films": 200, "real_films": 123}
    beside = {"real": 0.95, "real_low": 0.94, "real_high": 0.96}
    return FilmsAgreement(task=KEY.task, metric="DSC", structure="all", **numbers, **beside)
