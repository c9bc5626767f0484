"""What providers cost, for a table like Table 5 of Kumar and Triana Martinez: parameters of every network, time per epoch,
films a second, memory.

Rates come from fits that the store of finished runs has; what it has not is measured in a process of its own (this module
as a program) by a training cut short. Either way a rate is the median of `training.Rate`, without the warm-up, and an
epoch is one pass over the films of the task's training set.
"""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import TYPE_CHECKING, Any

from ..contracts.label_by import LabelBy
from ..errors import CxrbenchError, InputError, ProviderError, unknown
from ..processes import answer, run_apart
from ..progress import Progress
from ..runs.asked import ask_provider
from ..runs.job import Cell, Synthesise, Work
from ..runs.named_provider import named_provider
from ..runs.own_store import home_store
from ..runs.record import Curve
from ..runs.request import PRESETS, Request, choose_task, divided, prepare
from ..runs.steps import provider_of, task_of, training_set
from ..runs.store import Level, Store
from ..schema import Strict

if TYPE_CHECKING:
    from ..contracts.provider import Provider
    from ..data.dataset import Dataset
    from ..runs.request import Prepared

SEEDS = 5  # the store is searched for the fits of that many seeds
PUBLISHED = "published_costs.csv"
TIMES = "published_times.csv"
CITATION = (
    "Kumar and Triana Martinez, Generating Synthetic Chest X-Rays with generative modeling, Table 5: "
    "average training time per epoch on 1 Nvidia T4 GPU; rates of other devices and films do not compare"
)


@dataclass(frozen=True)
class Published:
    """A printed number of parameters, with the minutes that an epoch of its architecture took on the paper's GPU."""

    architecture: str
    network: str
    parameters: int
    minutes_per_epoch: float
    note: str


@dataclass(frozen=True)
class PublishedTime:
    """Hours that a paper prints for a whole training, on its own device."""

    what: str
    each: str
    hours: float
    device: str
    paper: str


@dataclass(frozen=True)
class Rates:
    """What was measured of one provider; rates are films a second, None where they are not known."""

    source: str
    """`run <start of the fit's key>`, or how it was measured now."""
    device: str
    precision: str
    threads: int
    peak_memory_bytes: int
    parameters: int
    """Of the networks that sampling uses."""
    train_films_per_second: float | None = None
    sample_films_per_second: float | None = None


@dataclass(frozen=True)
class CostRow:
    """A provider of the table. `parts`: parameters by network; `sampling`: those of them that sampling uses."""

    provider: str
    preset: str
    task: str
    data: str
    films: int = 0
    """Of the training set, which an epoch passes over once."""
    resolution: int = 0
    parts: Mapping[str, int] = field(default_factory=dict)
    sampling: tuple[str, ...] = ()
    rates: Rates | None = None
    notes: tuple[str, ...] = ()
    error: str = ""
    published: tuple[Published, ...] = ()
    times: tuple[PublishedTime, ...] = ()

    @property
    def parameters(self) -> int:
        """Of all networks."""
        return sum(self.parts.values())

    @property
    def sampling_parameters(self) -> int:
        """Of the networks that sampling uses."""
        return sum(count for name, count in self.parts.items() if name in self.sampling)

    @property
    def epoch_seconds(self) -> float | None:
        """Seconds of a pass over the training set."""
        rate = self.rates.train_films_per_second if self.rates else None
        return self.films / rate if rate else None


@dataclass(frozen=True)
class Subject:
    """A provider that is ready to be looked up and measured: `jobs` are its fits of the task's largest size, one a seed
    and fold."""

    prepared: Prepared
    jobs: tuple[Synthesise, ...]


class Examine(Strict):
    """What the process of one provider is asked for: its films and networks, and rates of a fit of `steps` steps where
    that is not 0."""

    work: Work
    cell: Cell
    steps: int


def prepare_subject(request: Request, progress: Progress) -> Subject:
    """Check a request and make its films. InputError as of `request.prepare`; `label_by` is for the generators that need
    it, so that one request suits any set of providers."""
    if request.preset not in PRESETS:
        raise unknown("preset", request.preset, PRESETS)
    plugin = named_provider(request.provider)
    said = ask_provider(plugin, request.preset, divided(request.overrides)[1], home_store())
    if choose_task(plugin, said, request.task).load().needs.value in said.produces:
        request = replace(request, label_by=None)
    prepared = prepare(replace(request, seeds=SEEDS), progress)
    jobs = prepared.schedule.fits_of_first_size(prepared.plan)
    if not jobs:
        raise InputError(f"{prepared.plan.task.name} has no arm that fits a provider: choose another --task")
    return Subject(prepared, jobs)


