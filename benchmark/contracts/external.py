"""Providers that are no Python class: a folder of films made by any program, and a program in any language."""

from __future__ import annotations

import csv
import io
import os
import shlex
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from ..data.dataset import Annotation, Dataset, load_dataset
from ..data.findings import NO_FINDING
from ..data.resize import resize_films
from ..errors import InputError, ProviderError
from ..progress import Progress
from .provider import Batch, Provider

BATCH = 64
BOX_COLUMNS = ["id", "finding", "x", "y", "w", "h"]
BOX_SLACK = 1.0  # a box may reach this many pixels over the edge (rounding); it is cut there

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


def _read_trained_on(folder: Path) -> list[str]:
    """The ids of `trained_on.txt`, one a line; none where there is no such file."""
    file = folder / "trained_on.txt"
    if not file.is_file():
        return []
    return [line.strip() for line in _text(file).splitlines() if line.strip()]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ProviderError(f"{file}: expected a text file in UTF-8") from None


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
    """Films made by any program: a dataset folder, or `images/*.png` with masks, labels.csv or boxes.csv beside them.

    masks/*.png: bit flags, bit i is organ i of the training set; or masks/<organ>/*.png (an organ without a folder is
    one that the films do not show). labels.csv: a column `id` (or `file`), and a 0/1 column for every finding of the
    training set or a column `findings` with their names and `|` between. boxes.csv: id, finding, x, y, w, h in pixels of
    the png. trained_on.txt, also beside dataset.json: ids of the real cases that the films were learnt from, one a line.
    Nothing is fitted.
    """

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """`n` of the folder's films, drawn without replacement. ProviderError when there are fewer."""
        films = self._films()
        if len(films) < n:
            raise ProviderError(f"folder {self.argument} has {len(films)} films, expected at least {n}")
        rows = np.sort(np.random.default_rng(seed).permutation(len(films))[:n])
        films = films.select(rows).resized(self.train.resolution)
        yield from _batches(films, self.train, f"folder {self.argument}")

    def trained_on(self) -> Sequence[str]:
        """The ids of the folder's trained_on.txt."""
        return _read_trained_on(Path(self.argument))

    def _films(self) -> Dataset:
        folder = Path(self.argument)
        if (folder / "dataset.json").is_file():
            return load_dataset(folder)
        return _read_pictures(folder, self.train)


def _read_png(path: Path) -> np.ndarray:
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ProviderError(f"{path}: expected a readable png, found none")
    if picture.shape[0] != picture.shape[1]:
        raise ProviderError(f"{path}: expected a square film, found {picture.shape[1]} x {picture.shape[0]}")
    return picture


def _read_pictures(folder: Path, train: Dataset) -> Dataset:
    """PNG films at the training set's resolution, with what lies beside them of masks, labels and boxes."""
    import pandas as pd

    from ..data.dataset import DatasetInfo

    paths = sorted((folder / "images").glob("*.png"))
    if not paths:
        raise ProviderError(f"{folder}: expected dataset.json or images/*.png, found neither")
    side, ids = train.resolution, [path.stem for path in paths]
    organs = _mask_organs(folder, paths, train)
    films, masks, widths = [], [], {}
    for path in paths:
        film = _read_png(path)
        widths[path.stem] = film.shape[1]
        films.append(resize_films(film[None], side)[0])
        if organs is not None:
            masks.append(_read_mask(folder / "masks", path, film, organs, side))
    cases = pd.DataFrame({"id": ids, "patient": ids})
    findings: tuple[str, ...] = ()
    if train.info.findings and (folder / "labels.csv").is_file():
        findings = train.info.findings
        cases[list(findings)] = _read_labels(folder / "labels.csv", ids, findings)
    boxes = None
    if train.boxes is not None and (folder / "boxes.csv").is_file():
        boxes = pd.DataFrame(_read_boxes(folder / "boxes.csv", widths, side), columns=BOX_COLUMNS)
    return Dataset(
        info=DatasetInfo(
            name=folder.name, resolution=side, organs=organs or (), findings=findings, pixel_mm=train.info.pixel_mm
        ),
        images=np.stack(films),
        masks=np.stack(masks) if organs is not None else None,
        cases=cases,
        boxes=boxes,
    )


def _mask_organs(folder: Path, paths: Sequence[Path], train: Dataset) -> tuple[str, ...] | None:
    """The organs that the bits of the folder's masks are; None where it, or the training set, has no masks."""
    if train.masks is None or not (folder / "masks").is_dir():
        return None
    if any((folder / "masks" / path.name).is_file() for path in paths):
        return train.organs
    organs = tuple(organ for organ in train.organs if (folder / "masks" / organ).is_dir())
    if not organs:
        raise ProviderError(
            f"{folder}/masks: expected png files of the films' names, or folders {', '.join(train.organs)}"
        )
    return organs


