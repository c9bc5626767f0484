"""The folder of a finished run: its files by name, and how they are read (`output` writes them).

Files are written whole, `results.json` last: a folder that has one is whole.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..bounds import TOKENS, TooMuch, check_json_file, memory
from ..errors import InputError, StoreError
from ..files import write_bytes
from ..metrics.scores import COLUMNS
from ..plain_files import require_plain
from ..schema import Model, Strict, read_json
from .rows import SCHEMA, Results

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

RESULTS = "results.json"
REPORT = "report.html"
SCORES = "tables/scores.parquet"
CURVES = "tables/curves.parquet"
FILMS = "figures/films"
SUBMISSION, PACKED = "submission.toml", "records.jsonl"
"""What an entry for the leaderboard has, and each of its runs."""
PLOTS = "tables/plots.json"
NUMBERS = ("seed", "step", "value")
MAX_CELLS, MAX_KINDS, MAX_BOXES, MAX_FIGURES, MAX_LINES = 10_000, 32, 4_096, 256, 10_000
"""Of a run: its cells; its sizes, arms and metrics each; structures of all sizes and arms; drawings of curves and their
lines."""
READING_BYTES, MAX_ROWS = 640 << 20, 4_000_000
"""What a table may take to be read, and its rows, beside what follows from the bytes of its file."""
SAMPLER = "sampler"
"""Whose the curves are that show a provider's films by steps of its sampler."""
CURVE_COLUMNS = ["owner", "size", "fold", "arm", "seed", "curve", "step", "loss", "value"]


class PlotRow(Strict):
    """One drawing of a size (`protocol.Plot`): the points of a curve for each arm."""

    size: str
    title: str
    x_label: str
    y_label: str
    diagonal: bool
    curves: dict[str, tuple[list[float], list[float]]]


class PlotFile(Strict):
    """The content of `tables/plots.json`."""

    plots: list[PlotRow]


def write_results(folder: Path, results: Results) -> None:
    """Write `results.json`: the last file of a run's folder."""
    write_bytes(folder / RESULTS, (results.model_dump_json(by_alias=True, indent=1) + "\n").encode())


def load_run(folder: Path) -> Results:
    """The results of a run's folder (or of a `results.json`); InputError says what is wrong."""
    path = folder if folder.is_file() else folder / RESULTS
    if not path.is_file():
        if (folder / SUBMISSION).is_file():
            raise _of_an_entry(folder)
        meant = f" (did you mean {near}?)" if (near := _nearest_run(folder)) is not None else ""
        raise InputError(f"{folder}: no {RESULTS} here{meant}; expected the folder of a finished `cxrbench run`")
    found = _json(path, Results, SCHEMA)
    if problem := too_large(found):
        raise InputError(f"{path} {problem}; no run of this cxrbench writes that")
    return found


def _nearest_run(folder: Path) -> Path | None:
    """The folder of a run beside one that is not there, called nearly as it is; None where there is none."""
    try:
        there = [] if folder.exists() else [one.name for one in folder.parent.iterdir() if (one / RESULTS).is_file()]
    except OSError:
        return None
    near = difflib.get_close_matches(folder.name, there, n=1)
    return folder.with_name(near[0]) if near else None


def in_an_entry(folder: Path) -> bool:
    """Whether a run's folder is part of an entry for the leaderboard, which holds what was packed and nothing else."""
    return (folder.resolve().parent.parent / SUBMISSION).is_file()


def require_run(folder: Path) -> None:
    """InputError for the folder of an entry's run, as it was packed: without tables, and with no room for any. A run that
    somebody writes below an entry is a run."""
    if in_an_entry(folder) and (folder / PACKED).is_file():
        raise _of_an_entry(folder)


def _of_an_entry(folder: Path) -> InputError:
    made = f"`cxrbench submission unpack {folder}` makes the folder of a run of it"
    return InputError(f"{folder}: an entry for the leaderboard or a part of one; {made}")


