"""The provider contract: a generator of annotated chest X-rays, and the border checks on what it returns.

A provider is fitted on a training Dataset and sampled. It never sees a test case. Writing one takes `fit` and `sample`;
`save` and `load` have a default that covers arrays, datasets and plain values kept as attributes.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from ..data.dataset import Annotation, Dataset, DatasetInfo, load_dataset, pack_masks
from ..errors import InputError, ProviderError
from ..progress import Progress

if TYPE_CHECKING:
    from torch import nn

    from ..training.history import History


@dataclass(frozen=True)
class NoSettings:
    """The settings of a provider that has none."""


@dataclass
class Batch:
    """Some synthetic films.

    images: float32 (B, 1, H, W) in [0, 1]. masks: bool (B, O, H, W) in the organ order of the training set.
    labels: uint8 (B, F). boxes: per film a list of (finding, x, y, w, h) in pixels. source_ids: per film the ids of the
    real cases it shows pixels of (empty for a film that is wholly generated). organs: those of the training set that
    the masks show, the same in every batch; None where they are all of them.
    """

    images: np.ndarray
    masks: np.ndarray | None = None
    labels: np.ndarray | None = None
    boxes: Sequence[Sequence[tuple[str, float, float, float, float]]] | None = None
    source_ids: Sequence[Sequence[str]] | None = None
    organs: Sequence[str] | None = None


class Provider(ABC):
    """A generator of annotated chest X-rays."""

    produces: ClassVar[frozenset[Annotation]]
    """What its films can be annotated with; of these it makes what the training films have. Empty: films alone, which
    take part in a task by an adapter (`adapters`)."""
    presets: ClassVar[Mapping[str, Any]] = {name: NoSettings() for name in ("quick", "standard", "paper")}
    """The only home of its defaults: one frozen dataclass instance per preset."""
    home_task: ClassVar[str] = ""
    """The task it runs on where none is named; empty: the first that its annotations suit."""
    reference_seconds: ClassVar[Mapping[str, float]] = {}
    """Seconds that fit and sampling took at a preset, where that was measured: for the estimate of a first run."""
    sampling_parts: ClassVar[frozenset[str]] = frozenset({"sampling"})
    """The names of `parameter_parts` that sampling uses; the others are needed for training alone."""
    checkpoints: Path | None = None
    """A folder for the state of a long fit (see `training.train`); set by the engine before `fit`."""
    weights_used: str = "none"
    """Where initial weights came from, for the record: 'none' (from scratch) or the sha256 of the file."""

    def __init__(self, settings: Any = None, *, device: str = "cpu") -> None:
        self.settings = self.presets["quick"] if settings is None else settings
        self.device = device

    @abstractmethod
    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Learn from the training set. Everything random comes from `seed`."""

    @abstractmethod
    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Yield batches with exactly `n` films in all. Everything random comes from `seed`."""

    def trained_on(self) -> Sequence[str]:
        """Ids of real cases that it has learnt from besides the training set (through initial weights, or films that
        were made elsewhere): with one of the test set among them it is refused."""
        return ()

    def parameter_count(self) -> int:
        """Trainable parameters of the networks that sampling uses; 0 for a provider without networks."""
        return 0

    def parameter_parts(self, films: DatasetInfo) -> Mapping[str, int]:
        """Parameters of every network by name, for training films of this resolution, organs and findings: frozen ones
        and those that only training needs too, so that `cxrbench cost` can lay them out as a paper does. Where they follow
        from settings and films it can be called before `fit`. The default knows the networks of `parameter_count`."""
        count = self.parameter_count()
        return {"sampling": count} if count else {}

    def histories(self) -> Mapping[str, History]:
        """How each training of `fit` went, by name: curves for the report, images seen for the cost."""
        return {}

    def facts(self) -> Mapping[str, float | int | str]:
        """Figures about the last sampling for the record and the report, by name (`share_near_duplicates`)."""
        return {}

    def timeline(self) -> tuple[Sequence[int], np.ndarray] | None:
        """Samples along the last `fit` for the report: training steps (K), and pictures uint8 (K, S, H, W) whose second
        axis is the same sample at every step."""
        return None

    def save(self, folder: Path) -> None:
        """Keep the fitted provider in an existing empty folder. The default keeps plain values, arrays and datasets."""
        plain: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name in ("settings", "device", "checkpoints"):
                continue
            if isinstance(value, Dataset):
                value.save(folder / f"{name}.dataset")
            elif isinstance(value, np.ndarray):
                np.save(folder / f"{name}.npy", value, allow_pickle=False)
            else:
                try:
                    plain[name] = json.loads(json.dumps(value, allow_nan=False))
                except (TypeError, ValueError):
                    raise ProviderError(
                        f"provider {type(self).__name__}: attribute '{name}' is {type(value).__name__}; the default "
                        "save() keeps numbers, text, lists, arrays and datasets: write save() and load()"
                    ) from None
        (folder / "attributes.json").write_text(json.dumps(plain), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, settings: Any = None, *, device: str = "cpu") -> Self:
        """The fitted provider that `save` kept."""
        provider = cls(settings, device=device)
        for name, value in json.loads((folder / "attributes.json").read_text(encoding="utf-8")).items():
            setattr(provider, name, value)
        for path in folder.glob("*.npy"):
            setattr(provider, path.stem, np.load(path, allow_pickle=False))
        for path in folder.glob("*.dataset"):
            setattr(provider, path.stem, load_dataset(path))
        return provider


def parameters_of(networks: Mapping[str, nn.Module]) -> dict[str, int]:
    """The number of parameters of networks by name."""
    return {name: sum(weight.numel() for weight in network.parameters()) for name, network in networks.items()}


@dataclass(frozen=True)
class _Kept:
    """What is kept of a checked batch: films uint8 (B, H, W), masks as bit flags, the rest as it came."""

    images: np.ndarray
    masks: np.ndarray | None
    labels: np.ndarray | None
    boxes: Sequence[Sequence[tuple[str, float, float, float, float]]] | None
    sources: list[list[str]]


@dataclass
class Collector:
    """Checks batches at the border and makes a Dataset of them."""

    provider: str
    train: Dataset
    wanted: frozenset[Annotation]
    """What every batch must have; what else a batch has and the training films have too is checked and kept."""
    expected: int
    _parts: list[_Kept] = field(default_factory=list)
    _count: int = 0
    _organs: tuple[str, ...] | None = None
    _annotations: frozenset[Annotation] | None = None

    def _require(self, condition: bool, what: str, expected: str, found: object) -> None:
        if not condition:
            given = f"{what} {found}".strip()
            raise ProviderError(f"provider {self.provider}: sample() gave {given}, expected {expected}")

    def add(self, batch: Batch) -> None:
        """Check one batch; ProviderError names the provider, the field, what was expected and what was found."""
        side = self.train.resolution
        self._require(isinstance(batch, Batch), "a", "a Batch", type(batch).__name__)
        images = batch.images
        self._require(isinstance(images, np.ndarray), "images as", "a numpy array", type(images).__name__)
        shape = (len(images), 1, side, side)
        self._require(images.shape == shape, "images of shape", str(shape), images.shape)
        self._require(images.dtype == np.float32, "images of type", "float32", images.dtype)
        self._require(bool(np.isfinite(images).all()), "images with", "finite values", "NaN or infinity")
        if images.size:
            low, high = float(images.min()), float(images.max())
            self._require(low >= 0 and high <= 1, "images in", "values in [0, 1]", f"[{low:.4g}, {high:.4g}]")
        kept = self._kept(batch)
        self._require(
            self._annotations in (None, kept),
            "films annotated with",
            f"the annotations of the batches before ({_listed(self._annotations)})",
            _listed(kept),
        )
        self._annotations = kept
        if Annotation.MASKS in kept:
            self._check_masks(batch)
        if Annotation.LABELS in kept:
            self._check_labels(batch)
        if Annotation.BOXES in kept:
            self._check_boxes(batch)
        if batch.source_ids is not None:
            self._require(
                len(batch.source_ids) == len(images), "source_ids for", f"{len(images)} films", len(batch.source_ids)
            )
        self._count += len(images)
        self._require(
            self._count <= self.expected, "more than the asked films:", f"{self.expected} films in all", self._count
        )
        given = batch.source_ids if batch.source_ids is not None else [[]] * len(images)
        self._parts.append(
            _Kept(
                images=np.rint(images[:, 0] * 255).astype(np.uint8),
                masks=pack_masks(batch.masks) if Annotation.MASKS in kept and batch.masks is not None else None,
                labels=batch.labels,
                boxes=batch.boxes,
                sources=[list(map(str, row)) for row in given],
            )
        )

    def _kept(self, batch: Batch) -> frozenset[Annotation]:
        """The annotations of a batch that are checked and kept."""
        fields = {Annotation.MASKS: batch.masks, Annotation.LABELS: batch.labels, Annotation.BOXES: batch.boxes}
        given = {annotation for annotation, value in fields.items() if value is not None}
        return self.wanted | (self.train.annotations & given)

    def _check_boxes(self, batch: Batch) -> None:
        count, side = len(batch.images), self.train.resolution
        found = None if batch.boxes is None else len(batch.boxes)
        self._require(found == count, "boxes for", f"{count} films", found)
        for finding, x, y, w, h in (box for boxes in batch.boxes or () for box in boxes):
            self._require(
                finding in self.train.info.findings,
                "a box of",
                f"a finding of the training set ({', '.join(self.train.info.findings)})",
                repr(finding),
            )
            inside = x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= side + 1e-3 and y + h <= side + 1e-3
            self._require(
                inside, "a box", f"x, y, w, h in pixels inside a film of {side}", (round(x, 2), round(y, 2), w, h)
            )

    def _check_organs(self, batch: Batch) -> tuple[str, ...]:
        """The organs of a batch: of the training set, in its order, the same in every batch."""
        known = self.train.organs
        organs = known if batch.organs is None else tuple(batch.organs)
        ordered = tuple(organ for organ in known if organ in organs)
        listed = ", ".join(map(str, organs)) or "none"
        self._require(
            organs == ordered and bool(organs or not known),
            "masks of the organs",
            f"organs of the training set in its order ({', '.join(known)})",
            listed,
        )
        self._require(
            self._organs in (None, organs),
            "masks of the organs",
            f"those of the batches before ({', '.join(self._organs or ())})",
            listed,
        )
        return organs

    def _check_masks(self, batch: Batch) -> None:
        side, organs = self.train.resolution, self._check_organs(batch)
        shape = (len(batch.images), len(organs), side, side)
        found = None if batch.masks is None else batch.masks.shape
        self._require(found == shape, "masks of shape", f"{shape} for organs {', '.join(organs)}", found)
        dtype = None if batch.masks is None else batch.masks.dtype
        self._require(dtype == np.bool_, "masks of type", "bool", dtype)
        self._organs = organs

    def _check_labels(self, batch: Batch) -> None:
        shape = (len(batch.images), len(self.train.info.findings))
        self._require(batch.labels is not None, "no labels:", f"labels of shape {shape}", "")
        found = None if batch.labels is None else batch.labels.shape
        self._require(found == shape, "labels of shape", str(shape), found)
        values = set() if batch.labels is None else set(np.unique(batch.labels).tolist())
        self._require(values <= {0, 1}, "labels with values", "0 and 1", sorted(values))

    def dataset(self, name: str) -> Dataset:
        """The checked films as a Dataset; ProviderError when their number is not the asked one."""
        self._require(self._count == self.expected, "", f"{self.expected} films", f"{self._count} films in all")
        images = np.concatenate([part.images for part in self._parts])
        ids = [f"{name}-{index:06d}" for index in range(len(images))]
        sources = [row for part in self._parts for row in part.sources]
        cases = pd.DataFrame({"id": ids, "patient": ids, "source_ids": sources})
        kept = self._annotations or frozenset()
        masks = None
        if Annotation.MASKS in kept:
            masks = np.concatenate([part.masks for part in self._parts if part.masks is not None])
        findings = self.train.info.findings if Annotation.LABELS in kept else ()
        if findings:
            labels = np.concatenate([part.labels for part in self._parts if part.labels is not None])
            cases[list(findings)] = labels.astype(np.uint8)
        info = DatasetInfo(
            name=name,
            resolution=self.train.resolution,
            organs=self._organs or () if masks is not None else (),
            findings=findings,
            pixel_mm=self.train.info.pixel_mm,
            provenance=f"sampled from {self.provider}",
        )
        boxes = self._boxes(ids) if Annotation.BOXES in kept else None
        return Dataset(info=info, images=images, cases=cases, masks=masks, boxes=boxes)

    def _boxes(self, ids: list[str]) -> pd.DataFrame:
        per_film = [boxes for part in self._parts for boxes in (part.boxes or [])]
        rows = [(case, *box) for case, boxes in zip(ids, per_film, strict=True) for box in boxes]
        return pd.DataFrame(rows, columns=["id", "finding", "x", "y", "w", "h"]).astype(
            {name: np.float64 for name in ("x", "y", "w", "h")}
        )


def _listed(annotations: frozenset[Annotation] | None) -> str:
    return ", ".join(sorted(annotations or ())) or "nothing"


def collect(
    name: str,
    provider: Provider,
    train: Dataset,
    n: int,
    *,
    seed: int,
    progress: Progress,
    wanted: frozenset[Annotation] | None = None,
) -> Dataset:
    """Sample `n` films from a fitted provider through the border checks.

    `wanted`: what every film must be annotated with; by default all that the provider produces and `train` has.
    """
    if n < 1:
        raise InputError(f"expected at least 1 synthetic film, found {n}")
    if wanted is None:
        wanted = provider.produces & train.annotations
    collector = Collector(name, train, wanted, n)
    for batch in provider.sample(n, seed=seed):
        collector.add(batch)
        progress.update(collector._count / n)
    return collector.dataset(name)
