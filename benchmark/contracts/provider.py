"""The provider contract: a generator of annotated chest X-rays, and the border checks on what it returns.

A provider is fitted on a training Dataset and sampled. It never sees a test case. Writing one takes `fit` and `sample`,
and `build` where it has networks. `save` and `load` have a default that covers networks, arrays, datasets and plain values
kept as attributes (`keeping`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from ..data.dataset import Annotation, Dataset, DatasetInfo, pack_masks
from ..errors import InputError, ProviderError
from ..progress import Progress
from ..training.history import History
from .keeping import load_attributes, networks_among, save_attributes
from .ranges import cure_of, cut_words, is_inside

if TYPE_CHECKING:
    from torch import nn

NETWORKS = "networks.safetensors"
Timelines = tuple[Sequence[int], np.ndarray] | Mapping[str, tuple[Sequence[int], np.ndarray]] | None
HAIR = 1e-3  # a quarter of a grey level: films this far outside of [0, 1] are cut there


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

    name: ClassVar[str] = ""
    """The name under which a package offers it; empty: that of its entry point."""
    produces: ClassVar[frozenset[Annotation]]
    """What its films can be annotated with; of these it makes what the training films have. Empty: films alone, which
    take part in a task by an adapter (`label_by`)."""
    presets: ClassVar[Mapping[str, Any]] = {name: NoSettings() for name in ("quick", "standard", "paper")}
    """The only home of its defaults: one frozen dataclass instance per preset."""
    home_task: ClassVar[str] = ""
    """The task it runs on where none is named; empty: the first that its annotations suit."""
    reference_seconds: ClassVar[Mapping[str, float]] = {}
    """Seconds that fit and sampling took at a preset, where that was measured: for the estimate of a first run."""
    sampling_parts: ClassVar[frozenset[str] | None] = None
    """The networks of `build` that sampling uses, by name; the others are needed for training alone. None: all."""
    not_saved: ClassVar[frozenset[str]] = frozenset()
    """Attributes that `save` leaves out: what is asked for right after `fit` alone, as `timeline` is."""
    checkpoints: Path | None = None
    """A folder for the state of a long fit (see `training.loop.train`); set by the engine before `fit`."""
    weights_used: str = "none"
    """Where initial weights came from, for the record: 'none' (from scratch) or the sha256 of the file."""
    built_for: DatasetInfo | None = None
    """`train.info` of the films that the fitted networks are for: set by the `fit` of a provider with networks, so that
    `load` can build them again."""
    curves: dict[str, History]
    """How each training of `fit` went, by name."""

    def __init__(self, settings: Any = None, *, device: str = "cpu") -> None:
        self.settings = self.presets["quick"] if settings is None else settings
        self.device = device
        self.curves = {}

    @abstractmethod
    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Learn from the training set. Everything random comes from `seed`."""

    @abstractmethod
    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Yield batches with exactly `n` films in all. Everything random comes from `seed`."""

    # ------------------------------------------------------------------------------------------- networks

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        """New networks by name, for the settings and training films of this resolution, organs and findings: all that a
        `fit` trains, as they start. Weights from files are put in by `fit`. Asked for by `fit`, by `load` (which fills
        those that were kept) and by `cxrbench cost` (which counts them, without a fit)."""
        return {}

    def networks(self) -> Mapping[str, nn.Module]:
        """The fitted networks by their names in `build`; empty for a provider without, and before `fit`. `save` keeps
        them. The default knows those that are attributes, `self.generator` as "generator"."""
        return networks_among(self)

    def take(self, networks: Mapping[str, nn.Module]) -> None:
        """Put fitted networks where `networks` finds them and sampling uses them: by default into attributes."""
        for name, network in networks.items():
            setattr(self, name, network)

    def parameter_count(self) -> int:
        """Parameters of the fitted networks that sampling uses; 0 for a provider without networks."""
        fitted = self.networks().items()
        used = [network for name, network in fitted if self.sampling_parts is None or name in self.sampling_parts]
        return sum(weight.numel() for network in used for weight in network.parameters())

    def parameter_parts(self, films: DatasetInfo) -> Mapping[str, int]:
        """Parameters of every network of `build` by name: frozen ones and those that only training needs too, so that
        `cxrbench cost` can lay them out as a paper does. Without `build` the default knows `parameter_count` alone."""
        if type(self).build is Provider.build:
            count = self.parameter_count()
            return {"sampling": count} if count else {}
        from ..training.networks import parameters_of_new

        return parameters_of_new(lambda: self.build(films))

    def save(self, folder: Path) -> None:
        """Keep the fitted provider in an existing empty folder: networks, plain values, arrays and datasets. ProviderError
        names an attribute that is none of them."""
        networks = self.networks()
        if networks:
            from ..training.networks import save_networks

            if self.built_for is None or type(self).build is Provider.build:
                raise ProviderError(
                    f"provider {type(self).__name__}: to keep its networks ({', '.join(networks)}), save() needs to know "
                    "how they are made: write build(films), and set self.built_for = train.info in fit()"
                )
            save_networks(networks, folder / NETWORKS)
        save_attributes(self, folder, {"settings", "device", "checkpoints", *self.not_saved, *networks_among(self)})

    @classmethod
    def load(cls, folder: Path, settings: Any = None, *, device: str = "cpu") -> Self:
        """The fitted provider that `save` kept; its networks in evaluation mode."""
        provider = cls(settings, device=device)
        load_attributes(provider, folder)
        films = provider.built_for
        if films is not None and (folder / NETWORKS).is_file():
            from ..training.networks import load_networks

            networks = load_networks(folder / NETWORKS, lambda: provider.build(films))
            provider.take({name: network.to(device).eval() for name, network in networks.items()})
        return provider

    # ------------------------------------------------------------------------------------------- what it says

    def trained_on(self) -> Sequence[str]:
        """Ids of real cases that it has learnt from besides the training set (through initial weights, or films that
        were made elsewhere): with one of the test set among them it is refused."""
        return ()

    def histories(self) -> Mapping[str, History]:
        """How each training of `fit` went, by name: curves for the report, images seen for the cost."""
        return self.curves

    def facts(self) -> Mapping[str, float | int | str]:
        """Figures about the last sampling for the record and the report, by name (`share_near_duplicates`)."""
        return {}

    def timeline(self) -> Timelines:
        """Samples along the last `fit`: training steps (K), and pictures uint8 (K, S, H, W) whose second axis is the same
        sample at every step; of several trainings by their names."""
        return None

    # ------------------------------------------------------------------------------------------- how it is measured

    @classmethod
    def shorter(cls, settings: Any, steps: int, *, side: int | None = None) -> Any:
        """Settings of a fit that `cxrbench cost` and `throughput` can measure in a while: every training cut to `steps`
        steps at most, and no pictures for a timeline, which would slow so short a one down.

        `side`: pixels of a side of the training films, given where all `steps` are to be steps on whole films: a network
        that grows then passes by what comes before them. None: its phases keep their proportions.
        The default leaves the settings as they are: what is measured is then a whole fit, and the table says so.
        """
        return settings

    @classmethod
    def with_batch(cls, settings: Any, size: int) -> Any:
        """Settings with batches of `size` training films, for `cxrbench throughput --batches`. The default leaves them as
        they are: the provider is then measured at its own batch size alone."""
        return settings


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
    _ends: tuple[float, float] = (0.0, 1.0)
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
            cure = f" ({known})" if (known := cure_of(low, high)) else ""
            right = is_inside(low, high, HAIR)
            self._require(right, "images in", f"values in [0, 1]{cure}", f"[{low:.4g}, {high:.4g}]")
            self._ends = (min(low, self._ends[0]), max(high, self._ends[1]))
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
                images=np.rint(images[:, 0].clip(0, 1) * 255).astype(np.uint8),
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
            remarks=cut_words(*self._ends),
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
