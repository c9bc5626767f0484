"""How a generator of films without annotations takes part in a task that needs them, as `--label-by` says.

`per_class`: one generator for every finding and one for films without any; a film has the label of its generator.
`teacher`: the REAL downstream model of the same fold, size and seed annotates the films (`Task.annotate`).
The record says which, and a native annotation and an adapted one never share a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data.dataset import Annotation, Dataset
from ..data.findings import NO_FINDING
from ..digest import derive_seed
from ..errors import InputError
from ..progress import Progress
from .provider import Batch, Provider

if TYPE_CHECKING:
    from torch import nn

    from ..training.history import History

CLASSES = "classes.json"
MIN_FILMS = 2  # a generator cannot be fitted on fewer


class LabelBy(StrEnum):
    """Where the annotations of synthetic films come from."""

    NATIVE = "native"
    PER_CLASS = "per_class"
    TEACHER = "teacher"


class PerClass(Provider):
    """A generator per finding, and one for films without any, made of one image-only provider.

    A film with several findings trains several generators. Films are asked of each in the proportion of its training
    films, and have its finding as their one label. A finding with fewer than two training films has no generator.
    """

    produces = frozenset({Annotation.LABELS})

    def __init__(
        self, make: Callable[[], Provider], load: Callable[[Path], Provider] | None = None, *, device: str = "cpu"
    ) -> None:
        super().__init__(device=device)
        self.make, self.load_inner = make, load
        self.findings: tuple[str, ...] = ()
        self.films: dict[str, int] = {}
        self.generators: dict[str, Provider] = {}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        if not train.info.findings:
            raise InputError(f"--label-by per_class: the training set {train.info.name} has no findings to divide by")
        self.findings = train.info.findings
        rows = self._divided(train)
        self.films = {name: len(some) for name, some in rows.items()}
        fitted = [name for name, some in rows.items() if len(some) >= MIN_FILMS]
        if not fitted:
            raise InputError(f"--label-by per_class: no finding of {train.info.name} has {MIN_FILMS} films or more")
        done, total = 0, sum(self.films[name] for name in fitted)
        for name in fitted:
            generator = self.make()
            if self.checkpoints is not None:
                generator.checkpoints = self.checkpoints / _folder(name)
            part = progress.part(name, done / total, (done + self.films[name]) / total)
            films = train.select(rows[name], name=f"{train.info.name}, {name}")
            if self.rest is not None:
                generator.rest = self.rest.select(self._divided(self.rest)[name]).read_only()
            generator.fit(films.read_only(), seed=derive_seed("per class", name, seed), progress=part)
            self.generators[name] = generator
            self.weights_used = generator.weights_used
            done += self.films[name]

    def _divided(self, films: Dataset) -> dict[str, np.ndarray]:
        """Rows of the films with each finding, and of those without any."""
        labels = films.labels()
        rows = {name: np.flatnonzero(labels[:, column]) for column, name in enumerate(self.findings)}
        return rows | {NO_FINDING: np.flatnonzero(~labels.any(axis=1))}

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Films of the generators in turn; labels one-hot, none for the generator of films without findings."""
        for name, count in self._shares(n).items():
            label = np.array([finding == name for finding in self.findings], dtype=np.uint8)
            made = self.generators[name].sample(count, seed=derive_seed("per class", name, seed)) if count else ()
            for batch in made:
                labels = np.tile(label, (len(batch.images), 1))
                yield replace(batch, masks=None, boxes=None, organs=None, labels=labels)

    def _shares(self, n: int) -> dict[str, int]:
        """How many of n films each generator makes: in proportion to its training films, largest remainders first."""
        weights = np.array([self.films[name] for name in self.generators], dtype=np.float64)
        exact = n * weights / weights.sum()
        counts = np.floor(exact).astype(int)
        for place in np.argsort(counts - exact, kind="stable")[: n - counts.sum()]:
            counts[place] += 1
        return dict(zip(self.generators, counts.tolist(), strict=True))

    def networks(self) -> Mapping[str, nn.Module]:
        return {
            f"{name}: {part}": network
            for name, generator in self.generators.items()
            for part, network in generator.networks().items()
        }

    def parameter_count(self) -> int:
        return sum(generator.parameter_count() for generator in self.generators.values())

    def histories(self) -> Mapping[str, History]:
        return {
            f"{name}: {curve}": history
            for name, generator in self.generators.items()
            for curve, history in generator.histories().items()
        }

    def trained_on(self) -> list[str]:
        return sorted({case for generator in self.generators.values() for case in generator.trained_on()})

    def facts(self) -> Mapping[str, float | int | str]:
        left_out = [name for name in self.films if name not in self.generators]
        return {"generators": len(self.generators), "classes_without_generator": ", ".join(left_out) or "none"}

    def save(self, folder: Path) -> None:
        kept = {"findings": self.findings, "films": self.films, "fitted": list(self.generators)}
        (folder / CLASSES).write_text(json.dumps(kept), encoding="utf-8")
        for name, generator in self.generators.items():
            (folder / _folder(name)).mkdir()
            generator.save(folder / _folder(name))

    def restore(self, folder: Path) -> PerClass:
        """Take back what `save` kept."""
        if self.load_inner is None:
            raise InputError("--label-by per_class: kept generators need the way to load one")
        kept = json.loads((folder / CLASSES).read_text(encoding="utf-8"))
        self.findings, self.films = tuple(kept["findings"]), dict(kept["films"])
        self.generators = {name: self.load_inner(folder / _folder(name)) for name in kept["fitted"]}
        return self


def _folder(name: str) -> str:
    return name.replace(" ", "_")
