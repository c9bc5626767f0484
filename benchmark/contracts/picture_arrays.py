"""Films in arrays and tables: .npz as guided-diffusion writes it, .npy, and the Arrow files of 🤗 `datasets`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ProviderError
from .ranges import cure_of, cut_words, is_inside

_FILMS, _LABELS = ("arr_0", "images", "samples", "films", "x"), ("arr_1", "labels", "label", "y")
_HAIR = 0.01  # floats this far outside of 0 to 1 are cut there: rounding and resampling leave such
_BLOCK = 256


@dataclass(frozen=True)
class Arrays:
    """films: (N, H, W), (N, H, W, C) or, with `channels_first`, (N, C, H, W). white: the whole number that is white."""

    films: np.ndarray
    channels_first: bool
    white: float
    classes: list[Any] | None
    remarks: tuple[str, ...]


def read_arrays(folder: Path) -> Arrays:
    """The arrays of a folder's .npz and .npy files as one. ProviderError for damage, other shapes and other ranges."""
    films: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    named: list[str] = []
    for path in sorted(folder.glob("*.np[yz]")):
        if path.suffix == ".npy":
            target = labels if "label" in path.stem.lower() else films
            target.append(_load(path))
        else:
            arrays = _members(path)
            film = next((arrays[name] for name in _FILMS if name in arrays), None)
            if film is None:
                found = ", ".join(arrays) or "nothing"
                raise ProviderError(f"{path}: expected films in arr_0 (or images), found {found}")
            films.append(film)
            labels += [arrays[name] for name in _LABELS if name in arrays][:1]
        named.append(path.name)
    where = f"{folder}/{named[0]}"
    if any(film.ndim == 0 for film in films):
        raise ProviderError(f"{where}: expected films, found a single value")
    first = _shaped(films, where)
    white, remarks = _range(films, where)
    whole = films[0] if len(films) == 1 else np.concatenate(films)
    classes = None
    if labels:
        table = np.concatenate(labels)
        if len(table) != len(whole):
            raise ProviderError(f"{where}: {len(whole)} films but {len(table)} labels")
        if table.dtype.kind not in "biu" and not (table.dtype.kind == "f" and (table == np.rint(table)).all()):
            raise ProviderError(
                f"{where}: labels are {table.dtype}, expected whole numbers: classes, or 0 and 1 a finding"
            )
        classes = table.astype(np.int64).tolist()
    return Arrays(whole, first, white, classes, (f"films of {', '.join(named)}: {_words(whole)}", *remarks))


