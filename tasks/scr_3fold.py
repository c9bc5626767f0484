"""Lung segmentation in three folds: the protocol of the image-mask pairs paper (Neff et al. 2017, sections IV-A to IV-C).

Every film is tested once: 83, 82 and 82 of JSRT's 247. Of a fold's other films 20 validate and the rest train: 145 (144
in the first fold, whose test is larger), or 30 of them. The provider is fitted on the training films alone and asked for
120. Lungs are one structure, the union of both. Dice and Hausdorff distance per film, mean and stddev over all films.
The paper does not say what validates a training on synthetic films alone: the same 20 real films here.
Any other dataset with lung masks and a `fold` column of three values runs by the same rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from ..benchmark.contracts.task import (
    Arm,
    ArmName,
    Headline,
    Metric,
    Predictions,
    Printed,
    PublishedTable,
    Slot,
    TableLayout,
)
from ..benchmark.data.dataset import Dataset
from ..benchmark.data.gathered import changed
from ..benchmark.data.organs import lung_organs
from ..benchmark.data.sizes import FULL, film_count, first_patients, halved, in_order
from ..benchmark.data.splits import JSRT_IDS, SCR_3FOLD, PinnedSplit, drawn, is_jsrt
from ..benchmark.digest import derive_seed
from ..benchmark.errors import InputError
from ..benchmark.metrics.scores import AVERAGE
from ..benchmark.progress import Progress
from .examples import Examples
from .segmentation import SegmentationTask, untaught_note

if TYPE_CHECKING:
    from torch import nn

    from ..benchmark.training.history import History

TABLES = Path(__file__).with_name("published")
FOLDS = 3
VALIDATION = 20
REDUCED = 30
LEAST = 4  # films of the smallest size of a curve
STRUCTURE = "lungs"
ARMS = (ArmName.REAL, ArmName.MIXED, ArmName.SYNTHETIC)  # the order of the paper's tables


@dataclass(frozen=True)
class Settings:
    """The protocol's numbers; the defaults are the paper's. Lengths are in pixels and training steps, never in seconds."""

    resolution: int = 128
    fit_resolution: int = 128
    threads: int = 1
    synthetic: int = 120
    maps: int = 64
    """Feature maps of every convolution."""
    depth: int = 4
    """Poolings of the network."""
    rate: float = 1e-5
    momentum: float = 0.99
    weight_decay: float = 5e-4
    batch: int = 16
    window: int = 10
    """A training stops when the mean validation error of so many passes starts to rise."""
    epochs: int = 2000
    """At most so many passes through the training films, with a validation after each."""
    steps: int = 0
    """Where not 0, at most so many steps too."""
    check_every: int = 0
    """Where not 0, a pass ends after so many steps (few films make many short passes)."""


PAPER = Settings()
STANDARD = PAPER
QUICK = Settings(resolution=64, fit_resolution=64, maps=16, rate=2e-3, window=20, steps=300, check_every=10)
"""Few maps need a larger rate: at 1e-5 they learn nothing in the seconds that quick has. With eight of them some trainings
never found the lungs."""


def printed(row: Mapping[str, str]) -> Iterator[Printed]:
    """A row of the paper's tables: how many real and synthetic films, and what they gave."""
    real, synthetic = int(row["n_real"]), int(row["n_synthetic"])
    arm = ArmName.REAL if not synthetic else ArmName.MIXED if real else ArmName.SYNTHETIC
    for metric in ("dice", "hausdorff"):
        yield Printed(arm, "dcgan_pair" if synthetic else "REAL", metric, AVERAGE, row[f"{metric}_mean"])


