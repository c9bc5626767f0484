"""Classification of 14 findings on the NIH benchmark split: the protocol of the fusion paper (Liu et al., SDFN).

The official lists of ChestX-ray14 divide the films by patient: 86,524 train, 25,596 test; a tenth of the training patients
validate. Three downstream models: a DenseNet-121 on entire films, one on lung regions, and their fusion. AUC per finding
and its mean over them. Sizes are shares of the training patients, because synthetic films matter where real ones are
scarce. Synthetic films add what `synthetic_share` says: as many as there are real ones, so that the arms of a size see
equal numbers; a mixed batch is half of each. Any other dataset with findings and a `split` runs by the same rules.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from ..benchmark import digest
from ..benchmark.contracts.initial_weights import InitialWeights
from ..benchmark.contracts.task import (
    Arm,
    ArmName,
    Headline,
    Illustration,
    Metric,
    Plot,
    Predictions,
    Printed,
    PublishedTable,
    Slot,
    Task,
    Trained,
)
from ..benchmark.data.dataset import Annotation, Dataset, concatenate
from ..benchmark.data.sizes import FULL
from ..benchmark.data.splits import NIH_LISTS, check_not_random, ids_digest, train_and_test
from ..benchmark.digest import derive_seed
from ..benchmark.errors import InputError
from ..benchmark.metrics.changes import Changes, rank_changes
from ..benchmark.metrics.scores import AVERAGE
from ..benchmark.progress import Progress
from .finding_scores import roc_plots, summary
from .labelled_films import bare, in_order, labels_of
from .lungs.films import lung_data_for, said_of
from .models import sdfn_settings
from .models.sdfn_settings import ClassifierSettings, Kind
from .patient_shares import curve_of_shares, planned_sizes, rows_of

if TYPE_CHECKING:
    from .lungs.unet import LungRegions
    from .models.sdfn import FindingsClassifier

FOLD = "official"
LEAST = 32  # films of the smallest size of a curve
TABLES = Path(__file__).with_name("published")
NIH_ID = re.compile(r"\d{8}_\d{3}")
ARMS = (ArmName.REAL, ArmName.SYNTHETIC, ArmName.MIXED, ArmName.FINETUNE)


@dataclass(frozen=True)
class Settings:
    """The protocol's numbers; the defaults are the paper's."""

    resolution: int = 256
    """Films are kept at it; the networks bring them to `classifier.resolution`."""
    fit_resolution: int = 256
    threads: int = 1
    fractions: tuple[float, ...] = (0.01, 0.1, 0.25)
    """Shares of the training patients that are sizes of their own, besides all of them."""
    synthetic_share: float = 1.0
    """Synthetic films for each real one that a size trains on."""
    synthetic_least: int = 1000
    """Synthetic films at the least."""
    synthetic_most: int = 0
    """Where not 0, synthetic films at the most."""
    classifier: ClassifierSettings = sdfn_settings.PAPER


PAPER = Settings()
STANDARD = replace(PAPER, synthetic_most=20_000, classifier=sdfn_settings.STANDARD)
QUICK = Settings(
    resolution=64,
    fit_resolution=64,
    fractions=(0.25,),
    synthetic_least=1000,
    synthetic_most=2000,
    classifier=replace(sdfn_settings.QUICK, kind=Kind.ENTIRE),
)


def printed(row: Mapping[str, str]) -> Iterator[Printed]:
    """A row of the paper's table 1: a finding, a column a method, all trained on real films."""
    structure = AVERAGE if row["pathology"] == "Mean" else row["pathology"].replace(" ", "_")
    for system in [heading for heading in row if heading != "pathology"]:
        yield Printed(ArmName.REAL, system, "auc", structure, row[system])


