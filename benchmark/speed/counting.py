"""Counts what the trainings of a fit or of a cell cost, in a process of its own (this module as a program).

Networks and films are real; from the first step of a training on, every operation gives tensors without memory
(`FakeTensorMode`), so that a step that no machine could hold is counted in seconds. Such tensors have no values: where an
operation depends on them, the step is done for real.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..contracts.task import Arm, ArmName, Slot, Task
from ..data.copies import copies
from ..data.dataset import Dataset, load_dataset
from ..home import home
from ..processes import answer
from ..progress import Progress
from ..registry import Plugin
from ..runs.steps import provider_of, task_of, training_set
from ..training.observer import Observer, watched_by
from .counted import Count, CountAsk, TrainingCount
from .probe import FlopCounter

if TYPE_CHECKING:
    from torch import nn

    from ..training.history import History

STEPS = 2
"""Steps of a downstream training that are counted: from the second on the optimiser has its state."""
CYCLE = 5
"""Steps of a provider's: generators are updated every second or fifth step."""
FILMS = 16
"""Films that are drawn."""
COMPARED = "compared_steps"
"""The setting of generators with a sampler that says which numbers of its steps are compared."""


class Held(TorchDispatchMode):
    """Counts operations, and the bytes of all storages that they make, for as long as something holds these."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.operations = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        self.operations += 1
        for one in tree_leaves(given):
            if isinstance(one, Tensor):
                self._see(one)
        return given

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        if place in self.known:
            return
        self.known.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, place, size)

    def _forget(self, place: int, size: int) -> None:
        self.known.discard(place)
        self.now -= size


@contextmanager
def without_memory() -> Iterator[None]:
    """Operations give tensors without memory. Where Python asks for values, arrays and places are zero, and numbers one (of
    the levels of noise of a sampler, say, none is the last)."""

    def zeros(tensor: Tensor) -> np.ndarray:
        kind = tensor.dtype if tensor.dtype != torch.bfloat16 else torch.float32
        return np.zeros(tuple(tensor.shape), dtype=str(kind).removeprefix("torch."))

    def listed(tensor: Tensor) -> Any:
        return (np.ones_like(zeros(tensor)) if tensor.is_floating_point() else zeros(tensor)).tolist()

    def number(tensor: Tensor) -> bool | int | float:
        if tensor.dtype == torch.bool:
            return False
        return 1.0 if tensor.is_floating_point() else 1

    border: dict[str, Callable[[Tensor], Any]] = {
        "numpy": zeros,
        "tolist": listed,
        "item": number,
        "__float__": lambda tensor: float(number(tensor)),
        "__int__": lambda tensor: int(number(tensor)),
        "__bool__": lambda tensor: False,
    }
    with ExitStack() as stack:
        for name, value in border.items():
            stack.enter_context(patch.object(FakeTensor, name, value))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield


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

    def __init__(self, *, fake: bool, most_steps: int | None) -> None:
        self.fake, self.most_steps = fake, most_steps
        self.every: list[Seen] = []
        self.stack = ExitStack()

    def planned(self, steps: int, batch_size: Callable[[int], int], *, float32: bool) -> None:
        seen = Seen(steps, reduced=not float32)
        for _ in range(steps):
            seen.films += batch_size(seen.films)
        self.every.append(seen)

    def begins(self, steps: int, device: torch.device) -> None:
        self.stack = ExitStack()
        if self.fake:
            self.stack.enter_context(without_memory())
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


def _watched(run: Callable[[], object], *, most_steps: int | None, real: bool) -> tuple[list[Seen], str]:
    """What is seen of trainings on tensors without memory, or else, where allowed, on `real` ones: (trainings, how)."""
    for how in ("fake", "real") if real else ("fake",):
        counter = Counter(fake=how == "fake", most_steps=most_steps)
        try:
            with watched_by(counter):
                run()
            return counter.every, how
        except (DataDependentOutputException, DynamicOutputShapeException, RuntimeError):
            counter.stack.close()
            if how == "real" or not real:
                raise
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
    made: list[Any] = []

    def fitted(one: Any) -> None:
        made.append(plugin.make(without_comparisons(one), device="cpu"))
        made[-1].fit(train, seed=0, progress=Progress())

    grows = cls.shorter(settings, CYCLE, side=side) != cls.shorter(
        settings, CYCLE
    )  # then this says how long it is alone
    every, how = _watched(lambda: fitted(settings), most_steps=1 if grows else CYCLE, real=real)
    smoked = cls.smoke(settings, CYCLE, side=side)
    if every and grows:
        whole = every
        every, how = _watched(lambda: fitted(smoked), most_steps=None, real=real)
        for seen, one in zip(every, whole, strict=True):
            seen.steps, seen.films = one.steps, one.films
    made[-1].settings = smoked
    names = list(made[-1].histories())
    names = names if len(names) == len(every) else [f"training {number + 1}" for number in range(len(every))]
    flops, peak = _sampled(made[-1]) if every else (0.0, 0)
    return Count(
        trainings=tuple(_training(name, seen, CYCLE) for name, seen in zip(names, every, strict=True)),
        sampling_flops=flops,
        sampling_bytes=peak,
        host_bytes=_host(train) + films * resolution**2 * (2 if train.masks is not None else 1),
        how=how or "fake",
    )


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


def _sampled(provider: Any) -> tuple[float, int]:
    """FLOPs a film and the most bytes of drawing a few films."""
    with without_memory(), Held() as held, FlopCounter() as flops:
        drawn = sum(len(batch.images) for batch in provider.sample(FILMS, seed=0))
    weights = sum(_bytes(network) for network in provider.networks().values())
    return flops.get_total_flops() / max(1, drawn), held.peak + weights


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
