"""GMVAE and FS-GMVAE of Kumar and Triana Martinez: VAEs with a mixture of Gaussians as the prior and an ImageNet network
as the encoder, in the nine versions of the paper's Table 4.

The objective is that of the course exercise they started from (CS236): one draw z ~ q(z|x), squared error of the film
plus log q(z|x) - log p(z). FS-GMVAE appends the findings of a film to its latents; a sample gets the findings of a
training film drawn at random.
Decisions where the paper is silent or contradicts itself: Table 4 against the text on whether V8 is normalised (the
table; `normalise` is a setting); the encoder is frozen when ImageNet weights are given ("Encoder in Eval") and trained
when it starts from scratch, unless `train_encoder` says otherwise; reduction of the squared error as for the VAE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from ..benchmark import digest
from ..benchmark.contracts.initial_weights import InitialWeights
from ..benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.training.recipe import Step
from .gmvae_networks import (
    HALVINGS,
    Activation,
    Decoder,
    DecoderName,
    Encoder,
    EncoderName,
    Generative,
    MixturePrior,
    Transition,
    check_side,
    dead_maps,
    gaussian,
    load_features,
    make_decoder,
    positive,
)
from .kumar_films import SAMPLING_BATCH, KumarProvider, KumarRecipe, Schedule, evaluating
from .vae import Reduction, reconstruction_loss


@dataclass(frozen=True)
class GMVAESettings(Schedule):
    """A row of Table 4 and the paper's settings."""

    latent: int = 1000
    """Z: values of a code."""
    components: int = 50
    """K: Gaussians of the mixture prior."""
    transition: bool = True
    normalise: bool = True
    """ImageNet's mean and standard deviation on the three (equal) channels; without it the decoder ends in a sigmoid."""
    encoder: EncoderName = "vgg16"
    decoder: DecoderName = "decoder1"
    activation: Activation = "relu"
    """Between the decoder's transposed convolutions. Not said in the paper; with ReLU the three maps of Decoder 1 die."""
    decoder_biases: bool = False
    """Of Decoder 1 and 2: Tables 2 and 3 list them, the counts of Table 5 leave them out."""
    side: int = 224
    width: float = 1.0
    """Factor on the encoder's maps."""
    weights: Path | None = None
    """torchvision's ImageNet weights of the encoder, a state dict (.pth) or .safetensors; None: from scratch."""
    train_encoder: bool | None = None
    """None: frozen when there are weights, trained when there are none."""
    beta: float = 1.0
    """Weight of the divergence; belongs to `recon_reduction`, `side` and `normalise` (see `presets_of`)."""
    recon_reduction: Reduction = "mean"
    """The squared error of a film: averaged over its pixels and channels or summed."""
    learning_rate: float = 1e-4

    @property
    def frozen(self) -> bool:
        """Whether the encoder stays as it is."""
        return self.weights is not None if self.train_encoder is None else not self.train_encoder


TABLE_4 = {
    "fs_gmvae_v1": GMVAESettings(latent=1000, components=50, decoder="linear"),
    "fs_gmvae_v2": GMVAESettings(latent=1000, components=50, decoder="linear", normalise=False),
    "fs_gmvae_v3": GMVAESettings(latent=1000, components=50, decoder="decoder1"),
    "gmvae_v3": GMVAESettings(latent=1000, components=50, decoder="decoder1", transition=False),
    "gmvae_v4": GMVAESettings(latent=1000, components=50, decoder="decoder1"),
    "gmvae_v5": GMVAESettings(latent=1000, components=50, decoder="decoder2", transition=False),
    "gmvae_v6": GMVAESettings(latent=2000, components=300, decoder="decoder2", encoder="densenet121"),
    "gmvae_v7": GMVAESettings(latent=2000, components=300, decoder="decoder2", transition=False, normalise=False),
    "gmvae_v8": GMVAESettings(latent=2000, components=300, decoder="decoder2"),
}


