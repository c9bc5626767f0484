"""Measures one provider in a process of its own (this module as a program): steps of training, then sampling.

The steps are watched by an observer of the one training loop, which counts the FLOPs of a few steps, then times rounds of
steps in turns with the reference kernel.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from .. import digest
from ..device import device_name, peak_memory, require_device, synchronise
from ..errors import CxrbenchError, ProviderError
from ..processes import answer
from ..progress import Progress
from ..runs.sampling_rate import BUDGET_SECONDS
from ..runs.steps import provider_of, task_of, training_set
from ..training.observer import Observer, watched_by
from .question import Ask, Windows
from .rates import Peak, Rate, Sampling, Source, Spread, TrainingPart
from .reference import Reference, in_turns, peak_of

if TYPE_CHECKING:
    from ..contracts.provider import Provider
    from ..training.history import History

FLOAT32 = "32-true"


# ------------------------------------------------------------------------------------------- steps of a training


class _OneModule(ModuleTracker):
    """Attributes everything to the whole: following modules fails where a loss takes gradients itself (`autograd.grad`)."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        """Nothing was entered."""


class FlopCounter(FlopCounterMode):
    """PyTorch's counter, of all operations together: products and convolutions, forward and backward; 2 a multiply-add."""

    def __init__(self) -> None:
        super().__init__(display=False)
        self.mod_tracker = _OneModule()


@dataclass
class Seen:
    """What was seen of one training: films a second and seconds of the reference kernel in each round."""

    windows: Windows
    first_step_seconds: float = 0.0
    batches: list[int] = field(default_factory=list)
    counted_films: int = 0
    flops: int = 0
    rates: list[float] = field(default_factory=list)
    references: list[float] = field(default_factory=list)


class Stopwatch(Observer):
    """Of every training inside `watched_by`: counts the FLOPs of a few steps, then times rounds of steps in turns with the
    reference kernel. What was seen is in `every`, a `Seen` for each training in their order."""

    def __init__(self, rounds: int, reference: Reference) -> None:
        self.rounds, self.reference = rounds, reference
        self.every: list[Seen] = []
        self.counter: FlopCounter | None = None
        self.device = torch.device("cpu")
        self.started = self.begun = 0.0
        self.films = 0

    def begins(self, steps: int, device: torch.device) -> None:
        self.stop_counting()
        self.every.append(Seen(Windows.of(steps, self.rounds)))
        self.device, self.started, self.begun, self.films = device, time.perf_counter(), 0.0, 0

    def after_step(self, step: int, images: int) -> None:
        seen, windows, done = self.every[-1], self.every[-1].windows, step + 1
        if step == 0:
            synchronise(self.device)
            seen.first_step_seconds = time.perf_counter() - self.started
        if not windows.rounds:
            return
        if self.counter is not None:
            seen.counted_films += images
        if self.begun:
            self.films += images
            seen.batches.append(images)
        if done == windows.counted_from:
            self.counter = FlopCounter()
            self.counter.__enter__()
        elif done == windows.timed_from:
            self.stop_counting()
            self._begin(0)
        elif done > windows.timed_from and (done - windows.timed_from) % windows.width == 0:
            number = (done - windows.timed_from) // windows.width - 1
            self._end(number)
            if number + 1 < windows.rounds:
                self._begin(number + 1)

    def after_pause(self, seconds: float) -> None:
        if self.begun:
            self.begun += seconds

    def ends(self, networks: Mapping[str, nn.Module], history: History) -> None:
        self.stop_counting()

    def stop_counting(self) -> None:
        """Take off the counter, if it is on."""
        if self.counter is not None:
            self.counter.__exit__(None, None, None)
            self.every[-1].flops, self.counter = int(self.counter.get_total_flops()), None

    def _begin(self, number: int) -> None:
        if number % 2:
            self._refer()
        synchronise(self.device)
        self.begun, self.films = time.perf_counter(), 0

    def _end(self, number: int) -> None:
        synchronise(self.device)
        self.every[-1].rates.append(self.films / (time.perf_counter() - self.begun))
        self.begun = 0.0
        if not number % 2:
            self._refer()

    def _refer(self) -> None:
        self.every[-1].references.append(self.reference.seconds())


