"""Counts what the trainings of a fit or of a cell cost, in a process of its own (this module as a program).

Networks and films are real; from the first step of a training on, every operation gives tensors without memory
(`FakeTensorMode`), so that a step that no machine could hold is counted in seconds. Such tensors have no values: where an
operation depends on them, the step is done for real. What a fit does after its first training has no memory either (it
encodes all films, say), and a network that draws films is asked once for each shape of its input. Of films that need much
memory before a training begins a few are taken; the number of steps is that of all of them at a small side.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from ..contracts.task import Arm, ArmName, Slot, Task
from ..data.copies import copies
from ..data.dataset import Dataset, load_dataset, scaled
from ..home import home
from ..processes import answer
from ..progress import Progress
from ..registry import Plugin
from ..runs.steps import provider_of, task_of, training_set
from ..training.observer import Observer, watched_by
from .counted import Count, CountAsk, TrainingCount
from .probe import FlopCounter
from .without_memory import Held, Once, without_memory

if TYPE_CHECKING:
    from torch import nn

    from ..training.history import History

STEPS = 2
"""Steps of a downstream training that are counted: from the second on the optimiser has its state."""
CYCLE = 5
"""Steps of a provider's: generators are updated every second or fifth step."""
FILMS = 16
"""Films that are drawn."""
MOST_PIXELS = 10**8
"""Of films and masks together: of more, fits are counted on a few films."""
FEW = 32
"""So many."""
LEAST_SIDE = 128
"""Pixels that films have at the least where their fit is only asked for its number of steps."""
COMPARED = "compared_steps"
"""The setting of generators with a sampler that says which numbers of its steps are compared."""


@dataclass
class Seen:
    """What was seen of one training."""

    steps: int = 0
    films: int = 0
    """Of the whole training."""
    batches: list[int] = field(default_factory=list)
    flops: list[float] = field(default_factory=list)
    operations: list[int] = field(default_factory=list)
    peak: int = 0
    reduced: bool = False


class Counter(Observer):
    """Counts the first steps of every training."""

    def __init__(self, *, fake: bool, most_steps: int | None, onwards: FakeTensorMode | None = None) -> None:
        self.fake, self.most_steps, self.onwards = fake, most_steps, onwards
        """`onwards`: from the first training until `close` all is in this mode, also what lies between trainings."""
        self.every: list[Seen] = []
        self.stack, self.outer = ExitStack(), ExitStack()
        self.began = False

    def planned(self, steps: int, batch_size: Callable[[int], int], *, float32: bool) -> None:
        seen = Seen(steps, reduced=not float32)
        for _ in range(steps):
            seen.films += batch_size(seen.films)
        self.every.append(seen)

    def begins(self, steps: int, device: torch.device) -> None:
        self.stack = ExitStack()
        if self.fake and not (self.onwards and self.began):
            (self.outer if self.onwards else self.stack).enter_context(without_memory(self.onwards))
        self.began = True
        self.held = self.stack.enter_context(Held())
        self.flops = self.stack.enter_context(FlopCounter())
        self.before = (0.0, 0)

    def after_step(self, step: int, images: int) -> None:
        seen, total = self.every[-1], (float(self.flops.get_total_flops()), self.held.operations)
        seen.batches.append(images)
        seen.flops.append(total[0] - self.before[0])
        seen.operations.append(total[1] - self.before[1])
        self.before = total

    def ends(self, networks: Mapping[str, nn.Module], history: History) -> None:
        self.every[-1].peak = self.held.peak + sum(map(_bytes, networks.values()))
        self.stack.close()

    def close(self) -> None:
        """Tensors have memory again."""
        self.stack.close()
        self.outer.close()


def _bytes(network: nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in (*network.parameters(), *network.buffers()))


def _training(name: str, seen: Seen, counted: int) -> TrainingCount:
    """What a training costs by its last `counted` steps. One that grows has a step of each phase before the others, and as
    many films in each phase."""
    each = [flops / films for flops, films in zip(seen.flops, seen.batches, strict=True)]
    phases = each[:-counted] if len(each) > counted else each
    last = slice(-counted, None)
    return TrainingCount(
        name=name,
        steps=seen.steps,
        batch=seen.batches[-1],
        step_flops=float(np.mean(seen.flops[last])),
        flops=seen.films * float(np.mean(phases)),
        operations=round(float(np.mean(seen.operations[last]))),
        device_bytes=seen.peak,
        reduced=seen.reduced,
    )


