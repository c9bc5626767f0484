"""A fingerprint of a training: losses, gradients and optimiser settings of its first two batches, and its first weights.

A changed loss, network, initialisation, batch or rate moves it, in a second instead of the hours that a run takes. It says
that something changed, not whether it is better: the numbers of a run say that. Weights stay what they were at the start,
because Adam makes a whole step of the sign of a gradient that is nothing but rounding, and every machine rounds otherwise.

A subject is `provider:NAME` or `task:NAME` (its downstream model on real films) at the preset quick, with settings behind
it where they differ: `task:scr_official model=unet`. Run as
`python -m cxrbench.leaderboard.regression.take OUT.json SUBJECT ...`, so that whoever asks needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ...benchmark.contracts.provider import Provider
from ...benchmark.contracts.task import Arm, ArmName, Task
from ...benchmark.errors import CxrbenchError, InputError
from ...benchmark.files import write_text
from ...benchmark.progress import Progress
from ...benchmark.registry import find_provider, find_task
from ...benchmark.runs.record import Environment
from ...benchmark.schema import Strict
from ...benchmark.settings import override, parse_pairs
from ...benchmark.training.observer import Observer, watched_by
from .films import fingerprint_films

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.optim import Optimizer

    from ...benchmark.training.history import History

STEPS = 2
PRESET = "quick"
SAMPLED = 16
"""Films that a provider without trainings is known by."""
ROUNDING = 1e-6
"""A tensor whose gradient is a smaller share of the largest one's is rounding (a bias before a normalisation)."""
OPTIMISER = ("lr", "betas", "momentum", "weight_decay")


class Fingerprint(Strict):
    """The numbers of a subject by name, and the sha256 of all its weights (of its films, where it trains nothing), which is
    the same on the same machine alone. `error`: why there is no fingerprint."""

    numbers: dict[str, float] = Field(default_factory=dict)
    digest: str = ""
    error: str = ""


class Fingerprints(Strict):
    """Those of several subjects, taken on the films with the digest `films`, on one machine. `processor`: its kind, and the
    instructions that torch used."""

    films: str
    environment: Environment
    processor: str
    subjects: dict[str, Fingerprint]


@dataclass
class _Notes:
    """What is noted of the trainings of a subject, in their order."""

    trainings: int = 0
    steps: int = 0
    numbers: dict[str, float] = field(default_factory=dict)
    hasher: Any = field(default_factory=hashlib.sha256)

    def note(self, name: str, value: float) -> None:
        self.numbers[f"{self.trainings}: {name}"] = value


def take(subject: str) -> Fingerprint:
    """The fingerprint of a subject. InputError where it is no subject; an error of the subject itself is in it."""
    import torch

    kind, colon, words = subject.partition(":")
    name, *texts = words.split() or [""]
    if not colon or kind not in ("provider", "task"):
        raise InputError(f"'{subject}' is no subject: expected provider:NAME or task:NAME, with key=value behind it")
    plugin = find_provider(name) if kind == "provider" else find_task(name)
    cls, threads = plugin.load(), torch.get_num_threads()
    settings = override(cls.presets[PRESET], parse_pairs(texts), name)
    torch.set_num_threads(1)
    try:
        look = _Look()
        notes = look.notes
        with watched_by(look):
            if kind == "task":
                _train(cls(settings))
            else:
                _fit(name, plugin.make(settings, device="cpu"), notes)
        return Fingerprint(numbers=notes.numbers, digest=notes.hasher.hexdigest())
    except CxrbenchError as error:
        return Fingerprint(error=str(error))
    finally:
        torch.set_num_threads(threads)


def _train(task: Task) -> None:
    """Train the downstream model of a task on real films, as a REAL cell does. These are drawn: what is decided by the films
    is decided as for phantoms."""
    task = task.settled(phantom=True)
    settings = task.settings
    films = fingerprint_films(settings.resolution)
    slot = next(slot for slot in task.slots(films) if slot.arm is ArmName.REAL)
    real = task.training_set(fingerprint_films(settings.fit_resolution), slot).resized(settings.resolution)
    arm = Arm(ArmName.REAL, real, validation=task.validation_set(films, slot), structures=task.structures(films))
    task.train(arm, seed=0, device="cpu", progress=Progress())