@contextmanager
def watching(rounds: int, reference: Reference) -> Iterator[list[Seen]]:
    """All trainings inside the block are watched; one `Seen` each, in their order."""
    watch = Stopwatch(rounds, reference)
    try:
        with watched_by(watch):
            yield watch.every
    finally:
        watch.stop_counting()


# ------------------------------------------------------------------------------------------- rates


def peaks_of(device: torch.device, precisions: Sequence[str], reference: Reference) -> dict[str, Peak]:
    """The device's measured peak for the types of number that were used."""
    kinds = {"float32": torch.float32} | ({"bfloat16": torch.bfloat16} if any(map(_reduced, precisions)) else {})
    found = {name: peak_of(device, dtype, reference) for name, dtype in kinds.items()}
    return {name: Peak(flops_per_second=first, flops_per_reference=second) for name, (first, second) in found.items()}


def _reduced(precision: str) -> bool:
    """Whether a training computes its products in bfloat16."""
    return precision.startswith("bf16")


def _peak(peaks: Mapping[str, Peak], precision: str) -> float:
    """FLOPs in the time of a call of the reference, in the type of number that a precision multiplies."""
    return peaks["bfloat16" if _reduced(precision) else "float32"].flops_per_reference


def training_part(name: str, seen: Seen, precision: str, peaks: Mapping[str, Peak]) -> TrainingPart:
    """The rate of one watched training."""
    flops = seen.flops / seen.counted_films or None
    units = Spread.of([a * b for a, b in zip(seen.rates, seen.references, strict=True)])
    return TrainingPart(
        name=name,
        batch=round(statistics.median(seen.batches)),
        steps=seen.windows.width,
        first_step_seconds=seen.first_step_seconds,
        films_per_second=Spread.of(seen.rates),
        films_per_reference=units,
        flops_per_film=flops,
        share_of_peak=units.median * flops / _peak(peaks, precision) if flops else None,
        precision=precision,
    )


def epoch(parts: Sequence[TrainingPart], seen: Sequence[Seen], peaks: Mapping[str, Peak]) -> Rate:
    """The rate of trainings one after the other, each once on every film: their seconds a film add up."""
    rounds = min(len(one.rates) for one in seen)
    seconds = [sum(1 / one.rates[r] for one in seen) for r in range(rounds)]
    units = Spread.of([1 / sum(1 / (one.rates[r] * one.references[r]) for one in seen) for r in range(rounds)])
    counted = [(part.flops_per_film or 0.0, _peak(peaks, part.precision)) for part in parts]
    flops = sum(value for value, _ in counted)
    return Rate(
        films_per_second=Spread.of([1 / value for value in seconds]),
        films_per_reference=units,
        flops_per_film=flops or None,
        share_of_peak=units.median * sum(value / peak for value, peak in counted) if flops else None,
        precision=", ".join(dict.fromkeys(part.precision for part in parts)),
    )


@dataclass(frozen=True)
class Drawn:
    """What was seen of sampling: films a second and seconds of the reference kernel in each round of `films` films."""

    films: int
    source: Source
    flops_per_film: float
    rates: list[float]
    references: list[float]


def draw(provider: Provider, films: int, rounds: int, reference: Reference, source: Source) -> Drawn:
    """Rounds of sampling in turns with the reference, after a first one whose FLOPs are counted; fewer rounds, but at least
    two, where all would take over a minute. ProviderError when another number of films comes."""
    device = torch.device(provider.device)

    def seconds(seed: int) -> float:
        synchronise(device)
        start = time.perf_counter()
        made = sum(len(batch.images) for batch in provider.sample(films, seed=seed))
        synchronise(device)
        if made != films:
            raise ProviderError(f"sample({films}) gave {made} films")
        return time.perf_counter() - start

    counter = FlopCounter()
    with counter:
        first = seconds(0)
    rounds = max(min(2, rounds), min(rounds, int(BUDGET_SECONDS / first)))
    seeds = iter(range(1, rounds + 1))
    taken, references = in_turns(rounds, lambda: seconds(next(seeds)), reference.seconds)
    return Drawn(films, source, counter.get_total_flops() / films, [films / one for one in taken], references)