def _watched(
    run: Callable[[], object], *, most_steps: int | None, real: bool, onwards: FakeTensorMode | None = None
) -> tuple[list[Seen], str]:
    """What is seen of trainings on tensors without memory, or else, where allowed, on `real` ones: (trainings, how).
    `onwards` (`Counter`) is tried first, where given."""
    ways = [("fake", onwards)] * (onwards is not None) + [("fake", None)] + [("real", None)] * real
    for how, further in ways:
        counter = Counter(fake=how == "fake", most_steps=most_steps, onwards=further)
        try:
            with watched_by(counter):
                run()
            return counter.every, how
        except (DataDependentOutputException, DynamicOutputShapeException, RuntimeError):
            if (how, further) == ways[-1]:
                raise
        finally:
            counter.close()
    return [], ""


def count_fit(ask: CountAsk) -> Count:
    """Of the fit of a cell's provider, and of sampling."""
    task, (plugin, settings) = task_of(ask.work), provider_of(ask.work)
    films = ask.cell.synthetic_count(task, load_dataset(ask.work.data))
    train = training_set(ask.work, ask.cell, task)
    return fit_count(plugin, settings, train, films, task.settings.resolution, real=ask.real)


def fit_count(
    plugin: Plugin, settings: Any, train: Dataset, films: int, resolution: int, *, real: bool = True
) -> Count:
    """Of a provider with these settings on a training set, and of sampling `films` films for a test at a resolution."""
    cls, side = plugin.load(), train.resolution
    made, mode = list[Any](), FakeTensorMode(allow_non_fake_inputs=True)

    def fitted(one: Any, data: Dataset) -> None:
        made.append(plugin.make(without_comparisons(one), device="cpu"))
        made[-1].fit(data, seed=0, progress=Progress())

    def watched(one: Any, data: Dataset, most_steps: int | None) -> tuple[list[Seen], str]:
        return _watched(partial(fitted, one, data), most_steps=most_steps, real=real, onwards=mode)

    grows = cls.shorter(settings, CYCLE, side=side) != cls.shorter(
        settings, CYCLE
    )  # then this says how long it is alone
    smoked = cls.smoke(settings, CYCLE, side=side)
    if grows:
        whole = watched(settings, train, 1)[0]
        every, how = watched(smoked, train, None) if whole else ([], "")
    elif _pixels(train) > MOST_PIXELS:
        whole = watched(settings, _smaller(train), 1)[0]
        every, how = watched(settings, _few(train), CYCLE)
    else:
        every, how = watched(settings, train, CYCLE)
        whole = every
    for seen, one in zip(every, whole, strict=True):
        seen.steps, seen.films = one.steps, one.films
    made[-1].settings = smoked
    names = list(made[-1].histories())
    names = names if len(names) == len(every) else [f"training {number + 1}" for number in range(len(every))]
    flops, peak = _sampled(made[-1], mode) if every else (0.0, 0)
    return Count(
        trainings=tuple(_training(name, seen, CYCLE) for name, seen in zip(names, every, strict=True)),
        sampling_flops=flops,
        sampling_bytes=peak,
        host_bytes=_host(train) + films * resolution**2 * (2 if train.masks is not None else 1),
        how=how or "fake",
    )


def _pixels(films: Dataset) -> int:
    return len(films) * films.resolution**2 * (1 + (len(films.organs) if films.masks is not None else 0))


def _few(films: Dataset) -> Dataset:
    """A few films, evenly spread over all of them."""
    return films.select(np.linspace(0, len(films) - 1, min(len(films), FEW)).astype(np.int64))


