"""Providers that are no Python class: a folder of films made by any program, and a program in any language."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from .dataset import Annotation, Dataset, load_dataset
from .errors import InputError, ProviderError
from .progress import Progress
from .provider import Batch, Provider
from .resampling import resize_films

BATCH = 64


def _batches(films: Dataset, organs: tuple[str, ...]) -> Iterator[Batch]:
    """A dataset as batches with the masks of the given organs."""
    for start in range(0, len(films), BATCH):
        rows = slice(start, start + BATCH)
        sources = films.cases["source_ids"].iloc[rows].tolist() if "source_ids" in films.cases else None
        yield Batch(
            images=films.images[rows, None].astype(np.float32) / np.float32(255),
            masks=films.organ_masks(organs, rows) if films.masks is not None else None,
            source_ids=sources,
            organs=organs,
        )


def _common_organs(films: Dataset, train: Dataset, where: str) -> tuple[str, ...]:
    """The organs of the training set that the films have masks of, in its order; ProviderError when there are none."""
    common = tuple(organ for organ in train.organs if organ in films.organs)
    if films.masks is None or not common:
        raise ProviderError(f"{where} has no masks of {' or '.join(train.organs)}: expected at least one of them")
    return common


class ExternalProvider(Provider):
    """What both have in common: an argument after the colon, and the films that show what samples must look like."""

    produces = frozenset({Annotation.MASKS})

    def __init__(self, argument: str, settings: Any = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        self.argument = argument

    def save(self, folder: Path) -> None:
        """Keep the argument and the films."""
        (folder / "argument.txt").write_text(self.argument, encoding="utf-8")
        self.train.save(folder / "train.dataset")

    @classmethod
    def load(cls, folder: Path, settings: Any = None, *, device: str = "cpu") -> Self:
        """What `save` kept."""
        provider = cls((folder / "argument.txt").read_text(encoding="utf-8"), settings, device=device)
        provider.train = load_dataset(folder / "train.dataset")
        return provider

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Keep the training set; nothing is fitted here."""
        self.train = train


class FolderProvider(ExternalProvider):
    """Films and masks made by any program: a dataset folder, or `images/*.png` with `masks/*.png` or `masks/<organ>/*.png`.

    Single mask files hold bit flags: bit i is organ i of the training set. An organ without a folder of masks is one
    that the films do not show. Nothing is fitted.
    """

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """`n` of the folder's films, drawn without replacement. ProviderError when there are fewer."""
        films = self._films()
        if len(films) < n:
            raise ProviderError(f"folder {self.argument} has {len(films)} films, expected at least {n}")
        rows = np.sort(np.random.default_rng(seed).permutation(len(films))[:n])
        organs = _common_organs(films, self.train, f"folder {self.argument}")
        yield from _batches(films.select(rows).resized(self.train.resolution), organs)

    def _films(self) -> Dataset:
        folder = Path(self.argument)
        if (folder / "dataset.json").is_file():
            return load_dataset(folder)
        return _read_pictures(folder, self.train)


def _read_pictures(folder: Path, train: Dataset) -> Dataset:
    """PNG films with masks as bit flags or one folder per organ, at the training set's resolution."""
    import cv2
    import pandas as pd

    from .dataset import DatasetInfo

    def read(path: Path) -> np.ndarray:
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise ProviderError(f"{path}: expected a readable png, found none")
        if picture.shape[0] != picture.shape[1]:
            raise ProviderError(f"{path}: expected a square film, found {picture.shape[1]} x {picture.shape[0]}")
        return picture

    def mask_of(path: Path) -> np.ndarray:
        if (folder / "masks" / path.name).is_file():
            return read(folder / "masks" / path.name)
        flags = None
        for bit, organ in enumerate(organs):
            one = (read(folder / "masks" / organ / path.name) > 127).astype(np.uint8) << np.uint8(bit)
            flags = one if flags is None else flags | one
        return flags if flags is not None else np.zeros_like(read(path))

    paths = sorted((folder / "images").glob("*.png"))
    if not paths:
        raise ProviderError(f"{folder}: expected dataset.json or images/*.png with masks/, found neither")
    organs = train.organs
    if not any((folder / "masks" / path.name).is_file() for path in paths):
        organs = tuple(organ for organ in train.organs if (folder / "masks" / organ).is_dir()) or train.organs
    side = train.resolution
    films, masks = [], []
    for path in paths:
        film, mask = read(path), mask_of(path)
        if film.shape != mask.shape:
            raise ProviderError(f"{path}: the film is {film.shape[1]} pixels wide and its mask {mask.shape[1]}")
        films.append(resize_films(film[None], side)[0])
        masks.append(cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST))
    ids = [path.stem for path in paths]
    return Dataset(
        info=DatasetInfo(name=folder.name, resolution=side, organs=organs, pixel_mm=train.info.pixel_mm),
        images=np.stack(films),
        masks=np.stack(masks),
        cases=pd.DataFrame({"id": ids, "patient": ids}),
    )


@dataclass(frozen=True)
class CommandSettings:
    """How long the program may take for one call, in seconds."""

    time_limit: float = 3600.0


class CommandProvider(ExternalProvider):
    """A program in any language or environment: reads the training dataset folder and writes a dataset folder.

    It gets CXRBENCH_TRAIN and CXRBENCH_OUT (folders), CXRBENCH_N (films to make) and CXRBENCH_SEED in its environment.
    """

    presets = MappingProxyType({name: CommandSettings() for name in ("quick", "standard", "paper")})

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Run the program. ProviderError with the end of its stderr when it fails, hangs or writes no dataset."""
        with tempfile.TemporaryDirectory(prefix="cxrbench-command-") as scratch:
            out = Path(scratch) / "out"
            train = Path(scratch) / "train"
            self.train.save(train)
            self._run(train, out, n, seed)
            try:
                films = load_dataset(out, verify=True)
            except InputError as error:
                raise ProviderError(f"command wrote no valid dataset to CXRBENCH_OUT: {error}") from None
            organs = _common_organs(films, self.train, "the dataset that the command wrote")
            yield from _batches(films.resized(self.train.resolution), organs)

    def _run(self, train: Path, out: Path, n: int, seed: int) -> None:
        names = {"TRAIN": str(train), "OUT": str(out), "N": str(n), "SEED": str(seed)}
        environment = os.environ | {f"CXRBENCH_{name}": value for name, value in names.items()}
        try:
            done = subprocess.run(
                shlex.split(self.argument),
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.settings.time_limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ProviderError(
                f"command '{self.argument}' took more than {self.settings.time_limit:.0f} s "
                "(raise it with --set time_limit=SECONDS)"
            ) from None
        except OSError as error:
            raise ProviderError(f"command '{self.argument}' cannot be started: {error.strerror}") from None
        if done.returncode:
            end = done.stderr.strip().splitlines()[-1:] or ["(nothing on stderr)"]
            raise ProviderError(f"command '{self.argument}' ended with exit code {done.returncode}: {end[0]}")