def sampling_rate(drawn: Drawn, peaks: Mapping[str, Peak]) -> Sampling:
    """The rate of sampling, which every provider does in float32."""
    flops = drawn.flops_per_film or None
    units = Spread.of([a * b for a, b in zip(drawn.rates, drawn.references, strict=True)])
    return Sampling(
        films=drawn.films,
        source=drawn.source,
        films_per_second=Spread.of(drawn.rates),
        films_per_reference=units,
        flops_per_film=flops,
        share_of_peak=units.median * flops / _peak(peaks, FLOAT32) if flops else None,
        precision=FLOAT32,
    )


# ------------------------------------------------------------------------------------------- one provider


def probe(ask: Ask) -> dict[str, Any]:
    """The measured fields of a `Row`. What a provider has not (steps, films that it accepts) becomes a note."""
    notes = list[str]()
    require_device(ask.work.device)
    device = torch.device(ask.work.device)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # as every training sets it, for what is measured without one
    plugin, settings = provider_of(ask.work)
    train = training_set(ask.work, ask.cell, task_of(ask.work))
    provider: Provider = plugin.make(settings, device=ask.work.device)
    reference = Reference(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with watching(ask.rounds, reference) as every:
        provider.fit(train, seed=ask.cell.draw("fit"), progress=Progress())
    drawn = _draw(ask, provider, reference, notes)
    memory = peak_memory(ask.work.device)  # before the large kernels
    parts = _named(provider, every, notes)
    peaks = peaks_of(device, [precision for _, _, precision in parts], reference)
    rates = [training_part(name, seen, precision, peaks) for name, seen, precision in parts]
    whole = bool(rates) and len(rates) == len(every)
    return {
        "training_films": len(train),
        "resolution": train.resolution,
        "parameters": provider.parameter_count(),
        "training": _plain(epoch(rates, every, peaks) if whole else None),
        "parts": [_plain(rate) for rate in rates],
        "sampling": _plain(sampling_rate(drawn, peaks) if drawn else None),
        "peak_memory_bytes": memory,
        "reference_seconds": statistics.median(reference.seconds() for _ in range(3)),
        "peaks": {name: peak.model_dump(mode="json") for name, peak in peaks.items()},
        "device": device_name(ask.work.device),
        "packages": digest.of_packages(),
        "python": platform.python_version(),
        "notes": notes,
    }


def _named(provider: Provider, every: Sequence[Seen], notes: list[str]) -> list[tuple[str, Seen, str]]:
    """Name, rounds and precision of every training that had some; a note where one had none."""
    histories = provider.histories()
    names = list(histories) if len(histories) == len(every) else [f"training {n + 1}" for n in range(len(every))]
    missing = [name for name, seen in zip(names, every, strict=True) if not seen.rates]
    if missing:
        notes.append(f"too short to be timed, or stopped early: {', '.join(missing)}")
    if not every:
        notes.append("its fit has no training steps")
    return [
        (name, seen, histories[name].precision if name in histories else FLOAT32)
        for name, seen in zip(names, every, strict=True)
        if seen.rates
    ]


def _draw(ask: Ask, provider: Provider, reference: Reference, notes: list[str]) -> Drawn | None:
    """Sampling of the stored fit where there is one. None with a note where no film is accepted, as after few steps."""
    source: Source = "short training" if ask.shortened else "whole fit"
    if ask.fit:
        source = "stored fit"
        provider = type(provider).load(Path(ask.fit), provider.settings, device=provider.device)
    try:
        return draw(provider, ask.films, ask.rounds, reference, source)
    except CxrbenchError as error:
        hint = "" if ask.fit else "; `cxrbench run` with the same settings first, then its networks are sampled"
        notes.append(f"sampling was not measured: {error}{hint}")
        return None


def _plain(model: Rate | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(mode="json")


if __name__ == "__main__":
    answer(lambda line: probe(Ask.model_validate_json(line)))
