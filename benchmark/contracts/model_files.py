"""Providers that are a model in a file or folder, fitted elsewhere: a TorchScript or ONNX sampler that makes films of noise.

Nothing is fitted here and nothing is fetched: a model is what lies at its path, and the digest of that is in every key and
record. What it was fitted on is for its owner to say; where it is not said, the record says so. Pipelines of several parts:
`model_folders`.
"""

from __future__ import annotations

import importlib
import os
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np

from .. import digest
from ..data.dataset import Dataset
from ..data.resize import resample
from ..digest import derive_seed
from ..errors import InputError, ProviderError
from ..progress import Progress
from .external import TRAINED_ON, ExternalProvider
from .fitted_elsewhere import said_of
from .pictures import read_trained_on
from .provider import Batch

RANGES = {"symmetric": (-1.0, 1.0), "unit": (0.0, 1.0), "bytes": (0.0, 255.0)}
OUTSIDE, OUTSIDE_SHARE = 0.1, 0.01
"""A network without a last squashing goes a little beyond black and white, here and there, which is cut. More than this
share of pixels further out than this part of the range is another range."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What a model is asked for."""

    trained_on: Path | None = None
    """A text file with the ids of the real cases that it was fitted on, one a line. None: trained_on.txt beside the model or
    in its folder; without it the record says "training data not declared"."""
    batch: int = 16
    """Films drawn together."""


@dataclass(frozen=True, kw_only=True)
class SamplerSettings(ModelSettings):
    """What a sampler z -> film takes and gives."""

    latent: tuple[int, ...] = ()
    """Shape of one film's noise: 128, or [4, 32, 32]. Needed by torchscript:; an ONNX file says it."""
    noise: Literal["normal", "uniform"] = "normal"
    """From N(0, 1), or evenly from [-1, 1)."""
    values: Literal["symmetric", "unit", "bytes"] = "symmetric"
    """What black and white are: -1 and 1, 0 and 1, or 0 and 255."""
    labels: bool = False
    """Whether it takes the findings as a second input, 0 or 1 each (B, F), in the order of the training set."""
    masks: bool = False
    """Whether it gives the organs too, in the order of the training set: channels after the film, an organ above
    mid-grey."""


def at_every_preset(settings: Any) -> Mapping[str, Any]:
    """The presets of a model that is as it is."""
    return MappingProxyType(dict.fromkeys(("quick", "standard", "paper"), settings))


