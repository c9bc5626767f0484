"""What every segmentation task shares: painted label maps, held-out films, the arms, scores and their table.

A task that builds on `SegmentationTask` says which films are for training and testing, and which network is trained.
Torch is imported only where a network is made, so that a run can be planned without it.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from ..benchmark.contracts.task import Arm, ArmName, Metric, Predictions, Task, Trained
from ..benchmark.data.copies import originals
from ..benchmark.data.dataset import Annotation, Dataset
from ..benchmark.data.film_rows import blocks
from ..benchmark.data.gathered import Gathered
from ..benchmark.data.splits import PinnedSplit, hold_out_patients, is_jsrt_like
from ..benchmark.digest import derive_seed
from ..benchmark.errors import InputError
from ..benchmark.metrics.changes import Changes, label_changes
from ..benchmark.metrics.segmentation import confusion, dice_from_counts, hausdorff_cases, jaccard_from_counts
from ..benchmark.progress import Progress
from .examples import REAL_HELD_OUT, SYNTHETIC_HELD_OUT, Examples, hold_out_last, not_showing, paint

if TYPE_CHECKING:
    from torch import nn

    from ..benchmark.training.history import History

TABLE_ORDER = ("left_lung", "heart", "right_lung")  # the rows of the multi-stage paper's tables, then other organs
# ---------------------------------------------------------------------- films and labels


def scored_structures(organs: Sequence[str], wanted: Sequence[str] = (), *, clavicles: bool = False) -> tuple[str, ...]:
    """Organs in table order: left lung, heart, right lung, then the others; clavicles only when asked for.

    `wanted` names them instead; InputError when the films have no such organ, or none is left.
    """
    missing = [name for name in wanted if name not in organs]
    if missing:
        raise InputError(f"organ '{missing[0]}' has no mask here; the films have {', '.join(organs) or 'none'}")
    if wanted:
        return tuple(wanted)
    first = [name for name in TABLE_ORDER if name in organs]
    others = [name for name in organs if name not in TABLE_ORDER and (clavicles or "clavicle" not in name)]
    if not first + others:
        raise InputError(f"no organ to segment: the films have {', '.join(organs) or 'none'}")
    return tuple(first + others)


class SegmentationTask(Task):
    """A segmentation protocol; a subclass adds splits, sizes, arms, presets and `network`.

    Its settings have at least `resolution, crop, batch, rate, decay, steps,
    epochs, check_every, patience, organs, clavicles` (see `scr_official.Settings`).
    """

    needs = Annotation.MASKS
    split: ClassVar[PinnedSplit | None] = None
    """The official split of JSRT that it measures on."""
    primary = "dsc"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("dsc", "DSC", percent=True),
        Metric("j", "J", percent=True),
        Metric("dsc_image", "DSC, mean over films", percent=True),
        Metric("j_image", "J, mean over films", percent=True),
        Metric("hausdorff", "Hausdorff", higher_is_better=False, unit="px"),
        Metric("hausdorff_mm", "Hausdorff", higher_is_better=False, unit="mm"),
        Metric("missed", "missed organs", higher_is_better=False, decimals=0),
    )

    def wrong_test(self, ids: Sequence[str]) -> str:
        official = self.split is None or not is_jsrt_like(ids) or self.split.tests(ids)
        return "" if official else "those of the official split"

    @abstractmethod
    def network(self, classes: int) -> nn.Module:
        """The downstream network before training: films (B, 1, H, W) to logits (B, classes, H, W)."""

    def structures(self, data: Dataset) -> tuple[str, ...]:
        return scored_structures(data.organs, self.settings.organs, clavicles=self.settings.clavicles)

    def label_maps(self, films: Dataset, structures: Sequence[str]) -> np.ndarray:
        """One label a pixel, uint8 (N, H, W): 0 background, i + 1 for `structures[i]`."""
        return paint(films, structures)

    def has_masks(self, films: Dataset, structure: str) -> bool:
        """Whether the films have masks of a structure."""
        return structure in films.organs

    def train(self, arm: Arm, *, seed: int, device: str, progress: Progress) -> Trained:
        from ..benchmark.training.loop import seeded

        training, held = self.examples(arm, seed=seed)
        if arm.name is ArmName.FINETUNE:
            if arm.start is None:
                raise InputError(f"{self.name}: the finetune arm starts from the synthetic arm's model, found none")
            network = copy.deepcopy(arm.start)
        else:
            with seeded(derive_seed(self.name, "weights", seed)):
                network = self._made(len(self._structures(arm)) + 1)
        history = self.fit(network, training, held, seed=seed, device=device, progress=progress)
        network = network.cpu()
        network.taught.copy_(
            network.taught.new_tensor(True if training.taught is None else training.taught.any(axis=0))
        )
        return Trained(network, {str(arm.name): history})

    def _made(self, classes: int) -> nn.Module:
        """The network, with a note kept among its weights of the classes that it was taught."""
        import torch

        network = self.network(classes)
        network.register_buffer("taught", torch.ones(classes, dtype=torch.bool))
        return network

    def _structures(self, arm: Arm) -> tuple[str, ...]:
        films = arm.real if arm.real is not None else arm.synthetic
        if arm.structures or films is None:
            return arm.structures
        return self.structures(films)

    def examples(self, arm: Arm, *, seed: int) -> tuple[Examples, Examples]:
        """(training, held out) of an arm: real films are held out by patient, of synthetic ones the last quarter.

        A mixed arm takes half of every batch from each; only real films are held out there, and with them the synthetic
        films that say that they show one of these. Where the protocol validates on synthetic films, their last quarter is
        held out of every arm, and all real films are trained on.
        """
        parts: list[Examples] = []
        held: Examples | None = None
        hidden: set[str] = set()
        structures = self._structures(arm)
        if arm.name is not ArmName.SYNTHETIC:
            real = self._films(arm.real, arm.name)
            every = self.examples_of(real, structures)
            if self.validates_on_synthetic:
                parts.append(every)
                if arm.name is not ArmName.MIXED:
                    made = self._films(arm.validation, arm.name)
                    held = self.examples_of(made, structures)[hold_out_last(made, SYNTHETIC_HELD_OUT)[1]]
            else:
                rows, out = hold_out_patients(real, REAL_HELD_OUT, seed=seed)
                parts.append(every[rows])
                held = every[out]
                hidden = set(np.array(originals(real))[out])
        if arm.name in (ArmName.SYNTHETIC, ArmName.MIXED):
            synthetic = self._films(arm.synthetic, arm.name)
            every = self.examples_of(synthetic, structures)
            if held is None:
                rows, out = hold_out_last(synthetic, SYNTHETIC_HELD_OUT)
                held = every[out]
            else:
                rows = not_showing(synthetic, hidden)
            parts.append(every[rows])
        assert held is not None  # every arm has real or synthetic films
        if len(parts) == 1:
            return parts[0], held
        if not len(parts[1]):
            raise InputError(f"{self.name}: every synthetic film shows a held-out real film: none is left to train on")
        return replace(parts[0] + parts[1], first=len(parts[0])), held

    def examples_of(self, films: Dataset, structures: Sequence[str]) -> Examples:
        """All films of a dataset with their labels; InputError where they have masks of none of the structures."""
        taught = [self.has_masks(films, structure) for structure in structures]
        if not any(taught):
            raise InputError(
                f"{self.name}: dataset {films.info.name} has masks of {', '.join(films.organs) or 'nothing'}, "
                f"expected some of {', '.join(structures)}"
            )
        known = None if all(taught) else np.tile([True, *taught], (len(films), 1))
        return Examples(films.images, self.label_maps(films, structures), known)

    def _films(self, films: Dataset | None, arm: ArmName) -> Dataset:
        if films is None:
            raise InputError(f"{self.name}: the {arm} arm lacks its films")
        return films.resized(self.settings.resolution)

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
        """Train a network with early stopping. Fine-tuning has the schedule of REAL, so that only its start differs."""
        from ..benchmark.training.loop import train
        from ..benchmark.training.recipe import Halves, Source
        from ..benchmark.training.stopping import Patience, Validation
        from .models.segmenter import Crops, Segmentation, held_out_loss

        s = self.settings
        steps, every = s.steps, s.check_every
        if s.epochs:  # a mixed arm has the steps of REAL
            every = -(-(training.first or len(training)) // s.batch)
            steps = s.epochs * every
        films: Source = Crops(training, s.crop)
        if training.first:
            films = Halves(films, training.first)
        recipe = Segmentation(network, rate=s.rate, batch=s.batch, decay=s.decay)
        validation = Validation(
            measure=lambda: held_out_loss(network, held, crop=s.crop, batch=s.batch, device=device),
            every=every,
            stop=Patience(s.patience),
        )
        return train(
            recipe,
            films,
            steps=steps,
            seed=derive_seed(self.name, "training", seed),
            device=device,
            progress=progress,
            validation=validation,
        )

    def predict(self, model: nn.Module, test: Dataset, *, device: str) -> Predictions:
        """`labels`: uint8 (N, H, W), 0 background, i + 1 for the i-th structure; `taught`: bool (structures,), where
        the model was not taught all of them."""
        from .models.segmenter import predict_labels

        labels = predict_labels(model, test.images, crop=self.settings.crop, batch=self.settings.batch, device=device)
        return Predictions(ids=tuple(test.ids), arrays={"labels": labels} | untaught_note(model))

    def annotate(self, model: nn.Module, films: Dataset, train: Dataset, *, seed: int, device: str) -> Dataset:
        """Masks by a trained segmenter: each film's predicted label map, an organ a structure, which do not overlap.

        A structure that the model was never taught gets no masks, so that nothing is learnt about it.
        """
        structures, side = self.structures(train), films.resolution
        masks, organs = Gathered((side, side)), structures
        for rows in blocks(len(films), side * side, multiple=self.settings.batch):
            said = self.predict(model, films.select(np.arange(len(films))[rows]), device=device).arrays
            taught = said.get("taught", np.ones(len(structures), dtype=bool))
            organs = tuple(name for name, known in zip(structures, taught, strict=True) if known)
            bits = np.zeros(len(structures) + 1, dtype=np.uint8)  # of every label
            bits[1:][taught] = 1 << np.arange(len(organs))
            masks.add(bits[said["labels"]])
        return replace(films, info=films.info.changed(organs=organs), masks=masks.array(), folder=None)

    # ---------------------------------------------------------------------- scores

    def score(self, predictions: Predictions, test: Dataset) -> pd.DataFrame:
        """Per case and structure: `tp, fp, fn` (pixels), `dsc, j` (0 to 1), `hausdorff` (px), `hausdorff_mm`.

        The truth is painted like the label maps that were trained on. A missed organ has Dice 0 and the image
        diagonal as distance. All scores of a structure that the model was never taught are NaN.
        """
        if list(predictions.ids) != test.ids:
            raise InputError(f"{self.name}: the predictions are not of these {len(test)} test films")
        structures = self.structures(test)
        found, truth = predictions.arrays["labels"], self.label_maps(test, structures)
        taught = predictions.arrays.get("taught", np.ones(len(structures), dtype=bool))
        if found.shape != truth.shape:
            raise InputError(f"{self.name}: predictions of shape {found.shape}, expected {truth.shape}")
        parts = []
        for code, structure in enumerate(structures, start=1):
            pred, true = found == code, truth == code
            tp, fp, fn = confusion(pred, true)
            distance = hausdorff_cases(pred, true)
            columns = {"tp": tp, "fp": fp, "fn": fn, "hausdorff": distance}
            columns |= {"dsc": dice_from_counts(tp, fp, fn), "j": jaccard_from_counts(tp, fp, fn)}
            if test.info.pixel_mm is not None:
                columns["hausdorff_mm"] = distance * test.info.pixel_mm
            if not taught[code - 1]:
                columns = {name: np.full(len(test), np.nan) for name in columns}
            wide = pd.DataFrame({"case": test.ids, "structure": structure, **columns})
            parts.append(wide.melt(id_vars=["case", "structure"], var_name="metric", value_name="value"))
        scores = pd.concat(parts, ignore_index=True)
        return scores.astype({"value": np.float64})[["case", "structure", "metric", "value"]]

    def changes(self, said: Predictions, other: Predictions, test: Dataset | None) -> Changes:
        truth = None if test is None else self.label_maps(test, self.structures(test))
        return label_changes(said.arrays["labels"], other.arrays["labels"], truth)

    def summarise(self, scores: pd.DataFrame) -> pd.DataFrame:
        """J and DSC pooled over the test films (as in the paper's tables), means over films, misses.

        `missed` counts films with an organ that got no pixel. `average` is the mean over the structures, of
        `missed` the sum. A structure that the model was never taught has no row, and then there is no average.
        """
        scored = scores[scores["value"].notna()]
        structures = list(dict.fromkeys(scored["structure"]))
        whole = len(structures) == scores["structure"].nunique()
        wide = scored.pivot(index=["structure", "case"], columns="metric", values="value")
        rows: list[tuple[str, str, float]] = []
        for structure in structures:
            one = wide.loc[structure]
            tp, fp, fn = (one[name].sum() for name in ("tp", "fp", "fn"))
            rows.append(("dsc", structure, float(dice_from_counts(tp, fp, fn))))
            rows.append(("j", structure, float(jaccard_from_counts(tp, fp, fn))))
            rows += [(f"{name}_image", structure, float(one[name].mean())) for name in ("dsc", "j")]
            rows += [
                (name, structure, float(one[name].mean())) for name in ("hausdorff", "hausdorff_mm") if name in one
            ]
            rows.append(("missed", structure, float(((one.tp + one.fp == 0) & (one.fn > 0)).sum())))
        table = pd.DataFrame(rows, columns=["metric", "structure", "value"])
        means = table.groupby("metric", sort=False)["value"].agg("mean")
        means["missed"] = table.loc[table.metric == "missed", "value"].sum()
        average = pd.DataFrame({"metric": means.index, "structure": "average", "value": means.to_numpy()})
        return self.in_table_order(pd.concat([table, average] if whole else [table], ignore_index=True))

    def paired_metrics(self) -> tuple[str, ...]:
        return ("dsc", "j", "hausdorff")

    # ---------------------------------------------------------------------- weights on disk

    def save_model(self, model: nn.Module, path: Path) -> None:
        from .models.saved import save_weights

        save_weights(model, path)

    def load_model(self, path: Path, data: Dataset) -> nn.Module:
        from ..benchmark.training.loop import seeded
        from .models.saved import load_weights

        with seeded(0):
            network = self._made(len(self.structures(data)) + 1)
        return load_weights(network, path)


def untaught_note(model: nn.Module) -> dict[str, np.ndarray]:
    """`taught`, bool (structures,), of a model that was not taught all of them; else nothing."""
    taught = getattr(model, "taught", None)  # a model that says nothing was taught everything
    return {} if taught is None or bool(taught.all()) else {"taught": taught[1:].cpu().numpy()}
