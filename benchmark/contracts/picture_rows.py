"""Films in rows of the Arrow and parquet files of 🤗 `datasets`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.reading.quiet import one_line
from ..errors import ProviderError

_NAMED = 8  # so many columns that are not read are named


@dataclass(frozen=True)
class Tabled:
    """Films in rows of a table. film: a row to its name and content. files: what was read."""

    count: int
    film: Callable[[int], tuple[Path, bytes]]
    classes: list[Any] | None
    remarks: tuple[str, ...]
    files: tuple[Path, ...]


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
    rest = [name for name in table.column_names if name not in (column, *others, _class_column(table))]
    remarks += [f"columns not read: {', '.join(rest[:_NAMED])}{' ...' if len(rest) > _NAMED else ''}"] if rest else []
    files = [path for path in folder.iterdir() if path.suffix in (".arrow", ".parquet", ".json") and path.is_file()]
    return Tabled(table.num_rows, film, _classes(table, folder), tuple(remarks), tuple(files))


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
        raise ProviderError(f"{folder} cannot be read as a dataset of 🤗 datasets ({one_line(error)})") from None


def _stream(path: Path) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(pa.memory_map(str(path))).read_all()


def _is_picture(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind) and {kind.field(i).name for i in range(kind.num_fields)} >= {"bytes", "path"})


def _class_column(table: Any) -> str | None:
    return next((name for name in ("findings", "labels", "label") if name in table.column_names), None)


def _classes(table: Any, folder: Path) -> list[Any] | None:
    """What films were made for, of a column `label`, `labels` or `findings`: names, where the features name them."""
    column = _class_column(table)
    if column is None:
        return None
    values: list[Any] = table.column(column).to_pylist()
    if any(value is None for value in values):
        raise ProviderError(f"{folder}: the column '{column}' has nothing in row {values.index(None)}")
    names = _names(table, folder, column)
    if names is None:
        return values

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(one) for one in value]
        if not isinstance(value, int) or not 0 <= value < len(names):  # -1 is what 🤗 datasets writes for "not known"
            raise ProviderError(
                f"{folder}: the column '{column}' has the class {value!r:.40}, and names 0 to {len(names) - 1}"
            )
        return names[value]

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