def _fit(name: str, provider: Provider, notes: _Notes) -> None:
    """Fit a provider; where that trains nothing, note means over its films."""
    from ...benchmark.contracts.collector import collect

    films = fingerprint_films()
    provider.fit(films, seed=0, progress=Progress())
    if notes.trainings:
        return
    made = collect(name, provider, films, SAMPLED, seed=0, progress=Progress())
    notes.note("grey", float(made.images.mean()))
    notes.note("contrast", float(made.images.std()))
    if made.masks is not None:
        for organ, share in zip(made.organs, made.organ_masks().mean(axis=(0, 2, 3)), strict=True):
            notes.note(organ, float(share))
    if made.boxes is not None:
        for corner in ("x", "y", "w", "h"):
            notes.note(f"box {corner}", float(made.boxes[corner].mean()))
    if made.info.findings:
        notes.note("labels", float(made.labels().mean()))
    notes.hasher.update(made.digest.encode())


class _Look(Observer):
    """Trainings see two batches, change no weight, and are noted."""

    most_steps = STEPS

    def __init__(self) -> None:
        self.notes = _Notes()

    def begins(self, steps: int, device: torch.device) -> None:
        self.notes.trainings, self.notes.steps = self.notes.trainings + 1, 0

    def before_update(self, optimizer: Optimizer) -> None:
        _note_step(self.notes, optimizer)

    def ends(self, networks: Mapping[str, nn.Module], history: History) -> None:
        _note_training(self.notes, networks, history)


def _note_step(notes: _Notes, optimizer: Optimizer) -> None:
    """Note the norm of the gradient, the geometric mean of its tensors' norms (which a small part of a loss moves as much as
    a large one), and the optimiser's settings; and take the gradient away."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None]
    norms = [float(weight.grad.double().square().sum().sqrt()) for weight in weights]
    clear = [math.log(norm) for norm in norms if norm > ROUNDING * max(norms)]
    notes.note(f"gradient {notes.steps}", math.hypot(*norms))
    notes.note(f"gradient {notes.steps}, typical tensor", math.exp(sum(clear) / len(clear)) if clear else 0.0)
    for name in OPTIMISER:
        value = optimizer.param_groups[0].get(name)
        values = [] if value is None else value if isinstance(value, (tuple, list)) else [value]
        for place, one in enumerate(values):
            notes.note(f"{name} {notes.steps}.{place}", float(one))
    notes.steps += 1
    for weight in weights:
        weight.grad.zero_()


def _note_training(notes: _Notes, networks: Mapping[str, nn.Module], history: History) -> None:
    """Note the losses (and the validation after the last step) and the norm of every network's weights."""
    for row in history.rows:
        for name, value in row.items():
            if name != "step":
                notes.note(f"{name} {row['step']:.0f}", value)
    for name, network in sorted(networks.items()):
        squares = 0.0
        for weight in network.state_dict().values():
            values = weight.detach().cpu().contiguous()
            notes.hasher.update(values.numpy().tobytes())
            squares += float(values.double().square().sum()) if values.is_floating_point() else 0.0
        notes.note(f"weights of {name}", math.sqrt(squares))


def processor() -> str:
    """Vendor, family, model and stepping of the processor, and the instructions that torch, numpy and OpenCV use of it."""
    import cv2
    import numpy as np
    import torch

    found: dict[str, str] = {}
    path = Path("/proc/cpuinfo")
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    kind = [found.get(key, "?") for key in ("vendor_id", "cpu family", "model", "stepping")]
    numpy = "+".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))
    chosen = [f"{name}={os.environ[name]}" for name in _CHOOSING if os.environ.get(name)]
    opencv = cv2.getCPUFeaturesLine().replace(" ", "+")
    return " ".join([*kind, torch.backends.cpu.get_cpu_capability(), f"numpy:{numpy}", f"opencv:{opencv}", *chosen])


_CHOOSING = ("MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE")
"""Variables by which the libraries of linear algebra and convolution take other instructions."""


def take_all(subjects: Sequence[str]) -> Fingerprints:
    """The fingerprints of several subjects, and where they were taken."""
    from ...benchmark.runs.steps import environment

    return Fingerprints(
        films=fingerprint_films().digest,
        environment=environment("cpu", threads=1),
        processor=processor(),
        subjects={subject: take(subject) for subject in subjects},
    )


def main() -> None:
    """Take the fingerprints of the subjects that are named, and write them to the file that is named before them."""
    out, *subjects = sys.argv[1:]
    write_text(Path(out), json.dumps(take_all(subjects).model_dump(mode="json"), allow_nan=False))


if __name__ == "__main__":
    main()