def cost_row(subject: Subject, *, steps: int) -> CostRow:
    """The row of a provider. `steps`: length of the training that is measured where the store has no fit; 0: none."""
    prepared, job = subject.prepared, subject.jobs[0]
    plan = prepared.plan
    row = CostRow(
        provider=plan.provider.title if job.cell.label_by is LabelBy.PER_CLASS else plan.provider.name,
        preset=plan.preset,
        task=plan.task.name,
        data=plan.data.info.name,
        published=published_of(plan.provider.name),
        times=times_of(plan.provider.name),
    )
    notes = []
    if job.cell.label_by is LabelBy.PER_CLASS:
        notes.append("parameters and rates of one generator; per_class has one for each finding and one for none")
    rates = stored_rates(subject)
    question = Examine(work=job.work, cell=job.cell, steps=0 if rates is not None else steps)
    try:
        found = examine_apart(question, job.label, prepared.request.time_limit or PRESETS[plan.preset])
    except CxrbenchError as error:
        return replace(row, error=str(error), rates=rates)
    if "rates" in found:
        length = f"{steps} steps" if found["shortened"] else "a whole fit"
        rates = Rates(source=f"measured now, {length}", threads=job.threads, **found["rates"])
    parts, sampling = found["parts"], found["sampling"]
    if rates is not None and not parts and rates.parameters:
        parts, sampling = {"sampling": rates.parameters}, ["sampling"]
    return replace(
        row,
        films=found["films"],
        resolution=found["resolution"],
        parts=parts,
        sampling=tuple(name for name in parts if name in sampling),
        rates=rates,
        notes=(*notes, *found["notes"]),
    )


# --------------------------------------------------------------------------------------- fits of finished runs


def stored_rates(subject: Subject) -> Rates | None:
    """The medians over the fits that the store has of these settings, code and films; None where it has none."""
    store = subject.prepared.store
    kept = [job for job in subject.jobs if store.sound(Level.FITS, str(job.cell.fit_key))]
    found = [_stored(subject, store, job) for job in kept]
    if not found:
        return None
    return replace(
        found[0],
        source=f"run {', '.join(rates.source for rates in found)}",
        peak_memory_bytes=max(rates.peak_memory_bytes for rates in found),
        train_films_per_second=_median(rates.train_films_per_second for rates in found),
        sample_films_per_second=_median(rates.sample_films_per_second for rates in found),
    )


def _stored(subject: Subject, store: Store, job: Synthesise) -> Rates:
    fit = store.fit(str(job.cell.fit_key))
    made = store.sampled(job.key) if store.sound(Level.SYNTHETIC, job.key) else None
    device = job.device
    for cell in subject.prepared.plan.cells:
        if cell.synthetic_key == job.key and store.path(Level.RECORDS, cell.key).is_dir():
            cost = store.record(cell.key).cost
            device = cost.device if cost is not None else device
    return Rates(
        source=str(job.cell.fit_key)[:12],
        device=device,
        precision=fit.precision,
        threads=job.threads,
        peak_memory_bytes=max(fit.peak_memory_bytes, made.peak_memory_bytes if made else 0),
        parameters=fit.parameters,
        train_films_per_second=_epoch_rate(fit.curves, per_class=job.cell.label_by is LabelBy.PER_CLASS)
        or fit.train_images_per_second,
        sample_films_per_second=made.sample_images_per_second if made else None,
    )


def _epoch_rate(curves: Mapping[str, Curve], *, per_class: bool) -> float | None:
    return epoch_rate({name: curve.images_per_second for name, curve in curves.items()}, per_class=per_class)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def epoch_rate(parts: Mapping[str, float | None], *, per_class: bool) -> float | None:
    """Films a second of an epoch in which every part is trained once on every film, from films a second of every part of
    a fit.

    Parts are trained one after the other, so their seconds add up. The generators of `per_class` (`finding: part`) share
    the films between them: of those the median counts. None where the rate of a part is not known.
    """
    rates: dict[str, list[float | None]] = {}
    for name, rate in parts.items():
        part = name.rpartition(": ")[2] if per_class else name
        rates.setdefault(part, []).append(rate)
    medians = [_median(values) for values in rates.values()]
    known = [rate for rate in medians if rate]
    return 1 / sum(1 / rate for rate in known) if known and len(known) == len(medians) else None


