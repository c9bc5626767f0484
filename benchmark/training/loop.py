"""The one training loop. A baseline or downstream model supplies a Recipe: networks, losses and a schedule.

Device, precision, channels-last, seeds, progress, the guard against losses that are not finite, validation with early
stopping, throughput and checkpoints live here (on Lightning Fabric); everything a paper says lives in the recipe.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from ..errors import TrainingError
from ..progress import Progress
from . import by_eye, checkpoint
from .history import HISTORY_POINTS, History
from .observer import Observer, observer
from .rate import Rate
from .recipe import Recipe, Source, Step
from .stopping import Validation


def make_fabric(device: str, *, float32: bool) -> Fabric:
    """Fabric on one device: bfloat16 autocast on CUDA where the recipe allows it, float32 elsewhere."""
    accelerator = device.split(":")[0]
    precision = "bf16-mixed" if accelerator == "cuda" and not float32 else "32-true"
    devices: list[int] | int = [int(device.split(":")[1])] if ":" in device else 1
    if accelerator == "cuda":
        torch.set_float32_matmul_precision("high")
    return Fabric(accelerator=accelerator, devices=devices, precision=precision)  # type: ignore[arg-type]  # str is wider than its Literal


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's global generators start from `seed` inside the block and are put back after it."""
    cuda = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield


