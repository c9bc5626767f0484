"""The border: what a provider samples is checked batch by batch, and made a Dataset that need not fit into memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..data.dataset import Annotation, Dataset, DatasetInfo, pack_masks, scaled
from ..data.film_rows import blocks
from ..data.gathered import Gathered
from ..data.resize import resize_films, resize_masks
from ..errors import InputError, ProviderError
from ..progress import Progress
from .provider import Batch, Provider
from .ranges import cure_of, cut_words, is_inside

HAIR = 1e-3  # a quarter of a grey level: films this far outside of [0, 1] are cut there


@dataclass(frozen=True)
class _Kept:
    """What is kept of a checked batch besides its films and masks, as it came."""

    labels: np.ndarray | None
    boxes: Sequence[Sequence[tuple[str, float, float, float, float]]] | None
    sources: list[list[str]]


@dataclass
class Collector:
    """Checks batches at the border and makes a Dataset of them, at `resolution` pixels where that is not the size of the
    training films. Films are brought to uint8 and to their size as they come; many go to disk (`data.gathered`)."""

    provider: str
    train: Dataset
    wanted: frozenset[Annotation]
    """What every batch must have; what else a batch has and the training films have too is checked and kept."""
    expected: int
    resolution: int = 0
    """0: that of the training films."""
    seconds: float = 0.0
    """What bringing films to another resolution took: no time of the provider's."""
    count: int = 0
    """Films so far."""
    _parts: list[_Kept] = field(default_factory=list)
    _images: Gathered | None = None
    _masks: Gathered | None = None
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
        self.count += len(images)
        self._require(
            self.count <= self.expected, "more than the asked films:", f"{self.expected} films in all", self.count
        )
        given = batch.source_ids if batch.source_ids is not None else [[]] * len(images)
        sources = [list(map(str, row)) for row in given]
        self._parts.append(_Kept(labels=batch.labels, boxes=batch.boxes, sources=sources))
        self._keep_films(batch, masks=Annotation.MASKS in kept)

    def _keep_films(self, batch: Batch, *, masks: bool) -> None:
        """Add the films of a checked batch, and its masks as bit flags, a few at a time: a batch may be large."""
        side, own = self.resolution or self.train.resolution, self.train.resolution
        if self._images is None:
            self._images = Gathered((side, side))
            self._masks = Gathered((side, side)) if masks else None
        for rows in blocks(len(batch.images), 4 * own * own):
            images = np.rint(batch.images[rows, 0].clip(0, 1) * 255).astype(np.uint8)
            bits = None if self._masks is None or batch.masks is None else pack_masks(batch.masks[rows])
            if side != own:
                start = time.perf_counter()
                images = resize_films(images, side)
                bits = None if bits is None else resize_masks(bits, side, len(self._organs or ()))
                self.seconds += time.perf_counter() - start
            self._images.add(images)
            if self._masks is not None and bits is not None:
                self._masks.add(bits)

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
        self._require(self.count == self.expected, "", f"{self.expected} films", f"{self.count} films in all")
        images = self._images.array() if self._images is not None else np.empty((0, 0, 0), np.uint8)
        ids = [f"{name}-{index:06d}" for index in range(len(images))]
        sources = [row for part in self._parts for row in part.sources]
        cases = pd.DataFrame({"id": ids, "patient": ids, "source_ids": sources})
        kept = self._annotations or frozenset()
        masks = None if self._masks is None else self._masks.array()
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
        if self.resolution not in (0, info.resolution):
            info, boxes = scaled(info, boxes, self.resolution)
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
    if wanted is None:
        wanted = provider.produces & train.annotations
    return fill(Collector(name, train, wanted, n), provider, seed=seed, progress=progress)


def fill(collector: Collector, provider: Provider, *, seed: int, progress: Progress) -> Dataset:
    """Sample the films that a collector expects, and make a Dataset of them."""
    if collector.expected < 1:
        raise InputError(f"expected at least 1 synthetic film, found {collector.expected}")
    for batch in provider.sample(collector.expected, seed=seed):
        collector.add(batch)
        progress.update(collector.count / collector.expected)
    return collector.dataset(collector.provider)