class ScrThreeFold(SegmentationTask):
    """Both lungs in three folds: 145 films (or 30) train, 20 validate, 82 test."""

    name = "scr_3fold"
    version = 4
    summary = (
        "lung segmentation in three folds (145 or 30 films train, 20 validate, 82 test), Dice and Hausdorff per film"
    )
    presets: ClassVar[Mapping[str, Settings]] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    default_data = "phantom_hard"
    headline = Headline(ArmName.MIXED, "reduced")
    split: ClassVar[PinnedSplit] = SCR_3FOLD
    published_data = "jsrt_scr"
    published_protocol: ClassVar[Mapping[str, Any]] = {"resolution": 128}
    published: ClassVar[tuple[PublishedTable, ...]] = (
        PublishedTable(TABLES / "neff_table1.csv", "full", printed),
        PublishedTable(TABLES / "neff_table2.csv", "reduced", printed),
    )
    reference_seconds: ClassVar[Mapping[str, float]] = {"quick": 20.0}
    downstream_only = frozenset(field.name for field in fields(Settings)) - {"fit_resolution", "threads"}
    first_choice = False
    primary = "dice"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("dice", "Dice", decimals=4),
        Metric("dice_stddev", "Dice, stddev over films", higher_is_better=False, decimals=4),
        Metric("hausdorff", "Hausdorff", higher_is_better=False, decimals=4, unit="px"),
        Metric("hausdorff_stddev", "Hausdorff, stddev over films", higher_is_better=False, decimals=4, unit="px"),
        Metric("hausdorff_mm", "Hausdorff", higher_is_better=False, unit="mm"),
        Metric("hausdorff_mm_stddev", "Hausdorff, stddev over films", higher_is_better=False, unit="mm"),
    )
    table_layout = TableLayout(
        columns=(
            ("dice", "Dice (mean)"),
            ("dice_stddev", "Dice (stddev)"),
            ("hausdorff", "Hausdorff px (mean)"),
            ("hausdorff_stddev", "Hausdorff px (stddev)"),
            ("hausdorff_mm", "mm (mean)"),
            ("hausdorff_mm_stddev", "mm (stddev)"),
        ),
        titles={
            "full": "Segmentation using the full training set",
            "reduced": "Segmentation using the reduced training set",
        },
    )

    # ---------------------------------------------------------------------- films

    def check(self, data: Dataset) -> None:
        if not self.has_masks(data, STRUCTURE):
            raise InputError(
                f"{self.name}: dataset {data.info.name} has no lung masks; found {', '.join(data.organs) or 'no masks'}"
            )
        if "fold" not in data.cases:
            raise InputError(
                f"{self.name}: dataset {data.info.name} has no column 'fold'; found "
                f"{', '.join(map(str, data.cases.columns))}"
            )
        folds = fold_of(data)
        if len(set(folds)) != FOLDS:
            found = ", ".join(sorted(set(folds)))
            raise InputError(f"{self.name}: expected {FOLDS} folds in dataset {data.info.name}, found {found}")
        patients = data.cases["patient"].astype(str)
        spread = pd.Series(folds).groupby(patients.to_numpy()).nunique()
        shared = [str(name) for name in spread.index[spread > 1]]
        if shared:
            raise InputError(
                f"{self.name}: {len(shared)} patients are in several folds: {', '.join(shared[:5])}"
                f"{' ...' if len(shared) > 5 else ''}"
            )
        if is_jsrt(data.ids):
            self.split.check(data.ids, folds)
        for fold in sorted(set(folds)):
            if len(self._rows(data, fold)[0]) < 2:
                raise InputError(f"{self.name}: at least 2 films must be left to train on in fold {fold}")

    def slots(self, data: Dataset) -> list[Slot]:
        """Folds x sizes x arms; with no more training films than `reduced` has there is no such size."""
        folds = sorted(set(fold_of(data)))
        enough = all(len(self._rows(data, fold)[0]) > reduced_count(data) for fold in folds)
        sizes = (FULL, "reduced") if enough else (FULL,)
        return [Slot(fold, size, arm) for size in sizes for fold in folds for arm in ARMS]

    def curve_sizes(self, data: Dataset) -> tuple[str, ...]:
        """All training films, half of them (of the smallest fold) and so on down to 4, and `reduced`."""
        most = min(len(self._rows(data, fold)[0]) for fold in set(fold_of(data)))
        reduced = reduced_count(data)
        named = [(FULL, most), *(("reduced", reduced),) * (most > reduced)]
        return in_order([*named, *((str(films), films) for films in halved(most, LEAST))])

    def _rows(self, data: Dataset, fold: str) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers (for training, for validation) of a fold, in the order of ids.

        Which ones depends on names alone: patients in the order of a sha256, whole ones until there are enough films.
        """
        others = np.flatnonzero(np.array(fold_of(data)) != fold)
        patients = data.cases["patient"].astype(str).to_numpy()
        wanted = min(VALIDATION, max(1, round(len(data) * VALIDATION / len(JSRT_IDS))))
        films_of, chosen, found = Counter(patients[others]), set[str](), 0
        for patient in drawn(patients[others], f"scr_3fold/validation/{fold}"):
            if found >= wanted:
                break
            chosen.add(patient)
            found += films_of[patient]
        validates = np.array([patient in chosen for patient in patients[others]], dtype=bool)
        ids = np.array(data.ids)
        ordered = others[np.argsort(ids[others], kind="stable")]
        kept = np.isin(ordered, others[validates])
        return ordered[~kept], ordered[kept]

    def training_set(self, data: Dataset, slot: Slot) -> Dataset:
        rows, _ = self._rows(data, slot.fold)
        count = reduced_count(data) if slot.size == "reduced" else film_count(slot.size)
        if slot.size != FULL:
            if count is None:
                raise InputError(
                    f"{self.name}: no size '{slot.size}'; expected full, reduced or a number of films up to {len(rows)}"
                )
            rows = first_patients(data, rows, count, f"scr_3fold/size/{slot.fold}/{slot.seed}")
        films = data.select(rows, name=f"{data.info.name}, fold {slot.fold}, {slot.size} training set")
        films.cases["source_ids"] = [[case] for case in films.ids]
        return films.resized(self.settings.fit_resolution)

    def validation_set(self, data: Dataset, slot: Slot) -> Dataset:
        _, rows = self._rows(data, slot.fold)
        films = data.select(rows, name=f"{data.info.name}, fold {slot.fold}, validation set")
        return films.resized(self.settings.resolution)

    def test_set(self, data: Dataset, slot: Slot) -> Dataset:
        rows = np.flatnonzero(np.array(fold_of(data)) == slot.fold)
        return data.select(rows, name=f"{data.info.name}, fold {slot.fold}").resized(self.settings.resolution)

    def synthetic_count(self, data: Dataset, slot: Slot) -> int:
        return self.settings.synthetic

    @classmethod
    def smoke(cls, settings: Settings, steps: int, *, films: int) -> Settings:
        return replace(settings, steps=steps, check_every=steps, synthetic=min(films, settings.synthetic))

    def structures(self, data: Dataset) -> tuple[str, ...]:
        return (STRUCTURE,)

    def has_masks(self, films: Dataset, structure: str) -> bool:
        return films.masks is not None and bool(lung_organs(films.organs))

    def label_maps(self, films: Dataset, structures: Sequence[str]) -> np.ndarray:
        assert films.masks is not None  # `check` asked for them
        bits = np.uint8(sum(1 << films.organs.index(name) for name in lung_organs(films.organs)))
        return changed(films.masks, lambda masks: ((masks & bits) != 0).astype(np.uint8), films.masks.shape[1:])

    def truth(self, test: Dataset) -> np.ndarray:
        return self.label_maps(test, (STRUCTURE,))[:, None] != 0

    # ---------------------------------------------------------------------- training

    def network(self, classes: int) -> nn.Module:
        from .models.neff_unet import NeffUNet

        return NeffUNet(classes, maps=self.settings.maps, depth=self.settings.depth)

    def examples(self, arm: Arm, *, seed: int) -> tuple[Examples, Examples]:
        """(training, validation) of an arm: all its films, real and synthetic ones, and the real validation films."""
        if arm.validation is None:
            raise InputError(f"{self.name}: the {arm.name} arm lacks the validation films")
        parts = []
        if arm.name is not ArmName.SYNTHETIC:
            parts.append(self.examples_of(self._films(arm.real, arm.name), (STRUCTURE,)))
        if arm.name in (ArmName.SYNTHETIC, ArmName.MIXED):
            parts.append(self.examples_of(self._films(arm.synthetic, arm.name), (STRUCTURE,)))
        training = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        return training, self.examples_of(self._films(arm.validation, arm.name), (STRUCTURE,))

    def fit(
        self,
        network: nn.Module,
        training: Examples,
        held: Examples,
        *,
        seed: int,
        device: str,
        progress: Progress,
    ) -> History:
        """Train until the mean of the last ten validation errors rises; the network with the lowest error is kept."""
        from ..benchmark.training.loop import train
        from ..benchmark.training.stopping import RisingMean, Validation
        from .models.neff_unet import Nesterov, WholeFilms, validation_error

        s = self.settings
        every = s.check_every or -(-len(training) // s.batch)
        steps = min(s.epochs * every, s.steps or s.epochs * every)
        recipe = Nesterov(network, rate=s.rate, momentum=s.momentum, weight_decay=s.weight_decay, batch=s.batch)
        validation = Validation(
            measure=lambda: validation_error(network, held, batch=s.batch, device=device),
            every=every,
            stop=RisingMean(s.window),
        )
        return train(
            recipe,
            WholeFilms(training),
            steps=steps,
            seed=derive_seed(self.name, "training", seed),
            device=device,
            progress=progress,
            validation=validation,
        )

    def predict(self, model: nn.Module, test: Dataset, *, device: str) -> Predictions:
        """`labels`: uint8 (N, H, W), 1 in the lungs."""
        from .models.neff_unet import predict_whole

        labels = predict_whole(model, test.images, batch=self.settings.batch, device=device)
        return Predictions(ids=tuple(test.ids), arrays={"labels": labels} | untaught_note(model))

    # ---------------------------------------------------------------------- scores

    def score(self, predictions: Predictions, test: Dataset) -> pd.DataFrame:
        """Per case: `dice` (0 to 1), `hausdorff` (px), `hausdorff_mm`, and the counts `tp, fp, fn`."""
        scores = super().score(predictions, test)
        scores = scores[scores["metric"] != "j"].reset_index(drop=True)
        return scores.assign(metric=scores["metric"].replace("dsc", "dice"))

    def summarise(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Mean and sample standard deviation (n - 1) over all films given, of one fold or of all together."""
        rows = []
        for metric in ("dice", "hausdorff", "hausdorff_mm"):
            values = scores.loc[scores["metric"] == metric, "value"].to_numpy()
            if len(values):
                rows.append((metric, STRUCTURE, float(values.mean())))
            if len(values) > 1:
                rows.append((f"{metric}_stddev", STRUCTURE, float(values.std(ddof=1))))
        return pd.DataFrame(rows, columns=["metric", "structure", "value"])

    def paired_metrics(self) -> tuple[str, ...]:
        return ("dice", "hausdorff")


def fold_of(data: Dataset) -> list[str]:
    """The fold of every film as text; whole numbers without decimals, whatever type their column has."""
    folds = data.cases["fold"]
    if folds.isna().any():
        lost = [data.ids[row] for row in np.flatnonzero(folds.isna())]
        raise InputError(f"dataset {data.info.name}: {len(lost)} films have no fold, for example {lost[0]}")
    return [str(int(one)) if isinstance(one, (int, float, np.number)) else str(one) for one in folds]


def reduced_count(data: Dataset) -> int:
    """Training films of the size `reduced`: 30, fewer where a dataset is smaller than JSRT."""
    return min(REDUCED, max(2, round(len(data) * REDUCED / len(JSRT_IDS))))