def too_large(results: Results) -> str:
    """What a run has too much of, in words that follow the name of its file; empty where nothing. Tables, tests and figures
    grow with the product of these."""
    folds, structures = sum(len(size.folds) for size in results.sizes), len(results.task.structures)
    lists = (("sizes", results.sizes), ("arms", results.arms), ("metrics", results.task.metrics))
    if many := [name for name, found in lists if len(found) > MAX_KINDS]:
        return f"has more than {MAX_KINDS} {many[0]}"
    if len(results.sizes) * len(results.arms) * max(structures, 1) > MAX_BOXES:
        return f"has more than {MAX_BOXES:,} structures of all its sizes and arms"
    if max(len(results.cells), len(results.seeds) * folds * len(results.arms)) > MAX_CELLS:
        return f"plans more than {MAX_CELLS:,} cells"
    return ""


def load_plots(folder: Path) -> list[PlotRow]:
    """The task's own curves of a run's folder; none where it has none."""
    path = folder / PLOTS
    if not path.is_file():
        return []
    plots = _json(path, PlotFile, tokens=4 * TOKENS).plots
    if len(plots) > MAX_FIGURES:
        raise InputError(f"{path} has {len(plots):,} drawings; at most {MAX_FIGURES} are drawn")
    if odd := [one.title for one in plots for x, y in one.curves.values() if len(x) != len(y)]:
        raise InputError(f"{path}: the drawing {odd[0][:80]!r} has a curve whose x and y are not as many")
    return plots


def load_index(folder: Path, model: type[Model]) -> Model:
    """The index of the films of a run's folder."""
    return _json(folder / FILMS / "index.json", model)


def _json(path: Path, model: type[Model], schema: int | None = None, tokens: int = TOKENS) -> Model:
    try:
        require_plain(path)
        check_json_file(path, model, tokens)
        return read_json(path, model, schema)
    except TooMuch as error:
        raise InputError(f"{path} {error}; `cxrbench run` writes it again") from None
    except (StoreError, OSError) as error:
        raise InputError(str(error)) from None


def load_scores(folder: Path) -> pd.DataFrame:
    """The case scores of a run's folder in long form (`scores.COLUMNS`)."""
    require_run(folder)
    return _read(folder / SCORES, COLUMNS)


def load_curves(folder: Path) -> pd.DataFrame:
    """The training curves of a run's folder in long form (`CURVE_COLUMNS`)."""
    require_run(folder)
    found = _read(folder / CURVES, CURVE_COLUMNS)
    figures = len(found[["owner", "size", "arm", "curve"]].drop_duplicates())
    lines = len(found[["owner", "size", "arm", "curve", "seed", "fold", "loss"]].drop_duplicates())
    if figures > MAX_FIGURES or lines > MAX_LINES:
        words = f"{figures:,} drawings of {lines:,} lines; at most {MAX_FIGURES} of {MAX_LINES:,} are drawn"
        raise InputError(f"{folder / CURVES} has {words}")
    return found


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table with those columns. What it takes to read follows from the bytes of the file, whatever it says of itself."""
    import pyarrow.parquet as pq

    again = "`cxrbench run` writes it again"
    try:
        require_plain(path)
        size = path.stat().st_size
        with memory(READING_BYTES + 32 * size), pq.ParquetFile(path) as source:
            groups = [source.metadata.row_group(row) for row in range(source.num_row_groups)]
            unpacked = sum(group.total_byte_size for group in groups)
            if sum(group.num_rows for group in groups) > MAX_ROWS + size or unpacked > READING_BYTES + 32 * size:
                raise InputError(f"{path} says that it holds far more than its {size:,} bytes do; {again}")
            if wrong := _wrong_columns(source, columns):
                raise InputError(f"{path} {wrong}; {again}")
            found: pd.DataFrame = source.read(use_threads=False).to_pandas(ignore_metadata=True)
            return found
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path} takes far more memory than its bytes; {again}") from None
    except Exception as error:  # a damaged file can raise anything that Arrow knows
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"{path}: not readable ({reason}); {again}") from None


def _wrong_columns(source: pq.ParquetFile, columns: Sequence[str]) -> str:
    """What is wrong with the columns of a table, texts but for numbers; empty where nothing. Without rows they have none."""
    import pyarrow as pa

    schema = source.schema_arrow
    if sorted(schema.names) != sorted(columns):
        return f"has the columns {', '.join(schema.names)[:200]}; expected {', '.join(columns)}"
    for name in columns if source.metadata.num_rows else ():
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
        if not (numbers if name in NUMBERS else texts):
            return f"has the column {name} as {kind}; expected {'numbers' if name in NUMBERS else 'texts'}"
    return ""