class NihClassification(Task):
    """Fourteen findings on the official NIH split: 86,524 films train, 25,596 test."""

    name = "nih_classification"
    version = 3
    needs = Annotation.LABELS
    summary = "14 findings on the official NIH split by patient (86,524 train, 25,596 test), AUC per finding and mean"
    presets: ClassVar[Mapping[str, Settings]] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    default_data = "phantom_nih"
    headline = Headline(ArmName.MIXED, "25%")
    pairing = "auc"
    initial_weights = (InitialWeights("classifier.weights", "classifier"),)
    decided = ("classifier.lung_data",)
    side_by_side = f"classifier.kind={','.join(Kind)}"
    published_data = "nih_cxr14"
    published_protocol: ClassVar[Mapping[str, Any]] = {"classifier.resolution": 224}
    published: ClassVar[tuple[PublishedTable, ...]] = (PublishedTable(TABLES / "sdfn_table1.csv", FULL, printed),)
    reference_seconds: ClassVar[Mapping[str, float]] = {"quick": 20.0}
    downstream_only = frozenset(field.name for field in fields(Settings)) - {
        "fit_resolution",
        "threads",
        "fractions",
        "synthetic_share",
        "synthetic_least",
        "synthetic_most",
    }
    primary = "auc"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("auc", "AUC", decimals=3),
        Metric("auc_low", "AUC, 95 % from", decimals=3),
        Metric("auc_high", "AUC, 95 % to", decimals=3),
        Metric("average_precision", "average precision", decimals=3),
        Metric("calibration_error", "expected calibration error", higher_is_better=False, decimals=3),
        Metric("brier", "Brier score", higher_is_better=False, decimals=3),
    )

    def check(self, data: Dataset) -> None:
        name = data.info.name
        if not data.info.findings:
            raise InputError(f"{self.name}: dataset {name} has no findings")
        if AVERAGE in data.info.findings:
            raise InputError(f"{self.name}: dataset {name} has a finding '{AVERAGE}', the name of the mean; rename it")
        splits = train_and_test(self.name, data)
        patients = data.cases["patient"].astype(str)
        if patients[splits == "train"].nunique() < 2:
            raise InputError(f"{self.name}: at least 2 patients must train, one of them validates; {name} has 1")
        if all(NIH_ID.fullmatch(one) for one in data.ids):
            for part in ("train", "test"):
                check_not_random(f"the {part} split of dataset {name}", int((splits == part).sum()))
        if not self.structures(data):
            raise InputError(f"{self.name}: no finding of {name} has films with and without it among the tested")

    def structures(self, data: Dataset) -> tuple[str, ...]:
        """The findings with both label values among the test films: of others there is no AUC."""
        test = data.cases[data.cases["split"].astype(str) == "test"]
        return tuple(one for one in in_order(data.info.findings) if test[one].nunique() == 2)

    def slots(self, data: Dataset) -> list[Slot]:
        """Sizes x arms; a share of the patients that holds no finding, or fewer than two patients, is left out."""
        sizes = planned_sizes(self.settings.fractions, lambda size: self._carries(data, size))
        return [Slot(FOLD, size, arm) for size in sizes for arm in ARMS]

    def curve_sizes(self, data: Dataset) -> tuple[str, ...]:
        """All training patients, half of them and so on while at least 32 films are left, and the shares of `fractions`."""
        count = len(rows_of(data, FULL, 0)[0])
        return curve_of_shares(count, LEAST, self.settings.fractions, lambda size: self._carries(data, size))

    def _carries(self, data: Dataset, size: str) -> bool:
        films = data.cases.iloc[rows_of(data, size, 0)[0]]
        return films["patient"].nunique() >= 2 and bool(films[list(data.info.findings)].to_numpy().any())

    def training_set(self, data: Dataset, slot: Slot) -> Dataset:
        rows, _ = rows_of(data, slot.size, slot.seed)
        return data.select(rows, name=f"{data.info.name}, {slot.size} training set").resized(
            self.settings.fit_resolution
        )

    def validation_set(self, data: Dataset, slot: Slot) -> Dataset:
        _, rows = rows_of(data, slot.size, slot.seed)
        return data.select(rows, name=f"{data.info.name}, {slot.size} validation set").resized(self.settings.resolution)

    def test_set(self, data: Dataset, slot: Slot) -> Dataset:
        rows = np.flatnonzero(data.cases["split"].astype(str) == "test")
        return data.select(rows, name=f"{data.info.name}, test set").resized(self.settings.resolution)

    def wrong_test(self, ids: Sequence[str]) -> str:
        official = len(ids) != NIH_LISTS.test or ids_digest(ids) == NIH_LISTS.test_digest
        return "" if official else "the official test list of NIH ChestX-ray14"

    def synthetic_count(self, data: Dataset, slot: Slot) -> int:
        s, films = self.settings, len(rows_of(data, slot.size, slot.seed)[0])
        count = max(s.synthetic_least, round(s.synthetic_share * films))
        return min(count, s.synthetic_most) if s.synthetic_most else count

    @classmethod
    def smoke(cls, settings: Settings, steps: int, *, films: int) -> Settings:
        return replace(settings, synthetic_most=films, classifier=settings.classifier.shorter(steps))

    @classmethod
    def counted(cls, settings: Settings) -> Mapping[str, Settings]:
        """The branches, which are the same network on other films of the same side; the fusion of their features is little
        beside them, and the lung region generator is made once for all runs."""
        branches = [Kind.ENTIRE, Kind.LUNG] if settings.classifier.kind is Kind.SDFN else [settings.classifier.kind]
        entire = replace(settings, classifier=replace(settings.classifier, kind=Kind.ENTIRE))
        return {branch.value: entire for branch in branches}

    # ---------------------------------------------------------------------- training

    def train(self, arm: Arm, *, seed: int, device: str, progress: Progress) -> Trained:
        from .models.labelled_films import LabelledFilms
        from .models.sdfn import fit_classifier, new_classifier, take_branches

        if arm.validation is None:
            raise InputError(f"{self.name}: the {arm.name} arm lacks the validation films")
        settings, validation = self.settings.classifier, arm.validation
        films = self._films(arm)
        structures = self._trained_structures(validation)
        first = len(arm.real) if arm.name is ArmName.MIXED and arm.real is not None else 0
        training = LabelledFilms(films.images, labels_of(films, structures), None, first, films.originals)
        held = LabelledFilms(validation.images, labels_of(validation, structures), originals=validation.originals)
        if arm.name is ArmName.FINETUNE:
            classifier = copy.deepcopy(arm.start)
            if classifier is None:
                raise InputError(f"{self.name}: the finetune arm starts from the synthetic arm's model, found none")
        else:
            lung_data = self.settled(phantom=validation.info.phantom).settings.classifier.lung_data
            regions = self._regions(lung_data, device, progress.part("lung regions", 0.0, 0.1))
            seed_of_weights = derive_seed(self.name, "weights", seed)
            classifier = new_classifier(len(structures), settings, seed=seed_of_weights, regions=regions)
            take_branches(classifier, arm.parts)
        histories = fit_classifier(
            classifier,
            training,
            held,
            settings,
            seed=derive_seed(self.name, "training", seed),
            device=device,
            progress=progress.part("", 0.1 if settings.kind.uses_lungs else 0.0, 1.0),
            trained=arm.parts,
        )
        return Trained(classifier, {f"{arm.name}: {name}": history for name, history in histories.items()})

    def _films(self, arm: Arm) -> Dataset:
        parts = [] if arm.name is ArmName.SYNTHETIC else [arm.real]
        if arm.name in (ArmName.SYNTHETIC, ArmName.MIXED):
            parts.append(arm.synthetic)
        films = []
        for part in parts:
            if part is None:
                raise InputError(f"{self.name}: the {arm.name} arm lacks its films")
            films.append(part.resized(self.settings.resolution))
        return films[0] if len(films) == 1 else concatenate([bare(one) for one in films], "real and synthetic films")

    def _regions(self, lung_data: str, device: str, progress: Progress) -> LungRegions | None:
        settings = self.settings.classifier
        if not settings.kind.uses_lungs:
            return None
        from .lungs.regions import lung_region_generator

        return lung_region_generator(settings.lungs, lung_data, device, progress).regions

    def settled(self, *, phantom: bool) -> NihClassification:
        """With the films that find the lung regions, where none are named (`lungs.films`); none where real films are not cut
        to these regions."""
        classifier = self.settings.classifier
        if not phantom and not classifier.kind.uses_lungs:
            return self._with(lung_data="")
        return self if classifier.lung_data else self._with(lung_data=lung_data_for(phantom=phantom))

    def parts(self) -> Mapping[str, NihClassification]:
        """Of the fusion: both classifiers whose features it joins, each as it is alone."""
        if self.settings.classifier.kind is not Kind.SDFN:
            return {}
        return {kind.value: self._with(kind=kind) for kind in (Kind.ENTIRE, Kind.LUNG)}

    def _with(self, **changed: object) -> NihClassification:
        return type(self)(replace(self.settings, classifier=replace(self.settings.classifier, **changed)))

    def remarks(self) -> Sequence[str]:
        """What the lung regions are found by."""
        classifier = self.settings.classifier
        if not classifier.kind.uses_lungs or not classifier.lung_data:
            return ()
        return (f"lung regions are found by a U-Net that was trained on {said_of(classifier.lung_data)}",)

    def depends_on(self, device: str) -> Mapping[str, str]:
        settings = self.settings.classifier
        if not settings.kind.uses_lungs:
            return {}
        from .lungs.regions import generator_key

        return {"lung_regions": generator_key(settings.lungs, settings.lung_data, device)}

    def weights_used(self) -> str:
        path = self.settings.classifier.weights
        return "none" if path is None else digest.of_file(path.expanduser())

    # ---------------------------------------------------------------------- what a model says

    def predict(self, model: FindingsClassifier, test: Dataset, *, device: str) -> Predictions:
        """`logits`: float32 (N, structures)."""
        model.to(device)
        logits = model.logits(test.images, originals=test.originals)
        return Predictions(tuple(test.ids), {"logits": np.asarray(logits, dtype=np.float32)})

    def annotate(self, model: FindingsClassifier, films: Dataset, train: Dataset, *, seed: int, device: str) -> Dataset:
        """Labels by a trained model: positive are the films above the logit that as many real training films exceed as have
        the finding, so that the prevalence stays the real one where the films are like real ones."""
        model.to(device)
        structures = self._trained_structures(train)
        found, real = (model.logits(one.images, originals=one.originals) for one in (films, train))
        cases = films.cases.assign(**{finding: np.uint8(0) for finding in train.info.findings})
        for column, finding in enumerate(structures):
            share = float(train.cases[finding].mean())
            bound = np.quantile(real[:, column], 1 - share) if share else np.inf
            cases[finding] = (found[:, column] > bound).astype(np.uint8)
        return replace(
            films, cases=cases, info=films.info.model_copy(update={"findings": train.info.findings}), folder=None
        )

    def illustrate(self, model: FindingsClassifier, test: Dataset, *, device: str) -> Sequence[Illustration]:
        """Class activation maps (equations 5 and 6) over test films with their finding and, where there are, its boxes:
        the first positive films of each finding by id, boxed ones first."""
        from .models.activation_maps import illustrations

        model.to(device)
        return illustrations(model, test, self._trained_structures(test))

    def _trained_structures(self, films: Dataset) -> tuple[str, ...]:
        return in_order(films.info.findings)

    # ---------------------------------------------------------------------- scores

    def score(self, predictions: Predictions, test: Dataset) -> pd.DataFrame:
        """Per case and finding: `logit` and `truth` (0 or 1), with the `patient` that intervals resample."""
        if list(predictions.ids) != test.ids:
            raise InputError(f"{self.name}: the predictions are not of these {len(test)} test films")
        columns = self._trained_structures(test)
        logits = np.asarray(predictions.arrays["logits"], dtype=np.float64)
        if logits.shape != (len(test), len(columns)):
            raise InputError(
                f"{self.name}: logits of shape {logits.shape}, expected {(len(test), len(columns))} for "
                f"{', '.join(columns)}"
            )
        patients = test.cases["patient"].astype(str).to_numpy()
        parts = []
        for column, finding in enumerate(columns):
            truth = test.cases[finding].to_numpy(dtype=np.float64)
            if np.ptp(truth) == 0:
                continue  # one label value: no AUC
            for metric, values in (("logit", logits[:, column]), ("truth", truth)):
                parts.append(
                    pd.DataFrame(
                        {"case": test.ids, "patient": patients, "structure": finding, "metric": metric, "value": values}
                    )
                )
        return pd.concat(parts, ignore_index=True)

    def changes(self, said: Predictions, other: Predictions, test: Dataset | None) -> Changes:
        truth = None if test is None else labels_of(test, self._trained_structures(test))
        return rank_changes(said.arrays["logits"], other.arrays["logits"], truth)

    def summarise(self, scores: pd.DataFrame) -> pd.DataFrame:
        """AUC per finding and its mean with 95 % intervals (patients resampled), average precision, calibration."""
        return self.in_table_order(summary(scores))

    def paired_metrics(self) -> tuple[str, ...]:
        return ("auc",)

    def plots(self, scores: Mapping[str, pd.DataFrame]) -> list[Plot]:
        """ROC curves of every finding, one drawing a finding with a curve an arm (seed 0)."""
        return roc_plots(scores)

    # ---------------------------------------------------------------------- weights on disk

    def save_model(self, model: FindingsClassifier, path: Path) -> None:
        from .models.saved import save_weights

        save_weights(model, path)

    def load_model(self, path: Path, data: Dataset) -> FindingsClassifier:
        from .models.sdfn import load_classifier

        return load_classifier(path, len(self._trained_structures(data)), self.settings.classifier)