def _read_mask(masks: Path, path: Path, film: np.ndarray, organs: tuple[str, ...], side: int) -> np.ndarray:
    """Bit flags of a film, from one file or from a file an organ."""
    import cv2

    if (masks / path.name).is_file():
        flags = _read_png(masks / path.name)
    else:
        parts = [(_read_png(masks / organ / path.name) > 127).astype(np.uint8) for organ in organs]
        if {part.shape for part in parts} != {parts[0].shape}:
            raise ProviderError(f"{path}: its masks of {', '.join(organs)} differ in size")
        flags = np.bitwise_or.reduce([part << np.uint8(bit) for bit, part in enumerate(parts)])
    if film.shape != flags.shape:
        raise ProviderError(f"{path}: the film is {film.shape[1]} pixels wide and its mask {flags.shape[1]}")
    return cv2.resize(flags, (side, side), interpolation=cv2.INTER_NEAREST)


def _read_table(file: Path, ids: Collection[str]) -> list[tuple[str, str, dict[str, str]]]:
    """The lines of a csv: where it is (for errors), the film it is about, its values. ProviderError without a column of
    films, for a line about a film that is not there, and for a line of another length."""
    reader = csv.DictReader(io.StringIO(_text(file)), skipinitialspace=True)
    try:
        columns, rows = list(reader.fieldnames or []), list(reader)
    except csv.Error as error:
        raise ProviderError(f"{file}: not a readable csv: {error}") from None
    key = next((name for name in ("id", "file") if name in columns), None)
    if key is None:
        raise ProviderError(f"{file}: expected a column 'id' or 'file', found {', '.join(columns) or 'nothing'}")
    lines = []
    for number, row in enumerate(rows, start=1):
        where = f"{file} row {number}"
        if None in row or None in row.values():
            raise ProviderError(f"{where}: expected {len(columns)} values, as in its first line")
        name = Path(row[key].strip()).name.removesuffix(".png")
        if name not in ids:
            raise ProviderError(f"{where}: there is no film images/{name}.png")
        lines.append((where, name, row))
    return lines


def _read_labels(file: Path, ids: Sequence[str], findings: tuple[str, ...]) -> np.ndarray:
    """labels.csv as uint8 (N, F): exactly one line a film."""
    labels: dict[str, list[int]] = {}
    for where, name, row in _read_table(file, set(ids)):
        if name in labels:
            raise ProviderError(f"{where}: the second line of film '{name}'")
        if "findings" in row:
            named = {part.strip() for part in row["findings"].split("|")} - {"", NO_FINDING}
            unknown = sorted(named - set(findings))
            if unknown:
                raise ProviderError(
                    f"{where}: '{unknown[0]}' is no finding of the training set ({', '.join(findings)})"
                )
            labels[name] = [int(finding in named) for finding in findings]
            continue
        missing = [finding for finding in findings if finding not in row]
        if missing:
            raise ProviderError(
                f"{file}: no column {', '.join(missing)}: expected one for every finding, or 'findings'"
            )
        values = [row[finding].strip() for finding in findings]
        if set(values) - {"0", "1"}:
            raise ProviderError(f"{where}: expected 0 or 1, found '{next(iter(set(values) - {'0', '1'}))}'")
        labels[name] = [int(value) for value in values]
    without = [name for name in ids if name not in labels]
    if without:
        raise ProviderError(f"{file}: no line of {len(without)} of {len(ids)} films, the first is '{without[0]}'")
    return np.array([labels[name] for name in ids], dtype=np.uint8)


def _read_boxes(file: Path, widths: Mapping[str, int], side: int) -> list[tuple[str, str, float, float, float, float]]:
    """boxes.csv, in pixels of films of `side` pixels; a film without a line has no box."""
    boxes = []
    for where, name, row in _read_table(file, widths):
        missing = [column for column in BOX_COLUMNS[1:] if column not in row]
        if missing:
            raise ProviderError(f"{file}: expected the columns id,finding,x,y,w,h; {', '.join(missing)} not found")
        try:
            x, y, w, h = (float(row[column]) for column in ("x", "y", "w", "h"))
        except ValueError:
            raise ProviderError(f"{where}: x, y, w, h must be numbers") from None
        width, slack = widths[name], BOX_SLACK
        if not (w > 0 and h > 0 and min(x, y) >= -slack and max(x + w, y + h) <= width + slack):
            raise ProviderError(
                f"{where}: expected a box inside the film of {width} pixels, found {x:g},{y:g},{w:g},{h:g}"
            )
        left, top, right, bottom = (float(np.clip(edge, 0, width)) * side / width for edge in (x, y, x + w, y + h))
        boxes.append((name, row["finding"].strip(), left, top, right - left, bottom - top))
    return boxes


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
            self.learnt_from = _read_trained_on(out)
            yield from _batches(films.resized(self.train.resolution), self.train, "the dataset that the command wrote")

    def trained_on(self) -> Sequence[str]:
        """The ids of the trained_on.txt that the program wrote into its folder at the last call of `sample`."""
        return self.learnt_from

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
