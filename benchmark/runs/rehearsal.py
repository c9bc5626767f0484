"""What every step does for the first time in its process, done once in the server that forks the processes.

Tables and files of a few rows: pandas and pyarrow take longer over the first of a kind than over all that a small cell has.
Nothing is kept of it, and nothing is drawn at random. No thread is begun: a server forks while it has one (`fork_server`).
"""

from __future__ import annotations

import io
import platform
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from ..data.dataset import Dataset, DatasetInfo
from ..device import device_name

CASES = 4


def rehearse() -> None:
    """Make, select from, write, read and average small tables and arrays. Whatever fails here, a step will say."""
    with suppress(Exception):
        _films()
        _tables()
        platform.platform()
        device_name("cpu")


def _films() -> None:
    names = [f"case {number}" for number in range(CASES)]
    cases = pd.DataFrame({"id": names, "patient": names, "split": ["train", "test"] * (CASES // 2)})
    cases["source_ids"] = [[name] for name in names]
    masks = np.zeros((CASES, 4, 4), np.uint8)
    info = DatasetInfo(name="rehearsal", resolution=4, organs=("left_lung",))
    films = Dataset(info=info, images=masks.copy(), cases=cases, masks=masks)
    films.select(np.flatnonzero((films.cases["split"] == "train").to_numpy())).organ_masks(("left_lung",))
    _read(_written(cases))
    with io.BytesIO() as file:
        np.savez_compressed(file, ids=np.array(names, dtype=np.str_), masks=masks)
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            arrays["masks"].sum()


def _tables() -> None:
    rows = [
        {"case": f"case {number}", "structure": place, "metric": "dsc", "value": float(number)}
        for number in range(CASES)
        for place in ("left_lung", "right_lung")
    ]
    scores = _read(_written(pd.DataFrame(rows)))
    table: Any = scores.groupby(["metric", "structure"], as_index=False, sort=False)["value"].mean()
    scores.groupby(["metric", "structure"], as_index=False)["value"].mean()
    average = {"metric": "dsc", "structure": "average", "value": table["value"].mean()}
    pd.concat([table, pd.DataFrame([average])], ignore_index=True).to_dict("records")


def _written(table: pd.DataFrame) -> bytes:
    with io.BytesIO() as file:
        table.to_parquet(file, index=False)
        return file.getvalue()


def _read(content: bytes) -> pd.DataFrame:
    """As pandas reads a file, but for the threads that pyarrow begins."""
    import pyarrow.dataset
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(io.BytesIO(content), pre_buffer=False) as file:
        table = file.read(use_threads=False)
    pyarrow.dataset.dataset(table).to_table(use_threads=False)
    found: pd.DataFrame = table.to_pandas(use_threads=False)
    return found
