"""The folder of a finished run: its files by name, and how they are read (`output` writes them).

Files are written whole, `results.json` last: a folder that has one is whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, StoreError
from ..files import write_bytes
from ..schema import Strict, read_json
from .rows import SCHEMA, Results

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "results.json"
REPORT = "report.html"
SCORES = "tables/scores.parquet"
CURVES = "tables/curves.parquet"
FILMS = "figures/films"
PLOTS = "tables/plots.json"
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
        raise InputError(f"{folder}: no {RESULTS} here; expected the folder of a finished `cxrbench run`")
    try:
        return read_json(path, Results, SCHEMA)
    except StoreError as error:
        raise InputError(str(error)) from None


def load_scores(folder: Path) -> pd.DataFrame:
    """The case scores of a run's folder in long form (`pairing.COLUMNS`)."""
    return _read(folder / SCORES)


def load_curves(folder: Path) -> pd.DataFrame:
    """The training curves of a run's folder in long form (`CURVE_COLUMNS`)."""
    return _read(folder / CURVES)


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not readable ({reason}); `cxrbench run` writes it again") from None