def _smaller(films: Dataset) -> Dataset:
    """All films, every so many of their pixels."""
    by = next((by for by in (8, 4, 2) if films.resolution % by == 0 and films.resolution // by >= LEAST_SIDE), 1)
    info, boxes = scaled(films.info, films.boxes, films.resolution // by)
    masks = None if films.masks is None else np.asarray(films.masks[:, ::by, ::by])
    images = np.asarray(films.images[:, ::by, ::by])
    return Dataset(info=info, images=images, cases=films.cases, masks=masks, boxes=boxes)


def without_comparisons(settings: Any) -> Any:
    """Settings of a fit that draws no films by several numbers of sampler steps when it is trained: these are pictures for
    the report, drawn for real, and take longer than all that is counted."""
    if not is_dataclass(settings) or isinstance(settings, type):
        return settings
    parts = {one.name: getattr(settings, one.name) for one in fields(settings) if one.init}
    inner = {name: without_comparisons(part) for name, part in parts.items() if is_dataclass(part)}
    if COMPARED in parts:
        inner[COMPARED] = ()
    return replace(settings, **inner)


def _sampled(provider: Any, mode: FakeTensorMode) -> tuple[float, int]:
    """FLOPs a film and the most bytes of drawing a few films."""
    networks = provider.networks()
    with ExitStack() as stack:
        stack.enter_context(without_memory(mode))
        once = Once(stack.enter_context(Held()), stack.enter_context(FlopCounter()))
        for network in networks.values():
            stack.enter_context(patch.object(network, "forward", once.of(network)))
        drawn = sum(len(batch.images) for batch in provider.sample(FILMS, seed=0))
    flops = once.counter.get_total_flops() + once.flops
    return flops / max(1, drawn), once.held.peak + sum(map(_bytes, networks.values()))


def count_cell(ask: CountAsk) -> Count:
    """Of the downstream training of a cell, with copies of real films in place of synthetic ones."""
    task, data, slot = task_of(ask.work), load_dataset(ask.work.data), ask.cell.slot
    films = training_set(ask.work, ask.cell, task).resized(task.settings.resolution)
    synthetic = ask.cell.synthetic_count(task, data) if slot.arm.uses_provider else 0
    return cell_count(task, data, slot, films, synthetic, real=ask.real)


def cell_count(task: Task, data: Dataset, slot: Slot, films: Dataset, synthetic: int, *, real: bool = True) -> Count:
    """Of the downstream training of a slot on real films and copies; finetune costs what REAL costs."""
    made = None
    if slot.arm in (ArmName.SYNTHETIC, ArmName.MIXED):
        made = copies(task.learnt_from(films), synthetic, seed=0)
    name = ArmName.REAL if slot.arm is ArmName.FINETUNE else slot.arm
    learnt = None if name is ArmName.SYNTHETIC else films
    arm = Arm(name, learnt, made, None, task.validation_set(data, slot), task.structures(data))
    trainings: list[TrainingCount] = []
    how = "fake"
    for called, settings in task.counted(task.settings).items():
        one = type(task)(settings)
        trained = partial(one.train, arm, seed=0, device="cpu", progress=Progress())
        every, how = _watched(trained, most_steps=STEPS, real=real)
        names = [called or "training"] if len(every) == 1 else [f"{called} {k + 1}".strip() for k in range(len(every))]
        trainings += [_training(title, seen, STEPS) for title, seen in zip(names, every, strict=True)]
    held = [part for part in (films, made) if part is not None]
    return Count(trainings=tuple(trainings), host_bytes=sum(_host(part) for part in held), how=how)


def _host(films: Dataset) -> int:
    """Bytes of the films and masks of a set."""
    each = films.images.shape[-1] ** 2 * films.images.dtype.itemsize
    return len(films) * each * (1 if films.masks is None else 2)


def count(ask: CountAsk) -> dict[str, Any]:
    """What is counted, as JSON values. What a training keeps in the home of the user goes to another one."""
    datasets = home() / "datasets"
    with tempfile.TemporaryDirectory() as folder:
        if datasets.is_dir():
            (Path(folder) / "datasets").symlink_to(datasets.resolve())
        os.environ["CXRBENCH_HOME"] = folder
        found = count_fit(ask) if ask.fit else count_cell(ask)
    return found.model_dump(mode="json")


if __name__ == "__main__":
    answer(lambda line: count(CountAsk.model_validate_json(line)))
