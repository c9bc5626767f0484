"""The provider contract: a generator of annotated chest X-rays. What it returns is checked at the border (`collector`).

It is fitted on a training Dataset, sampled, and never sees a test case. It writes `fit`, `sample`, and `build` for networks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..data.dataset import Annotation, Dataset, DatasetInfo
from ..errors import ProviderError
from ..progress import Progress
from ..training.history import History
from .initial_weights import InitialWeights
from .keeping import load_attributes, networks_among, save_attributes

if TYPE_CHECKING:
    from torch import nn

NETWORKS = "networks.safetensors"
Timelines = tuple[Sequence[int], np.ndarray] | Mapping[str, tuple[Sequence[int], np.ndarray]] | None


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
    initial_weights: ClassVar[tuple[InitialWeights, ...]] = ()
    """What its paper starts from: a run without such weights says so."""
    takes_rest: ClassVar[bool] = False
    """Whether it is given the real training films outside of the size (`rest`): a control of what more real films would
    give. Names, notes and boards say so, and it is never ranked."""
    not_saved: ClassVar[frozenset[str]] = frozenset()
    """Attributes that `save` leaves out: what is asked for right after `fit` alone, as `timeline` is."""
    checkpoints: Path | None = None
    """A folder for the state of a long fit (see `training.loop.train`); set by the engine before `fit`."""
    rest: Dataset | None = None
    """With `takes_rest`: those films, set by the engine before `fit`. None where there is no size (a check of the contract,
    a measurement of speed): the training films may then stand for them."""
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
                listed, cure = ", ".join(networks), "write build(films), and set self.built_for = train.info in fit()"
                said = f"to keep its networks ({listed}), save() needs to know how they are made: {cure}"
                raise ProviderError(f"provider {type(self).__name__}: {said}")
            save_networks(networks, folder / NETWORKS)
        save_attributes(
            self, folder, {"settings", "device", "checkpoints", "rest", *self.not_saved, *networks_among(self)}
        )

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
        """Figures about the last sampling for the record and the report, by name (`share_near_duplicates`). Those called
        `NAME_at_K_steps` are drawn as a curve over K, the steps of a sampler."""
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
    def smoke(cls, settings: Any, steps: int, *, side: int) -> Any:
        """Settings of a fit that starts and finishes, for `cxrbench run --smoke`: every training cut to about `steps` steps
        on whole films of `side` pixels, nothing else made smaller, and every film taken that is drawn, however bad.
        The default is `shorter`; a provider with networks whose settings stay as they are cannot take part."""
        return cls.shorter(settings, steps, side=side)

    @classmethod
    def with_batch(cls, settings: Any, size: int) -> Any:
        """Settings with batches of `size` training films, for `cxrbench throughput --batches`. The default leaves them as
        they are: the provider is then measured at its own batch size alone."""
        return settings
