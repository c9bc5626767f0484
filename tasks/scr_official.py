"""Organ segmentation on the official SCR split: the protocol of the multi-stage paper (Ciano et al. 2021).

Odd-numbered JSRT films train (124), even ones test (123), each training film six-fold by the paper's augmentation. `full`
takes all of them, `tiny` 11, drawn anew for every seed; beside the paper's sizes there is one of 31. J and DSC are pooled
over the test films. Any other dataset with masks and a `split` column of train and test runs by the same rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ..benchmark import digest
from ..benchmark.contracts.paper_table import DerivedRow
from ..benchmark.contracts.task import ArmName, Headline, Printed, PublishedTable, Slot
from ..benchmark.data.augmentation import paper_augmentation
from ..benchmark.data.dataset import Dataset
from ..benchmark.data.sizes import FULL, film_count, first_patients, halved, in_order
from ..benchmark.data.splits import SCR_OFFICIAL, PinnedSplit, is_jsrt, train_and_test
from ..benchmark.errors import InputError, unknown
from ..benchmark.metrics.scores import AVERAGE
from ..benchmark.settings import added
from .segmentation import SegmentationTask, scored_structures

if TYPE_CHECKING:
    from torch import nn

TABLES = Path(__file__).with_name("published")
FOLD = "official"
TINY = 11
MIDDLE = "31"  # a quarter of JSRT's training films
LEAST = 4  # films of the smallest size of a curve
COPIES = 5
AUGMENTATION_SEED = 2021  # fixed: which films are trained on is part of the protocol, not of a run's seed
MODELS = ("smanet_like", "unet")
ARMS = (ArmName.REAL, ArmName.SYNTHETIC, ArmName.FINETUNE)  # of the paper
MIDDLE_ARMS = (ArmName.REAL, ArmName.SYNTHETIC, ArmName.MIXED)


@dataclass(frozen=True)
class Settings:
    """The protocol's numbers. Lengths are in pixels and training steps, never in seconds."""

    resolution: int = 64
    fit_resolution: int = 64
    threads: int = 1
    synthetic: int = 240
    model: str = "smanet_like"
    encoder: str = "resnet10t"
    encoder_weights: Path | None = None
    width: float = 0.125
    """Factor on the network's channels."""
    crop: int = 57
    """Side of a training crop and of a sliding window; 8 k + 1 suits the network."""
    batch: int = 8
    rate: float = 4e-3
    decay: bool = True
    """Whether the rate falls along half a cosine."""
    steps: int = 600
    epochs: int = 0
    """Where not 0, a training lasts so many passes through its films, checked after each, instead of `steps`."""
    check_every: int = 75
    """Steps between two looks at the held-out films."""
    patience: int = 4
    """A training stops when so many looks in a row brought nothing better."""
    organs: tuple[str, ...] = ()
    """What is scored; empty: left lung, heart, right lung and other organs that the dataset has."""
    clavicles: bool = False
    """Whether clavicles are scored too (they cut holes into the lungs of the painted label map)."""
    validation: Literal["held_out", "generated"] = added("held_out")
    """What early stopping looks at. `held_out`: a tenth of the real patients (of SYNTHETIC the last quarter of its films).
    `generated`: in every arm that quarter, 2,500 of 10,000 films, so that all real ones (744, or 66) are trained on, as the
    captions of the paper's tables have it; REAL then depends on the generator too."""


QUICK = Settings()
STANDARD = Settings(
    resolution=256,
    fit_resolution=256,
    synthetic=2000,
    encoder="resnet18",
    width=1.0,
    crop=193,
    batch=16,
    rate=1e-3,
    steps=3000,
    check_every=150,
    patience=6,
)
PAPER = Settings(
    resolution=512,
    fit_resolution=1024,
    synthetic=10_000,
    encoder="resnet50",
    width=1.0,
    crop=377,
    batch=17,
    rate=1e-4,
    decay=False,
    epochs=50,
    patience=10,
)


SYSTEMS = ("single_stage", "two_stage", "three_stage")  # of the paper, by their names here
PRINTED_ORGANS = {"Left Lung": "left_lung", "Right Lung": "right_lung", "Heart": "heart", "Average": AVERAGE}


def printed(row: Mapping[str, str]) -> Iterator[Printed]:
    """A row of the paper's tables 1 and 2: `real`, then `<stages>_synth<n>` and `<stages>_finetune` of each system."""
    columns = [("real", ArmName.REAL, "REAL")]
    columns += [(f"{name}_synth{n}", ArmName.SYNTHETIC, name) for n, name in enumerate(SYSTEMS, 1)]
    columns += [(f"{name}_finetune", ArmName.FINETUNE, name) for name in SYSTEMS]
    for heading, arm, system in columns:
        structure = PRINTED_ORGANS[row["structure"]]
        yield Printed(arm, system, row["metric"].lower(), structure, row[heading], scale=100)


