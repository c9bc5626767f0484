"""Localisation of six findings of NIH ChestX-ray14: the protocol of the pathology translation paper (Xing et al. 2019).

Of 820 annotated boxes 573 train and 247 test; a Faster R-CNN learns from them alone (Ori) or from 688 synthetic films
besides. CL@0.1 of a finding: in how many of its test boxes k / n its best detection on that film meets the box with
IoU >= 0.1; the Total is the mean over the six.

The paper divides annotations, so films and patients are on both sides, and takes each cell's best checkpoint around
5,000, 10,000 and 15,000 steps on the test set. Here `split=patient` (the leaderboard's) shares no patient, and the model
is the checkpoint that is best on held-out training patients; the paper's windows stand beside it. `split=paper` is the
paper's division: nothing is held out, and the model is the last checkpoint. All boxed films are in NIH's test list: what
is fitted here must not be measured on `nih_classification`. Any other dataset with boxes is divided by the same rules.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from ..benchmark.contracts.paper_table import PaperTable
from ..benchmark.contracts.task import (
    Arm,
    ArmName,
    Headline,
    Illustration,
    Metric,
    Predictions,
    Slot,
    Task,
    Trained,
)
from ..benchmark.data.dataset import Annotation, Dataset
from ..benchmark.data.findings import LOCALISED
from ..benchmark.digest import derive_seed, of_file
from ..benchmark.errors import InputError
from ..benchmark.metrics.changes import Changes
from ..benchmark.metrics.localisation import SCORE, best_detection, correct_localisation
from ..benchmark.progress import Progress
from ..benchmark.settings import added
from .box_split import (
    BOX_COLUMNS,
    BoxSplit,
    Split,
    annotations_of,
    films_of,
    healthy_rows,
    keys_of,
    split_boxes,
    trained_rows,
)
from .detections import (
    CHOSEN,
    detection_changes,
    detection_table,
    false_positives,
    predicted,
    scored_boxes,
    summary,
    tables_by_step,
    without_unseen,
)
from .found_boxes import detections
from .localisation_tables import PUBLISHED, table_2
from .models import detector_settings
from .models.detector_settings import DetectorSettings
from .patient_shares import curve_of_shares, planned_sizes, share_of

if TYPE_CHECKING:
    from .models.faster_rcnn import BoxedFilms, Detector, FindingsDetector

LEAST = 16  # boxes of the smallest size of a curve
ARMS = (ArmName.REAL, ArmName.MIXED)
WINDOWS = 3


@dataclass(frozen=True)
class Settings:
    """The protocol's numbers; the defaults are the paper's, but for the split and the choice of the checkpoint."""

    resolution: int = 256
    fit_resolution: int = 256
    threads: int = 1
    split: Split = Split.PATIENT
    held_share: float = 0.1
    """Of the training boxes of each finding the share whose patients choose the checkpoint (split `patient` alone)."""
    healthy: int = 2_000
    """Films without findings that providers are fitted on besides, of training patients; of a share the same share."""
    synthetic_share: float = 1.2
    """Synthetic films for each training box (the paper: 688 for 573)."""
    fractions: tuple[float, ...] = ()
    """Shares of the training patients that are sizes of their own, besides all of them."""
    synthetic_most: int = added(0)
    """Where not 0, synthetic films at the most."""
    detector: DetectorSettings = detector_settings.PAPER


PAPER = Settings()
STANDARD = Settings(detector=detector_settings.STANDARD)
QUICK = Settings(resolution=64, fit_resolution=64, fractions=(0.25,), detector=detector_settings.QUICK)


class NihLocalisation(Task):
    """Six findings, 573 boxes train and 247 test."""

    name = "nih_localisation"
    version = 3
    needs = Annotation.BOXES
    summary = "boxes of six findings (573 train, 247 test), CL@0.1 of a Faster R-CNN"
    presets: ClassVar[Mapping[str, Settings]] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    default_data = "phantom_boxes"
    headline = Headline(ArmName.MIXED, "25%")
    pairing = "hits"
    published_data = "nih_cxr14"
    published = PUBLISHED
    published_protocol: ClassVar[Mapping[str, Any]] = {"resolution": 256, "split": "paper", "detector.steps": 15_500}
    initial_weights = detector_settings.INITIAL_WEIGHTS
    reference_seconds: ClassVar[Mapping[str, float]] = {"quick": 45.0}
    downstream_only = frozenset(field.name for field in fields(Settings)) - {
        "fit_resolution",
        "threads",
        "split",
        "held_share",
        "healthy",
        "fractions",
    }
    primary = "cl"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("cl", "CL@0.1", decimals=3),
        Metric("found", "boxes found", decimals=0),
        Metric("boxes", "boxes", decimals=0),
        Metric("cl_scored", "CL@0.1, score at least 0.5", decimals=3),
        Metric("cl_iobb", "CL@0.1 by IoBB", decimals=3),
        Metric("false_positives", "false positives a film", higher_is_better=False, decimals=3),
        *(
            Metric(f"cl_window_{number}", f"CL@0.1, best on the test set in window {number}", decimals=3)
            for number in range(1, WINDOWS + 1)
        ),
    )

    # ---------------------------------------------------------------------- films

    def check(self, data: Dataset) -> None:
        if data.boxes is None or not data.boxes["finding"].isin(LOCALISED).any():
            raise InputError(f"{self.name}: dataset {data.info.name} has no boxes of {', '.join(LOCALISED)}")
        missing = [finding for finding in self.structures(data) if finding not in data.info.findings]
        if missing:
            raise InputError(
                f"{self.name}: dataset {data.info.name} has boxes of {', '.join(missing)}, which are not among its "
                f"findings ({', '.join(data.info.findings) or 'none'}): films need labels as well as boxes"
            )
        detector = self.settings.detector
        if len(detector.windows) > WINDOWS or any(not 0 < step <= detector.steps for step in detector.windows):
            raise InputError(
                f"{self.name}: windows: at most {WINDOWS} steps from 1 to {detector.steps}, found {detector.windows}"
            )

    def structures(self, data: Dataset) -> tuple[str, ...]:
        """The findings with boxes to train and to test on."""
        return self._split(annotations_of(data)).structures

    def slots(self, data: Dataset) -> list[Slot]:
        """Sizes x arms: all training boxes, and those of a share of their patients where every finding keeps a box."""
        sizes = planned_sizes(self.settings.fractions, lambda size: self._carries(data, size))
        return [Slot(self.settings.split.value, size, arm) for size in sizes for arm in ARMS]

    def curve_sizes(self, data: Dataset) -> tuple[str, ...]:
        """All training boxes, those of half of their patients and so on while at least 16 boxes are left."""
        boxes = len(self._split(annotations_of(data)).train)
        return curve_of_shares(boxes, LEAST, self.settings.fractions, lambda size: self._carries(data, size))

    def _carries(self, data: Dataset, size: str) -> bool:
        table = annotations_of(data)
        split = self._split(table)
        rows = trained_rows(table, split, share_of(size), 0)
        return set(table["finding"].iloc[rows]) == set(split.structures)

    def _split(self, table: pd.DataFrame) -> BoxSplit:
        by_patient = self.settings.split is Split.PATIENT
        return split_boxes(table, self.settings.split, self.settings.held_share if by_patient else 0.0)

    def training_set(self, data: Dataset, slot: Slot) -> Dataset:
        """The films of the training boxes with these boxes alone (split `paper`: one film for each), then healthy ones."""
        table = annotations_of(data)
        split = self._split(table)
        apart = table["patient"].iloc[np.concatenate([split.held, split.test])]
        healthy = healthy_rows(data, set(apart), self.settings.healthy, share_of(slot.size))
        rows = trained_rows(table, split, share_of(slot.size), slot.seed)
        films = self._films(data, table.iloc[rows], f"{slot.size} training set", healthy)
        return films.resized(self.settings.fit_resolution)

    def learnt_from(self, films: Dataset) -> Dataset:
        """The films with boxes: the healthy ones are there for providers alone."""
        if films.boxes is None:
            return films
        boxed = set(films.boxes["id"].astype(str))
        return films.select(np.array([name in boxed for name in films.ids], dtype=bool))

    def validation_set(self, data: Dataset, slot: Slot) -> Dataset | None:
        table = annotations_of(data)
        held = self._split(table).held
        if not len(held):
            return None
        return self._films(data, table.iloc[held], "validation set").resized(self.settings.resolution)

    def test_set(self, data: Dataset, slot: Slot) -> Dataset:
        """The films of the test boxes (split `paper`: one for each). Its boxes have the column `scored`: with split `paper`
        a film also has boxes that it is not scored on, so that finding these is no false positive."""
        table = annotations_of(data)
        split = self._split(table)
        tested = table.iloc[split.test]
        films = self._films(data, tested, "test set")
        boxes = films.boxes
        if self.settings.split is Split.PAPER:
            others = table[table["finding"].isin(split.structures)]
            boxes = tested[["id", "key"]].merge(others, on="id", suffixes=("", "_box"))
            boxes = boxes.assign(scored=boxes["key"] == boxes["key_box"], id=boxes["key"])[[*BOX_COLUMNS, "scored"]]
        return replace(films, boxes=boxes, folder=None).resized(self.settings.resolution)

    def _films(self, data: Dataset, boxes: pd.DataFrame, what: str, more: Sequence[int] | np.ndarray = ()) -> Dataset:
        return films_of(data, boxes, f"{data.info.name}, {what}", more, per_box=self.settings.split is Split.PAPER)

    def synthetic_count(self, data: Dataset, slot: Slot) -> int:
        table = annotations_of(data)
        split = self._split(table)
        share = len(trained_rows(table, split, share_of(slot.size), slot.seed)) / len(split.train)
        count = max(1, round(self.settings.synthetic_share * share * (len(split.train) + len(split.held))))
        return min(count, self.settings.synthetic_most or count)

    @classmethod
    def smoke(cls, settings: Settings, steps: int, *, films: int) -> Settings:
        return replace(settings, synthetic_most=films, detector=settings.detector.shorter(steps))

    # ---------------------------------------------------------------------- training

    def train(self, arm: Arm, *, seed: int, device: str, progress: Progress) -> Trained:
        from .models.faster_rcnn import Detector, fit_detector, new_detector

        settings = self.settings.detector
        samples = self._samples(arm)
        if arm.name is ArmName.FINETUNE:
            if arm.start is None:
                raise InputError(f"{self.name}: the finetune arm starts from the synthetic arm's model, found none")
            network = copy.deepcopy(arm.start.network)
        else:
            network = new_detector(len(arm.structures), settings, seed=derive_seed(self.name, "weights", seed))
        detector = Detector(network, arm.structures)
        validation = arm.validation
        history = fit_detector(
            detector,
            samples,
            settings,
            held_out=None if validation is None else lambda one: self._quality(one, validation, arm.structures, device),
            seed=derive_seed(self.name, "training", seed),
            device=device,
            progress=progress,
        )
        return Trained(detector, {f"{arm.name}: detector": history})

    def _samples(self, arm: Arm) -> BoxedFilms:
        """The training samples of an arm: those of its real films, then those of its synthetic ones."""
        from .models.faster_rcnn import joined, samples_of

        parts = []
        if arm.name is not ArmName.SYNTHETIC:
            parts.append(arm.real)
        if arm.name in (ArmName.SYNTHETIC, ArmName.MIXED):
            parts.append(arm.synthetic)
        found = []
        for part in parts:
            if part is None:
                raise InputError(f"{self.name}: the {arm.name} arm lacks its films")
            films = part.resized(self.settings.resolution)
            found.append(samples_of(films, arm.structures, merge=self.settings.detector.merge_boxes))
            if not len(found[-1]):
                raise InputError(
                    f"{self.name}: no film of {films.info.name} has a box of {', '.join(arm.structures)} to train on"
                )
        return joined(found)

    def _quality(self, network: FindingsDetector, films: Dataset, structures: Sequence[str], device: str) -> float:
        """How well a network does on held-out films: macro CL@0.1, and of equals the larger mean overlap."""
        from .models.faster_rcnn import detect

        found = detect(network, films.images, self.settings.detector, device=device)
        table = best_detection(scored_boxes(films), detection_table(found, films.ids, structures))
        return float(correct_localisation(table)["share"].mean() + table["iou"].mean() / 1000)

    def weights_used(self) -> str:
        path = self.settings.detector.weights
        return "none" if path is None else of_file(path.expanduser())

    # ---------------------------------------------------------------------- what a model says

    def predict(self, model: Detector, test: Dataset, *, device: str) -> Predictions:
        """What `detections.predicted` says, of the chosen checkpoint (step 0) and of each one of a window."""
        from .models.faster_rcnn import detect

        films, settings = test.images, self.settings.detector
        found = {CHOSEN: detect(model.network, films, settings, device=device)}
        for step in sorted(model.checkpoints):
            found[step] = detect(model.at(step), films, settings, device=device)
        return predicted(test.ids, found, model.structures, model.network.taught.cpu().numpy())

    def annotate(self, model: Detector, films: Dataset, train: Dataset, *, seed: int, device: str) -> Dataset:
        """Boxes by a trained model: its detections with a score of at least 0.5, and its best one where a film has none;
        labels to match."""
        from .models.faster_rcnn import detect

        found = detect(model.network, films.images, self.settings.detector, device=device)
        table = detection_table(found, films.ids, model.structures)
        best = table.sort_values("score", ascending=False, kind="stable").drop_duplicates("id").index
        boxes = table[(table["score"] >= SCORE) | table.index.isin(best)][BOX_COLUMNS].reset_index(drop=True)
        cases = films.cases.assign(**{finding: np.uint8(0) for finding in train.info.findings})
        for finding, own in boxes.groupby("finding"):
            cases.loc[cases["id"].astype(str).isin(own["id"]), finding] = np.uint8(1)
        info = films.info.changed(findings=train.info.findings)
        return replace(films, cases=cases, boxes=boxes, info=info, folder=None)

    def illustrate(self, model: Detector, test: Dataset, *, device: str) -> Sequence[Illustration]:
        """Test films with the annotated box (white), the best detection of its finding (yellow): each finding's first."""
        from .models.box_pictures import illustrations

        return illustrations(model, test, self.settings.detector, device=device)

    def truth(self, test: Dataset) -> None:
        """There are no masks to look at: `illustrate` draws the boxes."""

    # ---------------------------------------------------------------------- scores

    def score(self, predictions: Predictions, test: Dataset) -> pd.DataFrame:
        """Per test box ("<film>/<finding>", with its `patient`) 0 or 1: `cl`, `cl_scored`, `cl_iobb`, and for each
        checkpoint of a window `cl_at_<step>`. Per finding `false_positives`: detections with a score of at least 0.5 that
        meet no box of it, a film. NaN for a finding that the model was never shown a box of."""
        if list(predictions.ids) != test.ids:
            raise InputError(f"{self.name}: the predictions are not of these {len(test)} test films")
        tested = scored_boxes(test)
        patients = tested["id"].map(dict(zip(test.ids, test.cases["patient"].astype(str), strict=True)))
        cases = tested["id"] if self.settings.split is Split.PAPER else keys_of(tested)
        taught = {LOCALISED[number] for number in predictions.arrays["taught"]}
        known = tested["finding"].isin(taught)
        parts = []
        for step, found in tables_by_step(predictions):
            columns = {f"cl_at_{step}": "hit"}
            if step == CHOSEN:
                columns = {"cl": "hit", "cl_scored": "hit_scored", "cl_iobb": "hit_iobb"}
                parts.append(false_positives(test, found, taught))
            met = best_detection(tested, found)
            for metric, column in columns.items():
                values = met[column].astype(np.float64).where(known)
                labels = {"case": cases, "patient": patients, "structure": tested["finding"], "metric": metric}
                parts.append(pd.DataFrame(labels | {"value": values}))
        scores = pd.concat(parts, ignore_index=True)
        return scores.iloc[np.argsort(scores["structure"].map(LOCALISED.index), kind="stable")].reset_index(drop=True)

    def changes(self, said: Predictions, other: Predictions, test: Dataset | None) -> Changes:
        scores = [] if test is None else [self.score(one, test) for one in (said, other)]
        return detection_changes(said, other, scores)

    detections = staticmethod(detections)

    def without_unscored(self, predictions: Predictions, test: Dataset) -> Predictions:
        return without_unseen(predictions)

    def summarise(self, scores: pd.DataFrame) -> pd.DataFrame:
        """CL@0.1 = k / n of each finding with `found` (k) and `boxes` (n), its variants, false positives; `average` is the
        mean over the findings (the paper's Total), absent where a finding was never taught.

        `cl_window_<i>`: each finding's best checkpoint in the window, and as average the best mean of one checkpoint:
        chosen on the test set, as in the paper's table.
        """
        return self.in_table_order(summary(scores, detector_settings.windows_of(self.settings.detector)))

    def paired_metrics(self) -> tuple[str, ...]:
        return ("cl",)

    @classmethod
    def paper_table(cls, settings: Mapping[str, Any]) -> PaperTable:
        return table_2(settings)

    # ---------------------------------------------------------------------- weights on disk

    def save_model(self, model: Detector, path: Path) -> None:
        """The chosen checkpoint; those of the windows are not kept once they are tested."""
        from .models.saved import save_weights

        save_weights(model.network, path)

    def load_model(self, path: Path, data: Dataset) -> Detector:
        from .models.faster_rcnn import Detector, new_detector
        from .models.saved import load_weights

        structures = self.structures(data)
        network = new_detector(len(structures), self.settings.detector, seed=0, start=False)
        load_weights(network, path)
        return Detector(network, structures)
