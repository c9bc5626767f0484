"""The tables of the pathology translation paper (Xing et al. 2019): what their rows mean, and how several runs make Table 2.

Its cells are the best of a window of checkpoints on the test set (`cl_window_<i>`), with boxes divided by annotation, and
are cut after three decimals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..benchmark.contracts.paper_table import PaperTable
from ..benchmark.contracts.task import ArmName, Printed, PublishedTable
from ..benchmark.data.sizes import FULL
from ..benchmark.metrics.scores import AVERAGE

TABLES = Path(__file__).with_name("published")
LONGEST = "cl_window_3"  # 15,000 steps
COLUMNS = (
    ("ori_15k", ArmName.REAL, "REAL"),
    ("ori_pix2pix_15k", ArmName.MIXED, "pix2pix"),
    ("ori_pix2pix_n_15k", ArmName.MIXED, "pix2pix_n"),
)


def printed(row: Mapping[str, str]) -> Iterator[Printed]:
    """A row of the paper's table 2: the longest training, 15k steps, of each column."""
    structure = AVERAGE if row["pathology"] == "Total" else row["pathology"].replace(" ", "_")
    for heading, arm, system in COLUMNS:
        yield Printed(arm, system, LONGEST, structure, row[heading])


PUBLISHED = (
    PublishedTable(TABLES / "xing_table1.csv"),
    PublishedTable(TABLES / "xing_table2.csv", FULL, printed),
)


def table_2(settings: Mapping[str, Any]) -> PaperTable:
    """Table 2 for the windows of a run's settings."""
    steps = settings["detector"]["windows"]
    return PaperTable(
        title="Disease localisation, CL@0.1, best checkpoint of each window on the test set",
        columns=tuple((f"cl_window_{number}", thousands(step)) for number, step in enumerate(steps, 1)),
        arms={ArmName.REAL: "Ori", ArmName.MIXED: "Ori + {provider}"},
        average="Total",
        cut=3,
        lack="these settings have no windows of checkpoints; presets standard and paper do, or task.detector.windows",
    )


def thousands(steps: int) -> str:
    """`15k`, `500`."""
    return f"{steps // 1000}k" if steps % 1000 == 0 else str(steps)