class ScrOfficial(SegmentationTask):
    """Lungs and heart on the official SCR split: 124 films (or 11) train, 123 test."""

    name = "scr_official"
    version = 3
    summary = "organ segmentation on the official SCR split (124 train, 123 test), J and DSC pooled"
    presets: ClassVar[Mapping[str, Settings]] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    default_data = "phantom_hard"
    headline = Headline(ArmName.MIXED, MIDDLE)
    split: ClassVar[PinnedSplit] = SCR_OFFICIAL
    published_data = "jsrt_scr"
    published_protocol: ClassVar[Mapping[str, Any]] = {"resolution": 512, "model": "smanet_like", "organs": []}
    published: ClassVar[tuple[PublishedTable, ...]] = (
        PublishedTable(TABLES / "ciano_table1.csv", "full", printed),
        PublishedTable(TABLES / "ciano_table2.csv", "tiny", printed),
        PublishedTable(TABLES / "ciano_table3.csv"),
    )
    derived_rows = (DerivedRow("lungs", ("left_lung", "right_lung"), ("dsc", "j")),)
    first_choice = True
    reference_seconds: ClassVar[Mapping[str, float]] = {"quick": 20.0}
    downstream_only = frozenset(field.name for field in fields(Settings)) - {"fit_resolution", "threads"}

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        if self.settings.model not in MODELS:
            raise unknown("model", self.settings.model, MODELS)

    @property
    def validates_on_synthetic(self) -> bool:
        return self.settings.validation == "generated"

    def check(self, data: Dataset) -> None:
        if data.masks is None:
            raise InputError(f"{self.name}: dataset {data.info.name} has no masks")
        scored_structures(data.organs, self.settings.organs, clavicles=self.settings.clavicles)
        splits = train_and_test(self.name, data)
        if is_jsrt(data.ids):
            self.split.check(data.ids, list(splits))

    def slots(self, data: Dataset) -> list[Slot]:
        """Sizes x arms; sizes that the training films do not exceed are left out.

        `full` and `tiny` with the paper's arms, `tiny` and the middle size with `mixed` too."""
        most = len(training_rows(data))
        smaller = ((MIDDLE, int(MIDDLE), MIDDLE_ARMS), ("tiny", TINY, (*ARMS, ArmName.MIXED)))
        sizes = [(FULL, ARMS), *((size, arms) for size, films, arms in smaller if films < most)]
        return [Slot(FOLD, size, arm) for size, arms in sizes for arm in arms]

    def curve_sizes(self, data: Dataset) -> tuple[str, ...]:
        """All training films, half of them and so on down to 4, and `tiny`."""
        most = len(training_rows(data))
        named = [(FULL, most), *(("tiny", TINY),) * (most > TINY)]
        return in_order([*named, *((str(films), films) for films in halved(most, LEAST))])

    def training_set(self, data: Dataset, slot: Slot) -> Dataset:
        rows = sized_rows(data, slot)
        films = data.select(rows, name=f"{data.info.name}, {slot.size} training set")
        return paper_augmentation(films.resized(self.settings.fit_resolution), COPIES, seed=AUGMENTATION_SEED)

    def test_set(self, data: Dataset, slot: Slot) -> Dataset:
        rows = np.flatnonzero(data.cases["split"].astype(str) == "test")
        return data.select(rows, name=f"{data.info.name}, test set").resized(self.settings.resolution)

    def synthetic_count(self, data: Dataset, slot: Slot) -> int:
        return self.settings.synthetic

    def network(self, classes: int) -> nn.Module:
        s = self.settings
        if s.model == "unet":
            from .models.unet import UNet

            depth = 3 if s.resolution <= 64 else 5
            return UNet(classes, encoder=s.encoder, depth=depth, width=s.width, encoder_weights=s.encoder_weights)
        from .models.smanet_like import SMANetLike

        return SMANetLike(classes, encoder=s.encoder, width=s.width, encoder_weights=s.encoder_weights)

    @classmethod
    def smoke(cls, settings: Settings, steps: int, *, films: int) -> Settings:
        return replace(settings, steps=steps, epochs=0, check_every=steps, synthetic=min(films, settings.synthetic))

    def weights_used(self) -> str:
        path = self.settings.encoder_weights
        return "none" if path is None else digest.of_file(path.expanduser())


def training_rows(data: Dataset) -> np.ndarray:
    """Rows of the training films, in order of their ids."""
    rows = np.flatnonzero(data.cases["split"].astype(str) == "train")
    ids = data.ids
    return np.array(sorted(rows, key=lambda row: ids[row]), dtype=np.int64)


def sized_rows(data: Dataset, slot: Slot) -> np.ndarray:
    """Rows of the training films of a size: all, the 11 of `tiny` ("randomly chosen", says the paper), or as many as its
    name says; whole patients, drawn anew for every seed, nested over sizes. InputError for another size."""
    rows = training_rows(data)
    films = TINY if slot.size == "tiny" else film_count(slot.size)
    if slot.size == FULL or films == len(rows):
        return rows
    if films is None:
        raise InputError(
            f"scr_official: no size '{slot.size}'; expected full, tiny or a number of films up to {len(rows)}"
        )
    return first_patients(data, rows, films, f"scr_official/size/{slot.seed}")
