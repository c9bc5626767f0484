"""Providers that are no Python class: a folder of films made by any program (`pictures`), and a program in any language."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from ..data.dataset import Annotation, Dataset, load_dataset
from ..errors import InputError, ProviderError
from ..processes import Apart, last_line
from ..progress import Progress
from .fitted_elsewhere import said_of
from .pictures import BOX_COLUMNS, read_pictures, read_trained_on
from .provider import Batch, Provider

BATCH = 64
TRAINED_ON = "trained_on.txt"

Box = tuple[str, float, float, float, float]
"""Finding, x, y, w, h in pixels."""


def _batches(films: Dataset, train: Dataset, where: str) -> Iterator[Batch]:
    """A dataset as batches, with those of its annotations that the training films have too."""
    organs = _common_organs(films, train, where)
    labels = _common_labels(films, train, where)
    boxes = None if train.boxes is None else _boxes_per_film(films, where)
    for start in range(0, len(films), BATCH):
        rows = slice(start, start + BATCH)
        sources = films.cases["source_ids"].iloc[rows].tolist() if "source_ids" in films.cases else None
        yield Batch(
            images=films.images[rows, None].astype(np.float32) / np.float32(255),
            masks=None if organs is None else films.organ_masks(organs, rows),
            labels=None if labels is None else labels[rows],
            boxes=None if boxes is None else boxes[rows],
            source_ids=sources,
            organs=organs,
        )


def _common_organs(films: Dataset, train: Dataset, where: str) -> tuple[str, ...] | None:
    """The organs of the training set that the films have masks of, in its order; None where either has no masks.
    ProviderError when the masks are of other organs."""
    if films.masks is None or train.masks is None:
        return None
    common = tuple(organ for organ in train.organs if organ in films.organs)
    if not common:
        raise ProviderError(f"{where} has no masks of {' or '.join(train.organs)}: expected at least one of them")
    return common


def _common_labels(films: Dataset, train: Dataset, where: str) -> np.ndarray | None:
    """Labels (N, F) of the findings of the training set, in its order; None where either has no findings.
    ProviderError when the films lack some of them, or have values other than 0 and 1."""
    wanted = list(train.info.findings)
    if not wanted or not films.info.findings:
        return None
    missing = [finding for finding in wanted if finding not in films.info.findings or finding not in films.cases]
    if missing:
        raise ProviderError(
            f"{where} has no labels of {', '.join(missing)}: expected every finding of the training set, or none"
        )
    labels = films.cases[wanted]
    for finding in wanted:
        if not labels[finding].isin([0, 1]).all():
            raise ProviderError(f"{where} has other labels of {finding} than 0 and 1")
    return labels.to_numpy(dtype=np.uint8)


def _boxes_per_film(films: Dataset, where: str) -> list[list[Box]] | None:
    """The boxes of every film, in the order of the films; None where the films have none."""
    if films.boxes is None:
        return None
    per_film: dict[str, list[Box]] = {name: [] for name in films.ids}
    for name, finding, x, y, w, h in films.boxes[BOX_COLUMNS].itertuples(index=False, name=None):
        if str(name) not in per_film:
            raise ProviderError(f"{where} has a box of film '{name}', which it has not")
        per_film[str(name)].append((str(finding), float(x), float(y), float(w), float(h)))
    return list(per_film.values())


class ExternalProvider(Provider):
    """What both have in common: an argument after the colon, and the films that show what samples must look like."""

    produces = frozenset({Annotation.MASKS, Annotation.LABELS, Annotation.BOXES})

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
    """Films made by any program: a dataset folder, or pictures or arrays with masks, labels.csv or boxes.csv beside them.

    Pictures of any format, in images/ or in the folder itself, flat, nested, or a folder for every finding; or .npz
    (arr_0, and arr_1 for classes, as guided-diffusion writes) or .npy; or a dataset of 🤗 `datasets` on disk. classes.txt
    names classes that are numbers, one a line. Films that are not square are padded with black.

    masks/<organ>/*.png, or masks/0001_<organ>.png: 0 outside (an organ without files is one that the films do not show);
    or masks/*.png: bit flags, bit i is organ i of the training set; or arrays of these names. Masks of labels or colours
    need a file masks.toml beside them with a line `masks = "labels:left_lung=1,right_lung=2"` (also bits:...,
    colours:left_lung=#ff0000,...). labels.csv (or metadata.jsonl, or the one table that there is): a column `id` (or
    `file`, `file_name`, `Image Index`, ...), and a 0/1 column for every finding of the training set or a column `findings`
    with their names. boxes.csv: id, finding, x, y, w, h in pixels of the film, upright. What is not read is said.
    trained_on.txt, also beside dataset.json: ids of the real cases that the films were learnt from, one a line.
    Nothing is fitted. What was noticed is in `facts`.
    """

    noticed: tuple[str, ...] = ()

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """`n` of the folder's films, drawn without replacement. ProviderError when there are fewer."""
        films = films_of_folder(Path(self.argument), self.train)
        self.noticed = films.info.remarks
        if len(films) < n:
            raise ProviderError(f"folder {self.argument} has {len(films)} films, expected at least {n}")
        rows = np.sort(np.random.default_rng(seed).permutation(len(films))[:n])
        films = films.select(rows).resized(self.train.resolution)
        yield from _batches(films, self.train, f"folder {self.argument}")

    def trained_on(self) -> Sequence[str]:
        """The ids of the folder's trained_on.txt."""
        return read_trained_on(Path(self.argument))

    def facts(self) -> Mapping[str, float | int | str]:
        """Whose films they have learnt from, where that was said, and what was noticed when they were read last."""
        declared = (Path(self.argument) / TRAINED_ON).is_file()
        facts = said_of(self.trained_on() if declared else None, self.train)
        noticed = [str(one) for one in (facts.get("noticed"), *self.noticed) if one]
        return facts | ({"noticed": "; ".join(noticed)} if noticed else {})


def films_of_folder(folder: Path, train: Dataset, progress: Progress | None = None) -> Dataset:
    """The films of a dataset folder as it is, or of any other folder (`pictures.read_pictures`). ProviderError where they
    cannot be read."""
    if _is_dataset(folder):
        try:
            return load_dataset(folder)
        except InputError as error:
            raise ProviderError(str(error)) from None
    return read_pictures(folder, train, progress)


def _is_dataset(folder: Path) -> bool:
    """Whether a folder has a dataset.json of ours, and not one with labels alone, as StyleGAN and EDM write it."""
    try:
        found = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return not (isinstance(found, dict) and "labels" in found and "resolution" not in found)


@dataclass(frozen=True)
class CommandSettings:
    """How long the program may take for one call, in seconds."""

    time_limit: float = 3600.0


class CommandProvider(ExternalProvider):
    """A program in any language or environment: reads the training dataset folder and writes a dataset folder.

    It gets CXRBENCH_TRAIN and CXRBENCH_OUT (folders), CXRBENCH_N (films to make) and CXRBENCH_SEED in its environment.
    A trained_on.txt beside the dataset.json that it writes names the real cases it has learnt from, one a line.
    """

    presets = MappingProxyType({name: CommandSettings() for name in ("quick", "standard", "paper")})
    learnt_from: Sequence[str] = ()

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
            self.learnt_from = read_trained_on(out)
            yield from _batches(films.resized(self.train.resolution), self.train, "the dataset that the command wrote")

    def trained_on(self) -> Sequence[str]:
        """The ids of the trained_on.txt that the program wrote into its folder at the last call of `sample`."""
        return self.learnt_from

    def _run(self, train: Path, out: Path, n: int, seed: int) -> None:
        names = {"TRAIN": str(train), "OUT": str(out), "N": str(n), "SEED": str(seed)}
        environment = {f"CXRBENCH_{name}": value for name, value in names.items()}
        limit = self.settings.time_limit
        try:
            program = Apart(shlex.split(self.argument), environment=os.environ | environment)
            program.give("", last=True)
            done = program.wait(limit)
        except OSError as error:
            raise ProviderError(f"command '{self.argument}' cannot be started: {error.strerror}") from None
        if done.code is None:
            raise ProviderError(
                f"command '{self.argument}' took more than {limit:.0f} s (raise it with --set time_limit=SECONDS)"
            )
        if done.code:
            end = last_line(done.errors) if done.errors.strip() else "(nothing on stderr)"
            raise ProviderError(f"command '{self.argument}' ended with exit code {done.code}: {end}")