def presets_of(version: str) -> dict[str, GMVAESettings]:
    """The three presets of a version; `quick` has a 40th of the latents, a fifth of the components, a narrow encoder.

    A film's summed squared error grows with its pixels, with its three equal channels, and by another factor of 20 in
    units of ImageNet's deviations. So does beta in `quick` and `standard`: with less, codes between those of the films
    decode to no film.
    """
    paper = TABLE_4[version]
    standard = replace(
        paper,
        equalise=False,
        recon_reduction="sum",
        beta=720.0 if paper.normalise else 36.0,
        activation="elu",
        epochs=5.0,
        least_steps=2_000,
        most_steps=10_000,
    )
    quick = replace(
        standard,
        side=64,
        beta=120.0 if paper.normalise else 6.0,
        latent=paper.latent // 40,
        components=paper.components // 5,
        width=0.125,
        batch_size=16,
        epochs=3.0,
        least_steps=500 if paper.encoder == "vgg16" else 350,  # DenseNet121 is slow on a processor: 121 layers deep
        most_steps=600 if paper.encoder == "vgg16" else 350,
        learning_rate=1e-3,
    )
    return {"quick": quick, "standard": standard, "paper": paper}


def make_generative(settings: GMVAESettings, findings: int) -> Generative:
    """Prior and decoder of the settings, for label vectors of that many findings (0: none)."""
    check_side(settings.side)
    decoder = make_decoder(
        settings.decoder,
        settings.latent + findings,
        settings.side,
        normalise=settings.normalise,
        activation=settings.activation,
        biases=settings.decoder_biases,
    )
    prior = MixturePrior(settings.components, settings.latent)
    return Generative(prior, decoder, normalise=settings.normalise)


def make_posterior(settings: GMVAESettings) -> nn.Sequential:
    """Colours (B, 3, side, side) to mean and raw variance (B, 2Z): encoder, then transition net or one dense layer."""
    encoder = Encoder(settings.encoder, settings.width, frozen=settings.frozen)
    small, outputs = settings.side >> HALVINGS, 2 * settings.latent
    if settings.transition:
        return nn.Sequential(encoder, Transition(encoder.maps, small, outputs))
    return nn.Sequential(encoder, nn.Flatten(), nn.Linear(encoder.maps * small**2, outputs))


# The networks by the names of Table 5, and those that it leaves out.
ENCODER_PARTS = {"vgg16": "VGG16 features encoder", "densenet121": "DenseNet121 features encoder"}
DECODER_PARTS = {"linear": "linear decoder", "decoder1": "decoder1", "decoder2": "decoder2"}
PRIOR, FIRST_MAP = "mixture prior", "latents to first map"


def parts_of(generative: Generative, settings: GMVAESettings) -> dict[str, nn.Module]:
    """The networks that sampling uses, by name."""
    decoder = generative.decoder
    parts: dict[str, nn.Module] = {PRIOR: generative.prior}
    if settings.decoder != "linear":
        parts[FIRST_MAP] = decoder.to_map
    return parts | {DECODER_PARTS[settings.decoder]: decoder.layers}