class Rows:
    """Which rows come next: a new seeded permutation per epoch, a function of the images seen alone (so resumable)."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def take(self, seen: int, size: int) -> np.ndarray:
        """Rows of the images number `seen` to `seen + size`."""
        return np.array([self._row(position) for position in range(seen, seen + size)], dtype=np.int64)

    def _row(self, position: int) -> int:
        epoch, offset = divmod(position, self.count)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.count)
        return int(self._order[offset])


def _guard(losses: Mapping[str, Tensor], step: int) -> dict[str, float]:
    values = {name: float(loss.detach()) for name, loss in losses.items()}
    for name, value in values.items():
        if not np.isfinite(value):
            raise TrainingError(f"loss '{name}' is {value} at step {step}: lower the learning rate or check the input")
    return values


def train(
    recipe: Recipe,
    source: Source,
    *,
    steps: int,
    seed: int,
    device: str = "cpu",
    progress: Progress | None = None,
    validation: Validation | None = None,
    checkpoints: Path | None = None,
    name: str = "",
) -> History:
    """Train a recipe for `steps` steps; same seed, same CPU and same thread count give the same weights bit for bit.

    TrainingError names step and loss when a loss is not finite. With `checkpoints`, a folder (by default that of
    `checkpoint.kept_in`), the state is kept there every two minutes, and a training that was stopped goes on from it to the
    same weights; who gave the folder clears it.
    `name`: what the training is called where a fit has several, by whoever ends it by eye (`by_eye`).
    """
    if len(source) == 0:
        raise TrainingError("nothing to train on: the training set is empty")
    watching, checkpoints = observer(), checkpoints or checkpoint.folder_of_block()
    watching.planned(steps, recipe.batch_size, float32=recipe.float32)
    if watching.most_steps is not None:
        steps, checkpoints = min(steps, watching.most_steps), None
    with seeded(seed):
        history = _train(
            recipe, source, steps, seed, device, progress or Progress(), validation, checkpoints, watching, name
        )
    watching.ends(recipe.networks(), history)
    return history


def _train(
    recipe: Recipe,
    source: Source,
    steps: int,
    seed: int,
    device: str,
    progress: Progress,
    validation: Validation | None,
    checkpoints: Path | None,
    watching: Observer,
    called: str,
) -> History:
    eye = by_eye.of_block()
    until = eye.end(called or by_eye.UNNAMED, steps)
    fabric = make_fabric(device, float32=recipe.float32)
    channels_last = _place(recipe, fabric)
    optimizers = recipe.optimizers()
    history = History(precision=str(fabric._precision.precision))
    rows = Rows(len(source), seed)

    def drawn(index: int) -> dict[str, Tensor]:
        size = recipe.batch_size(history.images_seen)
        return source.batch(rows.take(history.images_seen, size), np.random.default_rng([seed, 1, index]))

    state = checkpoint.State(recipe, optimizers, fabric.device, validation.stop if validation else None)
    name = ""
    if checkpoints is not None or eye.folder is not None:
        name = checkpoint.identity(recipe, drawn(0), rows=len(source), steps=steps, seed=seed)
    keeper = checkpoint.Keeper(checkpoints, name, state)
    start = keeper.resume(history)
    stopped = validation is not None and validation.stop.over  # after its last checkpoint
    if stopped or (start < until and eye.take(called, name, until, recipe, history)):
        start = until
    rate = Rate(fabric.device, until - start)
    log_every = max(1, steps // HISTORY_POINTS)
    check_every = 1 if fabric.device.type == "cpu" else 20
    watching.begins(until - start, fabric.device)
    if start == 0:
        with _autocast(recipe, fabric):
            recipe.begins(fabric.device)
        eye.moment(called, name, recipe, history, {}, rate)
    for index in range(start, until):
        size = recipe.batch_size(history.images_seen)
        batch = {name: _to_device(value, fabric.device, channels_last) for name, value in drawn(index).items()}
        with _autocast(recipe, fabric):
            losses = recipe.step(batch, Step(index, steps, fabric, watching))
        history.images_seen += size
        history.steps = index + 1
        last = index + 1 == until
        _note(losses, history, keep=last or index % log_every == 0, look=index % check_every == 0)
        rate.after(index - start, size)
        progress.update((index + 1) / until, f"{index + 1}/{until}")
        pause = time.perf_counter()
        watching.after_step(index - start, size)
        stop, look = False, time.perf_counter()
        if validation is not None and ((index + 1) % validation.every == 0 or last):
            stop = _validate(recipe, validation, history, index, state.best)
        keeper.maybe_keep(history)
        eye.moment(called, name, recipe, history, losses, rate)
        now = time.perf_counter()
        rate.pause(now - pause)
        watching.after_pause(now - look)
        if stop:
            break
    for part, weights in state.best.items():
        recipe.networks()[part].load_state_dict(weights)
    history.images_per_second = rate.median() or history.images_per_second
    keeper.end(history)
    for network in recipe.networks().values():
        network.eval()
    return history


def _note(losses: Mapping[str, Tensor], history: History, *, keep: bool, look: bool) -> None:
    """Keep the losses of the last step in the history, or look whether they are finite."""
    index = history.steps - 1
    if keep:
        history.rows.append({"step": float(index), **_guard(losses, index)})
    elif look:
        _guard(losses, index)


def _place(recipe: Recipe, fabric: Fabric) -> bool:
    """Move the networks to the device, ready to train; whether they have their channels last there."""
    channels_last = fabric.device.type == "cuda"
    for network in recipe.networks().values():
        network.to(fabric.device)
        if channels_last:
            network.to(memory_format=torch.channels_last)
        network.train()
    return channels_last


def _autocast(recipe: Recipe, fabric: Fabric) -> AbstractContextManager[None]:
    return nullcontext() if recipe.float32 else fabric.autocast()


def _to_device(value: Tensor, device: torch.device, channels_last: bool) -> Tensor:
    value = value.to(device, non_blocking=True)
    if channels_last and value.ndim == 4:
        value = value.contiguous(memory_format=torch.channels_last)
    return value


def _validate(
    recipe: Recipe,
    validation: Validation,
    history: History,
    index: int,
    best: dict[str, dict[str, Tensor]],
) -> bool:
    networks = recipe.networks()
    for network in networks.values():
        network.eval()
    with torch.no_grad():
        value = validation.measure()
    for network in networks.values():
        network.train()
    history.rows.append({"step": float(index), "validation": value})
    improved, stop = validation.stop.update(value)
    if improved:
        for name, network in networks.items():
            best[name] = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
    return stop