# ------------------------------------------------------------------------------------------- measured now


def examine_apart(question: Examine, label: str, time_limit: float) -> dict[str, Any]:
    """`examine` in a fresh process with the threads of its work; ProviderError when it fails or takes too long."""
    return run_apart(
        __name__,
        question.model_dump_json() + "\n",
        threads=question.work.threads,
        time_limit=time_limit,
        label=label,
        hint="fewer --steps, or --time-limit",
    )


def examine(question: Examine) -> dict[str, Any]:
    """Films and networks of a provider on its training set. Where steps are asked for, also `rates`, of a fit that is
    `shortened` to so many if the provider knows how to."""
    work = question.work
    plugin, settings = provider_of(work)
    train = training_set(work, question.cell, task_of(work))
    measured = plugin.load().shorter(settings, question.steps) if question.steps else settings
    provider: Provider = plugin.make(measured, device=work.device)
    found: dict[str, Any] = {"films": len(train), "resolution": train.resolution, "notes": [], "parts": {}}
    if question.steps:
        found["shortened"] = measured != settings
        found["rates"] = measure(provider, train, question.cell.draw("fit"), found["notes"])
    try:
        found["parts"] = dict(provider.parameter_parts(train.info))
    except Exception as error:  # any code of a third party may stand behind it; the table says what it said
        found["notes"].append(f"parameters are not known before a fit ({type(error).__name__}: {error})")
    used = found["parts"] if provider.sampling_parts is None else provider.sampling_parts
    return found | {"sampling": sorted(used)}


def measure(provider: Provider, train: Dataset, seed: int, notes: list[str]) -> dict[str, Any]:
    """Fit and sample; the fields of `Rates` that the parent process does not know. What kept sampling from being measured
    becomes a note: the networks of a short training may make no films that a provider accepts."""
    from ..device import device_name, peak_memory
    from ..runs.sampling_rate import ROUND_FILMS, sampling_rate

    provider.fit(train, seed=seed, progress=Progress())
    histories = provider.histories()
    parts = {name: history.images_per_second or None for name, history in histories.items()}
    rate = None
    try:
        start = time.perf_counter()
        made = sum(len(batch.images) for batch in provider.sample(ROUND_FILMS, seed=seed))
        rate, _, _ = sampling_rate(provider, made, first_seconds=time.perf_counter() - start)
    except ProviderError as error:
        notes.append(f"sampling was not measured: {error}")
    return {
        "device": device_name(provider.device),
        "precision": next((history.precision for history in histories.values()), "32-true"),
        "peak_memory_bytes": peak_memory(provider.device),
        "parameters": provider.parameter_count(),
        "train_films_per_second": epoch_rate(parts, per_class=False),
        "sample_films_per_second": rate,
    }


# ------------------------------------------------------------------------------------------ published numbers


def published_costs() -> list[tuple[Published, frozenset[str]]]:
    """Every printed number with the names of the providers that it belongs to (see `CITATION`)."""
    return [
        (
            Published(
                row["architecture"],
                row["network"],
                int(row["parameters"]),
                float(row["minutes_per_epoch"]),
                row["note"],
            ),
            frozenset(row["providers"].split()),
        )
        for row in _lines(PUBLISHED)
    ]


def published_times() -> list[tuple[PublishedTime, frozenset[str]]]:
    """Every printed time of a whole training with the names of the providers that it belongs to."""
    return [
        (
            PublishedTime(row["what"], row["each"], float(row["hours"]), row["device"], row["paper"]),
            frozenset(row["providers"].split()),
        )
        for row in _lines(TIMES)
    ]


def _lines(file: str) -> list[dict[str, str]]:
    text = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def times_of(provider: str) -> tuple[PublishedTime, ...]:
    """The printed times of a provider; none for most."""
    return tuple(row for row, providers in published_times() if provider in providers)


def published_of(provider: str) -> tuple[Published, ...]:
    """The printed numbers of a provider; none for most."""
    return tuple(row for row, providers in published_costs() if provider in providers)


if __name__ == "__main__":
    answer(lambda line: examine(Examine.model_validate_json(line)))
