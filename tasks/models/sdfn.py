"""Classifiers of findings: DenseNets on the entire film, on its lung region, and both fused (Liu et al., SDFN).

Two DenseNets are trained apart; then a linear layer is trained on the averages of both their last maps, which stay as
they are (sections B.3 to B.5). Binary cross-entropy averaged over the findings, horizontal flips, Adam at 1e-4 that
decays with every update and falls to a tenth when the validation loss stalls; the best mean validation AUC is kept, or
the last network (`ClassifierSettings.keep_best`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from ...benchmark.data.film_rows import Films, blocks, bytes_of
from ...benchmark.data.gathered import Gathered, changed, gathered
from ...benchmark.data.originals import Originals
from ...benchmark.data.resize import resize_films
from ...benchmark.digest import derive_seed
from ...benchmark.metrics.classification import auc_columns
from ...benchmark.progress import Progress
from ...benchmark.training.history import History
from ...benchmark.training.loop import seeded, train
from ...benchmark.training.recipe import Halves, Recipe, Source, Step
from ...benchmark.training.stopping import Patience, Validation
from ..lungs.regions import untrained
from ..lungs.rules import cut
from ..lungs.unet import LungRegions
from .densenet import FindingsNet
from .labelled_films import Flipped, FlippedFeatures, LabelledFilms, as_input
from .saved import load_weights
from .sdfn_settings import ClassifierSettings, Kind


class FindingsClassifier(nn.Module):
    """Films to logits of findings; its weights hold all that it needs, the lung U-Net too.

    `kind` (of the settings) says what it looks at: "entire", "lung" or "sdfn". Branches that it does not have are None.
    """

    def __init__(self, findings: int, settings: ClassifierSettings, regions: LungRegions | None = None) -> None:
        """`regions`: the fitted lung region generator, where the kind needs one; None: an untrained one, for
        weights to be loaded into."""
        super().__init__()
        self.kind, self.resolution = settings.kind, settings.resolution

        def branch() -> FindingsNet:
            return FindingsNet(findings, growth=settings.growth, blocks=settings.blocks, weights=settings.weights)

        # Both are drawn for the lung region too: a branch begins alike in every kind that has it.
        entire, lung = branch(), branch() if self.kind.uses_lungs else None
        self.entire, self.lung = None if self.kind is Kind.LUNG else entire, lung
        self.fusion: nn.Linear | None = None
        if self.entire is not None and self.lung is not None:
            self.fusion = nn.Linear(self.entire.width + self.lung.width, findings)
        self.regions: LungRegions | None = None
        if self.kind.uses_lungs:
            self.regions = untrained(settings.lungs) if regions is None else regions

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def boxes(self, films: Films) -> np.ndarray | None:
        """Boxes of the lung regions of films uint8 (N, H, W): int64 (N, 4); None where the kind needs none."""
        return None if self.regions is None else self.regions.boxes(films)

    def views(
        self, films: Films, boxes: np.ndarray | None = None, originals: Originals | None = None
    ) -> dict[str, Films]:
        """What the branches look at, by name: uint8 (N, S, S), on disk where it is much. Boxes are found where they are not
        given; they are cut from the originals where the films have some."""
        side, views = self.resolution, dict[str, Films]()
        if self.entire is not None:
            same = films.shape[-1] == side
            views["entire"] = films if same else changed(films, lambda block: resize_films(block, side), (side, side))
        if self.regions is not None:
            found = self.regions.boxes(films) if boxes is None else boxes
            parts = (
                cut(films[rows], found[rows], side, None if originals is None else originals.select(rows))
                for rows in blocks(len(films), bytes_of(films, 1))
            )
            views["lung"] = gathered(parts, (side, side))
        return views

    def branches(self) -> dict[str, FindingsNet]:
        """The DenseNets by the name of what they look at."""
        pairs = (("entire", self.entire), ("lung", self.lung))
        return {name: network for name, network in pairs if network is not None}

    def forward(self, views: Mapping[str, Tensor]) -> Tensor:
        """Views by name, uint8 (B, 1, S, S), to logits (B, findings)."""
        branches = self.branches()
        if self.fusion is None:
            ((name, network),) = branches.items()
            return network(views[name])
        return self.fusion(torch.cat([network.features(views[name]) for name, network in branches.items()], dim=1))

    @torch.no_grad()
    def logits(
        self,
        films: Films,
        boxes: np.ndarray | None = None,
        *,
        originals: Originals | None = None,
        batch: int = 64,
    ) -> np.ndarray:
        """Logits float32 (N, findings) of films uint8 (N, H, W), in batches on the device the weights are on."""
        self.eval()
        parts = []
        for start in range(0, len(films), batch):
            rows = slice(start, start + batch)
            larger = None if originals is None else originals.select(rows)
            views = self.views(films[rows], None if boxes is None else boxes[rows], larger)
            given = {name: as_input(np.asarray(view)).to(self.device) for name, view in views.items()}
            parts.append(self(given).float().cpu().numpy())
        return np.concatenate(parts)


# ---------------------------------------------------------------------- training


class FindingsTraining(Recipe):
    """Binary cross-entropy averaged over the findings (equation 2); Adam whose rate decays and drops on plateaus.

    All that the schedule knows is kept with the optimiser's state, so that a training that goes on from a checkpoint
    has it.
    """

    def __init__(self, network: nn.Module, settings: ClassifierSettings, *, rate: float) -> None:
        self.network, self.settings, self.rate = network, settings, rate

    def networks(self) -> Mapping[str, nn.Module]:
        return {"network": self.network}

    def optimizers(self) -> Mapping[str, Optimizer]:
        self.optimizer = Adam(self.network.parameters(), lr=self.rate)
        self.optimizer.param_groups[0].update(base=self.rate, lowest=float("inf"), stalled=0)
        return {"adam": self.optimizer}

    def batch_size(self, images_seen: int) -> int:
        return self.settings.batch

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        group = self.optimizer.param_groups[0]
        group["lr"] = group["base"] / (1 + self.settings.decay * at.index)
        loss = functional.binary_cross_entropy_with_logits(self.network(batch["input"]).float(), batch["labels"])
        at.update(loss, self.optimizer)
        return {"cross_entropy": loss}

    def validated(self, loss: float) -> None:
        """Take note of a validation loss: the rate drops when it has not fallen for `stall` validations."""
        group = self.optimizer.param_groups[0]
        if loss < group["lowest"]:
            group.update(lowest=loss, stalled=0)
            return
        group["stalled"] += 1
        if group["stalled"] >= self.settings.stall:
            group.update(base=group["base"] * self.settings.drop, stalled=0)


def fit_classifier(
    classifier: FindingsClassifier,
    training: LabelledFilms,
    validation: LabelledFilms,
    settings: ClassifierSettings,
    *,
    seed: int,
    device: str,
    progress: Progress,
    trained: Collection[str] = (),
) -> dict[str, History]:
    """Train the branches, then the fusion, from the weights they have; the classifier is left on the CPU.

    `trained`: branches that are trained already (`take_branches`). Returns how each training went: "entire", "lung",
    "fusion". InputError where labels do not fit the classifier.
    """
    classifier.to(device)
    seen, held = (classifier.views(films.images, films.boxes, films.originals) for films in (training, validation))
    branches = classifier.branches()
    share = 0.95 / len(branches)
    histories = {}
    for number, (name, network) in enumerate(branches.items()):
        if name in trained:
            continue
        histories[name] = _fit(
            FindingsTraining(network, settings, rate=settings.rate),
            Flipped(seen[name], training.labels),
            training.first,
            partial(_in_batches, network, held[name], device),
            validation.labels,
            epochs=settings.epochs,
            seed=derive_seed("sdfn", name, seed),
            device=device,
            progress=progress.part(name, number * share, (number + 1) * share),
        )
    if classifier.fusion is not None:
        histories["fusion"] = _fit_fusion(
            classifier, seen, training, held, validation.labels, settings, seed, device, progress
        )
    classifier.cpu()
    return histories


def take_branches(classifier: FindingsClassifier, parts: Mapping[str, FindingsClassifier]) -> None:
    """Give a classifier the trained branches of others, which have the branch of their name (the paper: the fusion begins
    with the saved weights of both classifiers)."""
    branches = classifier.branches()
    for name, part in parts.items():
        branches[name].load_state_dict(part.branches()[name].state_dict())


class Newest(Patience):
    """Stops when the best network has been waited for in vain, but keeps the newest."""

    def update(self, value: float) -> tuple[bool, bool]:
        return True, super().update(value)[1]


def _fit_fusion(
    classifier: FindingsClassifier,
    seen: Mapping[str, Films],
    training: LabelledFilms,
    held: Mapping[str, Films],
    held_labels: np.ndarray,
    settings: ClassifierSettings,
    seed: int,
    device: str,
    progress: Progress,
) -> History:
    """Train the head on features of both branches, which are computed once (of the films and their mirror images)."""
    fusion = classifier.fusion
    assert fusion is not None  # only a classifier with two branches gets here
    classifier.to(device).eval()
    both = _features(classifier, seen, device, mirrored=True)
    held_features = torch.from_numpy(_features(classifier, held, device, mirrored=False)[0]).to(device)
    return _fit(
        FindingsTraining(fusion, settings, rate=settings.fusion_rate),
        FlippedFeatures(both, training.labels),
        training.first,
        lambda: fusion(held_features).float().cpu().numpy(),
        held_labels,
        epochs=settings.fusion_epochs,
        seed=derive_seed("sdfn", "fusion", seed),
        device=device,
        progress=progress.part("fusion", 0.95, 1.0),
    )


@torch.no_grad()
def _features(
    classifier: FindingsClassifier, views: Mapping[str, Films], device: str, *, mirrored: bool, batch: int = 64
) -> np.ndarray:
    """Features of the branches side by side, float32 (1, N, K), or (2, N, K): of the films and of their mirror images."""
    branches, steps = classifier.branches(), (1, -1) if mirrored else (1,)
    width = sum(network.width for network in branches.values())
    found = Gathered((len(steps), width), np.float32)
    for start in range(0, len(next(iter(views.values()))), batch):
        films = {name: np.asarray(view[start : start + batch]) for name, view in views.items()}
        of_steps = [
            [network.features(as_input(films[name][:, :, step]).to(device)) for name, network in branches.items()]
            for step in (slice(None, None, one) for one in steps)
        ]
        parts = [np.concatenate([one.float().cpu().numpy() for one in row], axis=1) for row in of_steps]
        found.add(np.stack(parts, axis=1))
    return found.array().transpose(1, 0, 2)


def _fit(
    recipe: FindingsTraining,
    source: Source,
    first: int,
    held_logits: Callable[[], np.ndarray],
    held_labels: np.ndarray,
    *,
    epochs: int,
    seed: int,
    device: str,
    progress: Progress,
) -> History:
    """Train one network; the one with the highest mean validation AUC is kept, or the last. `first`: see `LabelledFilms`; a
    pass is then one through the real films."""
    s = recipe.settings
    one_pass = -(-(first or len(source)) // s.batch)
    steps = max(epochs * one_pass, s.least_steps)
    stop = Patience(s.patience) if s.keep_best else Newest(s.patience)

    def measure() -> float:
        """1 - macro AUC; the loss instead, where no finding has both values in the validation films."""
        logits = held_logits()
        loss = cross_entropy(logits, held_labels)
        recipe.validated(loss)
        aucs = auc_columns(held_labels, logits)
        return loss if np.isnan(aucs).all() else 1 - float(np.nanmean(aucs))

    return train(
        recipe,
        Halves(source, first) if first else source,
        steps=min(steps, s.most_steps or steps),
        seed=seed,
        device=device,
        progress=progress,
        validation=Validation(measure=measure, every=max(one_pass, s.check_every), stop=stop),
    )


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Binary cross-entropy of logits (N, findings), mean over films and findings."""
    values = logits.astype(np.float64)
    return float((np.logaddexp(0, values) - values * labels).mean())


@torch.no_grad()
def _in_batches(network: Callable[[Tensor], Tensor], films: Films, device: str, batch: int = 64) -> np.ndarray:
    """What a network makes of films uint8 (N, S, S), as float32 (N, ...)."""
    parts = [
        network(as_input(films[start : start + batch]).to(device)).float().cpu().numpy()
        for start in range(0, len(films), batch)
    ]
    return np.concatenate(parts)


def new_classifier(
    findings: int, settings: ClassifierSettings, *, seed: int, regions: LungRegions | None = None
) -> FindingsClassifier:
    """A classifier before training; its weights depend on the seed alone (and on `settings.weights`)."""
    with seeded(derive_seed("sdfn", "weights", seed)):
        return FindingsClassifier(findings, settings, regions)


def load_classifier(path: Path, findings: int, settings: ClassifierSettings) -> FindingsClassifier:
    """The classifier that `saved.save_weights` kept; the file that it started from is not needed any more."""
    classifier = new_classifier(findings, replace(settings, weights=None), seed=0)
    load_weights(classifier, path)
    return classifier