@dataclass(frozen=True)
class LabelRows:
    """The different label vectors of a training set and how many films have each."""

    rows: list[list[int]]
    counts: list[int]

    @classmethod
    def of(cls, labels: np.ndarray) -> LabelRows:
        """Those of labels uint8 (N, F)."""
        rows, counts = np.unique(labels, axis=0, return_counts=True)
        return cls(rows.tolist(), counts.tolist())

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Label vectors of training films drawn at random, uint8 (count, F)."""
        shares = torch.tensor(self.counts, dtype=torch.float64)
        which = torch.multinomial(shares, count, replacement=True, generator=rng)
        return torch.tensor(self.rows, dtype=torch.uint8)[which]


def draw_films(generative: Generative, labels: LabelRows | None, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """SAMPLING_BATCH films (B, side, side) in [0, 1], and the label vectors they were made for."""
    codes = generative.prior.draw(SAMPLING_BATCH, rng)
    drawn = None if labels is None else labels.draw(SAMPLING_BATCH, rng)
    return generative.films(codes, drawn), drawn


class GMVAERecipe(KumarRecipe):
    """The negative ELBO with one draw per film. labels: uint8 (N, F) for FS-GMVAE, else None."""

    def __init__(self, films: np.ndarray, labels: np.ndarray | None, settings: GMVAESettings) -> None:
        super().__init__(films, settings)
        self.settings = settings
        self.labels = None if labels is None else torch.from_numpy(labels)
        self.label_rows = None if labels is None else LabelRows.of(labels)
        self.generative = make_generative(settings, 0 if labels is None else labels.shape[1])
        self.posterior = make_posterior(settings)
        if settings.weights is not None:
            encoder = self.posterior[0]
            assert isinstance(encoder, Encoder)
            load_features(encoder.features, settings.weights.expanduser(), settings.encoder)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"posterior": self.posterior, "generative": self.generative, "timeline": self.timeline}

    def drawn_from(self) -> Mapping[str, nn.Module]:
        return parts_of(self.generative, self.settings)

    def samples(self, rng: torch.Generator) -> Tensor:
        return draw_films(self.generative, self.label_rows, rng)[0]

    def optimizers(self) -> Mapping[str, Optimizer]:
        weights = [*self.posterior.parameters(), *self.generative.parameters()]
        trained = [weight for weight in weights if weight.requires_grad]
        self.adam = Adam(trained, lr=self.settings.learning_rate, fused=True)
        return {"adam": self.adam}

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        films = self.generative.colours(self.real(batch["rows"], at.device))
        mean, raw = self.posterior(films).float().chunk(2, dim=1)
        variance = positive(raw)
        codes = mean + variance.sqrt() * torch.randn_like(mean)
        labels = None if self.labels is None else self.labels.to(at.device)[batch["rows"]]
        error = reconstruction_loss(self.generative.decode(codes, labels), films, self.settings.recon_reduction)
        kl = (gaussian(codes, mean, variance) - self.generative.prior.log_density(codes)).mean()
        at.update(error + self.settings.beta * kl, self.adam)
        self.show(at)
        return {"reconstruction": error, "divergence": kl}


class GMVAE(KumarProvider):
    """What the versions have in common; those that learn labels are `FSGMVAE`."""

    produces = frozenset()
    initial_weights = (InitialWeights("weights", "encoder"),)
    sampling_parts = frozenset({PRIOR, FIRST_MAP, *DECODER_PARTS.values()})
    reference_seconds: ClassVar = {"quick": 20.0}
    generative: Generative

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        weights: Path | None = self.settings.weights
        super().fit(train, seed=seed, progress=progress)
        if weights is not None:
            self.weights_used = digest.of_file(weights.expanduser())

    def recipe(self, films: np.ndarray, train: Dataset) -> GMVAERecipe:
        return GMVAERecipe(films, None, self.settings)

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        settings: GMVAESettings = self.settings
        generative = make_generative(settings, len(films.findings) if Annotation.LABELS in self.produces else 0)
        posterior = make_posterior(settings)
        head = "transition net" if settings.transition else "head for mean and variance"
        encoding = {ENCODER_PARTS[settings.encoder]: posterior[0], head: posterior[1:]}
        return encoding | parts_of(generative, settings)

    def networks(self) -> Mapping[str, nn.Module]:
        return parts_of(self.generative, self.settings) if hasattr(self, "generative") else {}

    def take(self, networks: Mapping[str, nn.Module]) -> None:
        normalise: bool = self.settings.normalise
        prior, layers = networks[PRIOR], networks[DECODER_PARTS[self.settings.decoder]]
        assert isinstance(prior, MixturePrior)
        decoder = Decoder(networks.get(FIRST_MAP, nn.Identity()), layers, normalise=normalise)
        self.generative = Generative(prior, decoder, normalise=normalise).to(self.device).eval()

    def draw(self, rng: torch.Generator) -> tuple[Tensor, np.ndarray | None]:
        return draw_films(self.generative, None, rng)[0], None

    def facts(self) -> Mapping[str, float | int | str]:
        """How many maps of the decoder are dead, for SAMPLING_BATCH codes: where all of a layer are, films are all alike."""
        if self.settings.decoder == "linear":
            return {}
        rng = torch.Generator().manual_seed(0)
        with evaluating([self.generative]), torch.no_grad():
            codes, labels = self.generative.prior.draw(SAMPLING_BATCH, rng), self.drawn_labels(rng)
            inputs = codes if labels is None else torch.cat([codes, labels.to(codes)], dim=1)
            dead, every = dead_maps(self.generative.decoder, inputs)
        return {"dead_maps_of_the_decoder": f"{dead} of {every}"}

    def drawn_labels(self, rng: torch.Generator) -> Tensor | None:
        """Label vectors to draw films for; None where it learns none."""
        return None


class FSGMVAE(GMVAE):
    """What the versions with findings have in common."""

    produces = frozenset({Annotation.LABELS})
    label_rows: LabelRows

    def recipe(self, films: np.ndarray, train: Dataset) -> GMVAERecipe:
        if not train.info.findings:
            raise InputError(
                f"{self.name} learns films with their findings; dataset {train.info.name} has no findings: "
                "use a gmvae version, or a dataset with findings"
            )
        labels = np.array(train.labels())
        self.label_rows = LabelRows.of(labels)
        return GMVAERecipe(films, labels, self.settings)

    def drawn_labels(self, rng: torch.Generator) -> Tensor | None:
        return self.label_rows.draw(SAMPLING_BATCH, rng)

    def draw(self, rng: torch.Generator) -> tuple[Tensor, np.ndarray | None]:
        films, labels = draw_films(self.generative, self.label_rows, rng)
        assert labels is not None
        return films, labels.numpy()


class GMVAEV3(GMVAE):
    """GMVAE V3 (no transition net, Decoder 1): films without annotations."""

    name = "gmvae_v3"
    presets: ClassVar = presets_of("gmvae_v3")


class GMVAEV4(GMVAE):
    """GMVAE V4 (transition net, Decoder 1): films without annotations."""

    name = "gmvae_v4"
    presets: ClassVar = presets_of("gmvae_v4")


class GMVAEV5(GMVAE):
    """GMVAE V5 (no transition net, Decoder 2): films without annotations."""

    name = "gmvae_v5"
    presets: ClassVar = presets_of("gmvae_v5")


class GMVAEV6(GMVAE):
    """GMVAE V6 (DenseNet121, transition net, Decoder 2): films without annotations."""

    name = "gmvae_v6"
    presets: ClassVar = presets_of("gmvae_v6")


class GMVAEV7(GMVAE):
    """GMVAE V7 (not normalised, no transition net, Decoder 2): films without annotations."""

    name = "gmvae_v7"
    presets: ClassVar = presets_of("gmvae_v7")


class GMVAEV8(GMVAE):
    """GMVAE V8 (transition net, Decoder 2): films without annotations."""

    name = "gmvae_v8"
    presets: ClassVar = presets_of("gmvae_v8")


class FSGMVAEV1(FSGMVAE):
    """FS-GMVAE V1 (linear decoder): films with findings."""

    name = "fs_gmvae_v1"
    presets: ClassVar = presets_of("fs_gmvae_v1")


class FSGMVAEV2(FSGMVAE):
    """FS-GMVAE V2 (linear decoder, not normalised): films with findings."""

    name = "fs_gmvae_v2"
    presets: ClassVar = presets_of("fs_gmvae_v2")


class FSGMVAEV3(FSGMVAE):
    """FS-GMVAE V3 (Decoder 1): films with findings."""

    name = "fs_gmvae_v3"
    presets: ClassVar = presets_of("fs_gmvae_v3")