class ModelProvider(ExternalProvider):
    """A model at a path, and who said what it was fitted on."""

    presets: ClassVar[Mapping[str, Any]] = at_every_preset(ModelSettings())

    @abstractmethod
    def opened(self) -> Any:
        """The model, ready to be asked; ProviderError, in one line, where it cannot be read."""

    @abstractmethod
    def films(self, model: Any, count: int, labels: np.ndarray | None, seed: int) -> np.ndarray:
        """`count` films float32 (count, C, H, W) in [0, 1], of `labels` (count, F); everything random comes from `seed`."""

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Keep the training set, and see that the model can be opened; nothing is fitted here."""
        super().fit(train, seed=seed, progress=progress)
        path = Path(self.argument)
        self.weights_used = digest.of_folder(path) if path.is_dir() else digest.of_file(path)
        self.trained_on()
        self.opened()

    @property
    def labelled(self) -> bool:
        """Whether it is told findings."""
        return bool(getattr(self.settings, "labels", False))

    @property
    def masked(self) -> bool:
        """Whether channels after the first are organs."""
        return bool(getattr(self.settings, "masks", False))

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """`n` films, `batch` at a time; labels are those of training films drawn at random."""
        model, settings, train = self.opened(), self.settings, self.train
        if self.labelled and not train.info.findings:
            raise ProviderError(f"{self.argument}: labels=true, but the training set {train.info.name} has no findings")
        rows = np.random.default_rng([seed, 1]).integers(0, len(train), n)
        for number, start in enumerate(range(0, n, settings.batch)):
            count = min(settings.batch, n - start)
            labels = train.labels()[rows[start : start + count]] if self.labelled else None
            asked = (
                None if labels is None else np.resize(labels, (settings.batch, labels.shape[1]))
            )  # whole batches alone
            made = self.films(model, settings.batch, asked, derive_seed("model", seed, number))
            yield self._batch(made[:count], labels)

    def _batch(self, made: np.ndarray, labels: np.ndarray | None) -> Batch:
        """Films (B, C, H, W) as a batch. ProviderError for another shape, or values that are no numbers."""
        organs, side = self.train.organs, self.train.resolution
        if made.ndim != 4 or made.shape[2] != made.shape[3]:
            raise ProviderError(f"{self.argument} gave {made.shape}, expected square films (B, C, H, H)")
        if not np.isfinite(made).all():
            raise ProviderError(f"{self.argument} gave films with values that are not finite")
        if self.masked and made.shape[1] != 1 + len(organs):
            raise ProviderError(
                f"{self.argument} gave {made.shape[1]} channels, expected {1 + len(organs)}: film, {', '.join(organs)}"
            )
        if not self.masked and made.shape[1] not in (1, 3):
            organs_too = made.shape[1] == 1 + len(organs)
            cure = f": film and {len(organs)} organs? Then --set masks=true" if organs_too else ""
            raise ProviderError(f"{self.argument} gave {made.shape[1]} channels, expected 1 or 3 of a film{cure}")
        films = made[:, :1] if self.masked else made.mean(axis=1, keepdims=True)
        masks = _at_side(made[:, 1:], side) >= 0.5 if self.masked else None
        return Batch(images=_at_side(films, side), masks=masks, labels=labels)

    def trained_on(self) -> Sequence[str]:
        """The ids of the file that the settings name, or of trained_on.txt beside the model."""
        file = self._declared()
        return read_trained_on(file.parent, file.name) if file is not None else ()

    def _declared(self) -> Path | None:
        named = self.settings.trained_on
        if named is not None:
            file = Path(named).expanduser()
            if not file.is_file():
                raise InputError(f"trained_on: there is no file {named}; expected ids of real cases, one a line")
            return file
        path = Path(self.argument)
        beside = (path if path.is_dir() else path.parent) / TRAINED_ON
        return beside if beside.is_file() else None

    def facts(self) -> Mapping[str, float | int | str]:
        """Whose films it has learnt from, where that was said."""
        return dict(said_of(None if self._declared() is None else self.trained_on(), self.train))


class SamplerProvider(ModelProvider):
    """What samplers z -> film share: noise, and the range of what they give."""

    presets: ClassVar[Mapping[str, Any]] = at_every_preset(SamplerSettings())

    def noise(self, count: int, shape: Sequence[int], seed: int) -> np.ndarray:
        """Float32 (count, *shape)."""
        draw = np.random.default_rng(seed)
        made = (
            draw.standard_normal((count, *shape))
            if self.settings.noise == "normal"
            else draw.uniform(-1, 1, (count, *shape))
        )
        return made.astype(np.float32)

    def in_unit(self, made: np.ndarray) -> np.ndarray:
        """What the sampler gave in [0, 1]. ProviderError where its values are of another range than the settings say."""
        black, white = RANGES[self.settings.values]
        given = np.asarray(made, dtype=np.float32)
        if np.isfinite(given).all() and (other := _range_of(given, self.settings.values)):
            cure = f"--set values={other}?" if other in RANGES else f"--set values= knows {', '.join(RANGES)}"
            raise ProviderError(
                f"{self.argument} gave values from {given.min():.3g} to {given.max():.3g}, expected {black:g} (black) to "
                f"{white:g} (white), as values={self.settings.values} says; {cure}"
            )
        films: np.ndarray = np.clip((given - black) / (white - black), 0, 1)
        return films


def _range_of(given: np.ndarray, said: str) -> str:
    """The range that the values of a batch are of, where it is not what was said; "other" where it is none; empty where
    what was said may be right. Films that have no pixel darker than mid-grey, or none brighter than black, are none."""
    low, high = float(given.min()), float(given.max())
    black, white = RANGES[said]
    slack = OUTSIDE * (white - black)
    outside = float(((given < black - slack) | (given > white + slack)).mean()) > OUTSIDE_SHARE
    bright = said == "symmetric" and low >= 0 < high
    dark = said == "bytes" and 0 < high <= 1
    if not (outside or bright or dark):
        return ""
    if low < 0:
        return "symmetric" if high <= 1 + OUTSIDE and low >= -1 - OUTSIDE and said != "symmetric" else "other"
    found = "unit" if high <= 1 + OUTSIDE else "bytes" if high <= 255 * (1 + OUTSIDE) else "other"
    return found if found != said else "other"


class TorchScriptProvider(SamplerProvider):
    """A TorchScript file; its module makes films (B, C, H, H) of noise (B, *latent), and of labels (B, F) if asked for."""

    def opened(self) -> Any:
        import torch

        if not self.settings.latent:
            raise ProviderError(f"torchscript {self.argument}: say the shape of its noise (--set latent=128)")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                load: Any = torch.jit.load
                return load(self.argument, map_location=self.device).eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise ProviderError(f"{self.argument}: not a TorchScript file ({first_line(error)})") from None

    def films(self, model: Any, count: int, labels: np.ndarray | None, seed: int) -> np.ndarray:
        import torch

        from ..training.loop import seeded

        given = [self.noise(count, self.settings.latent, seed)]
        given += [] if labels is None else [labels.astype(np.float32)]
        try:
            with seeded(seed), torch.no_grad():
                made = model(*(torch.from_numpy(value).to(self.device) for value in given))
        except RuntimeError as error:
            raise ProviderError(f"{self.argument}: failed on noise {given[0].shape} ({last_line_of(error)})") from None
        return self.in_unit(made.float().cpu().numpy())


class OnnxProvider(SamplerProvider):
    """An ONNX file whose first input is noise and whose second, where asked for, is labels; its first output is films."""

    def opened(self) -> Any:
        runtime = needed("onnxruntime", "onnx", "onnx:FILE")
        try:
            options = runtime.SessionOptions()
            options.intra_op_num_threads = 1
            return runtime.InferenceSession(self.argument, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ProviderError(f"{self.argument}: not an ONNX model ({first_line(error)})") from None

    def films(self, model: Any, count: int, labels: np.ndarray | None, seed: int) -> np.ndarray:
        inputs = model.get_inputs()
        shape = self.settings.latent or tuple(inputs[0].shape[1:])
        if not all(isinstance(size, int) for size in shape):
            raise ProviderError(
                f"{self.argument}: the file leaves the shape of its noise open; say it (--set latent=128)"
            )
        if len(inputs) != (1 if labels is None else 2):
            expected = 1 if labels is None else 2
            raise ProviderError(f"{self.argument} takes {len(inputs)} inputs, expected {expected} (--set labels=)")
        given = {inputs[0].name: self.noise(count, shape, seed)}
        if labels is not None:
            given[inputs[1].name] = labels.astype(np.float32)
        try:
            return self.in_unit(model.run(None, given)[0])
        except Exception as error:
            raise ProviderError(
                f"{self.argument}: failed on noise {given[inputs[0].name].shape} ({first_line(error)})"
            ) from None


def needed(module: str, extra: str, what: str) -> Any:
    """A module of an extra, imported now, kept from asking any hub. InputError says how to install it."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(f"{what} needs the package {module}: pip install 'cxrbench[{extra}]'") from None


def _at_side(made: np.ndarray, side: int) -> np.ndarray:
    """Pictures in [0, 1] (B, C, H, H) at a side, float32."""
    made = np.clip(made, 0, 1).astype(np.float32)
    if made.shape[-1] == side:
        return made
    whole = np.rint(made * 65535).astype(np.uint16)
    films = [[resample(picture, side) / 65535 for picture in film] for film in whole]
    return np.asarray(films, dtype=np.float32).reshape(*made.shape[:2], side, side)


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def last_line_of(error: Exception) -> str:
    """The last line of what an error says: of TorchScript the cause."""
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