def _load(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # a damaged file may raise anything that zip and numpy know
        raise ProviderError(f"{path} cannot be read as an array ({_line(error)})") from None


def _members(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name in (*_FILMS, *_LABELS)}
    except Exception as error:  # a damaged file may raise anything that zip and numpy know
        raise ProviderError(f"{path} cannot be read as arrays ({_line(error)})") from None


def _shaped(films: Sequence[np.ndarray], where: str) -> bool:
    """Whether channels come first. ProviderError for shapes that films do not have."""
    if not sum(map(len, films)):
        raise ProviderError(f"{where}: expected films, found {'none' if films else 'labels alone'}")
    if len({film.shape[1:] for film in films}) > 1:
        raise ProviderError(
            f"{where}: its files have films of several shapes: {', '.join(str(f.shape) for f in films)}"
        )
    shape = films[0].shape
    if len(shape) == 4 and shape[-1] in (1, 3, 4):
        return False
    if len(shape) == 4 and shape[1] in (1, 3, 4):
        return True
    if len(shape) == 3 and min(shape) > 0:
        return False
    raise ProviderError(
        f"{where}: films of shape {shape}, expected (N, H, W), (N, H, W, C) or (N, C, H, W), C 1, 3 or 4"
    )


def _range(films: Sequence[np.ndarray], where: str) -> tuple[float, tuple[str, ...]]:
    """What is white, and what is to be said of the values. ProviderError, with the cure, for another range."""
    ends = [(block.min(), block.max(), np.isfinite(block).all()) for film in films for block in _blocks(film)]
    low, high = float(min(end[0] for end in ends)), float(max(end[1] for end in ends))
    kind = films[0].dtype
    if kind.kind == "f":
        if not all(end[2] for end in ends):
            raise ProviderError(f"{where}: holds NaN or infinite values")
        if is_inside(low, high, _HAIR):
            return 1.0, cut_words(low, high)
        cure = cure_of(low, high) or "scale them"
        raise ProviderError(f"{where}: values {low:.4g} to {high:.4g}, expected floats from 0 to 1: {cure}")
    if kind.kind not in "ui" or low < 0:
        raise ProviderError(
            f"{where}: values {low:g} to {high:g} of type {kind}, expected uint8, uint16 or floats from 0 to 1"
        )
    white = 65535.0 if kind == np.uint16 or high > 255 else 255.0
    if high > 65535:
        raise ProviderError(f"{where}: values up to {high:g}, expected at most 65,535")
    dark = (f"no value above {high:g} of {white:g}, as dark as stored",) if high < white / 2 else ()
    return white, dark


def _blocks(film: np.ndarray) -> list[np.ndarray]:
    return [film[start : start + _BLOCK] for start in range(0, len(film), _BLOCK)]


def _words(films: np.ndarray) -> str:
    return f"{films.dtype} {' x '.join(map(str, films.shape))}"


def numbers_of(file: Path) -> list[str] | None:
    """The names of classes 0, 1, ... in classes.txt, a line each; None where there is no such file."""
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise ProviderError(f"{file}: expected a text file in UTF-8") from None


# ------------------------------------------------------------------------------------------------------------- Arrow


@dataclass(frozen=True)
class Tabled:
    """Films in rows of a table. film: a row to its name and content."""

    count: int
    film: Callable[[int], tuple[Path, bytes]]
    classes: list[Any] | None
    remarks: tuple[str, ...]


def is_arrow(folder: Path) -> bool:
    """Whether a folder is what `save_to_disk` of 🤗 `datasets` writes."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and any(folder.glob("*.arrow"))
    )


def pictures_of_tables(folder: Path) -> Tabled:
    """The pictures in Arrow or parquet files of 🤗 `datasets`. ProviderError where there are none or several splits."""
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(path.name for path in folder.iterdir() if path.is_dir() and is_arrow(path))
        if len(splits) != 1:
            raise ProviderError(f"{folder}: expected one split, found {', '.join(splits) or 'none'}: name its folder")
        folder = folder / splits[0]
    table = _table(folder)
    column = next((field.name for field in table.schema if _is_picture(field.type)), None)
    if column is None:
        raise ProviderError(f"{folder}: no column of pictures among {', '.join(table.column_names)}")
    others = [field.name for field in table.schema if _is_picture(field.type) and field.name != column]
    cells = table.column(column)

    def film(row: int) -> tuple[Path, bytes]:
        cell = cells[row].as_py() or {}
        name = f"row-{row:06d}{Path(cell.get('path') or '').suffix}"
        data = cell.get("bytes")
        if data is None:
            path = folder / str(cell.get("path") or "")
            if not path.is_file():
                raise ProviderError(f"{folder}: row {row} has neither a picture nor the path of one")
            data = path.read_bytes()
        return folder / name, data

    remarks = [f"films of the column '{column}' of {folder.name}"]
    remarks += [f"the column '{name}' of pictures was not read" for name in others]
    return Tabled(table.num_rows, film, _classes(table, folder), tuple(remarks))


def _table(folder: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        files = sorted(folder.glob("*.arrow"))
        if (folder / "state.json").is_file():
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            files = [folder / one["filename"] for one in state.get("_data_files", [])] or files
            if state.get("_indices_files") or state.get("_indices_data_files"):
                raise ProviderError(
                    f"{folder}: rows were chosen or shuffled: call flatten_indices() before save_to_disk()"
                )
        if files:
            return pa.concat_tables([_stream(path) for path in files])
        return pa.concat_tables([pyarrow.parquet.read_table(path) for path in sorted(folder.glob("*.parquet"))])
    except ProviderError:
        raise
    except Exception as error:  # a damaged file may raise anything that Arrow knows
        raise ProviderError(f"{folder} cannot be read as a dataset of 🤗 datasets ({_line(error)})") from None


def _stream(path: Path) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(pa.memory_map(str(path))).read_all()


def _is_picture(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind) and {kind.field(i).name for i in range(kind.num_fields)} >= {"bytes", "path"})


def _classes(table: Any, folder: Path) -> list[Any] | None:
    """What films were made for, of a column `label`, `labels` or `findings`: names, where the features name them."""
    column = next((name for name in ("findings", "labels", "label") if name in table.column_names), None)
    if column is None:
        return None
    values: list[Any] = table.column(column).to_pylist()
    if any(value is None for value in values):
        raise ProviderError(f"{folder}: the column '{column}' has nothing in row {values.index(None)}")
    names = _names(table, folder, column)
    if names is None:
        return values

    def named(value: Any) -> Any:
        return [named(one) for one in value] if isinstance(value, list) else names[value]

    return [named(value) for value in values]


def _names(table: Any, folder: Path, column: str) -> list[str] | None:
    try:
        if (folder / "dataset_info.json").is_file():
            features = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))["features"]
        else:
            features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        feature = features[column]
        feature = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
        return list(map(str, feature["names"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
