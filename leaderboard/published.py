"""The papers' printed numbers: the tables in `published/`, cell by cell as printed, and what they mean on our boards.

They are shown as rows of their own, marked as published, and never ranked: one training each, no seeds, other code. Where
a system of theirs was reproduced, its printed number stands beside ours with the difference - on the data and protocol
that the number is of, never beside numbers of phantoms.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ..benchmark.contracts.task import ArmName
from ..benchmark.metrics.scores import AVERAGE

REAL, SYNTHETIC, MIXED, FINETUNE = (arm.value for arm in ArmName)


@dataclass(frozen=True)
class Paper:
    """Where a table is from."""

    name: str
    citation: str


PAPERS = {
    "ciano": Paper(
        "Ciano et al. 2021",
        "G. Ciano, P. Andreini, T. Mazzierli, M. Bianchini, F. Scarselli: A Multi-Stage GAN for Multi-Organ Chest X-ray "
        "Image Generation and Segmentation. Mathematics 9 (22), 2021.",
    ),
    "neff": Paper(
        "Neff et al. 2017",
        "T. Neff, C. Payer, D. Štern, M. Urschler: Generative Adversarial Network based Synthesis for Supervised Medical "
        "Image Segmentation. OAGM & ARW Joint Workshop, 2017.",
    ),
    "xing": Paper(
        "Xing et al. 2019",
        "Y. Xing, Z. Ge, R. Zeng, D. Mahapatra, J. Seah, M. Law, T. Drummond: Adversarial Pulmonary Pathology Translation "
        "for Pairwise Chest X-ray Data Augmentation. MICCAI, 2019.",
    ),
    "sdfn": Paper(
        "Liu et al. 2019",
        "H. Liu, L. Wang, Y. Nan, F. Jin, J. Pu: SDFN: Segmentation-based Deep Fusion Network for Thoracic Disease "
        "Classification in Chest X-ray Images. Computerized Medical Imaging and Graphics, 2019.",
    ),
    "kumar": Paper(
        "Kumar and Triana Martinez",
        "A. Kumar, J. P. Triana Martinez: Generating Synthetic Chest X-Rays with generative modeling. Stanford "
        "University, course report.",
    ),
}


@dataclass(frozen=True)
class Table:
    """A printed table: headings and rows of text, exactly as printed."""

    name: str
    paper: Paper
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, heading: str) -> list[str]:
        """One column, top down."""
        place = self.headings.index(heading)
        return [row[place] for row in self.rows]

    def is_text(self, heading: str) -> bool:
        """Whether a column holds words instead of numbers."""
        return not any(text[:1].isdigit() for text in self.column(heading))

    def records(self) -> list[dict[str, str]]:
        """Its rows by heading."""
        return [dict(zip(self.headings, row, strict=True)) for row in self.rows]


TITLES = {
    "ciano_table1": "Segmentation with the full training set, per cent",
    "ciano_table2": "Segmentation with the tiny training set, per cent",
    "ciano_table3": "Segmentation methods of the literature, per cent",
    "neff_table1": "Lung segmentation with the full training set",
    "neff_table2": "Lung segmentation with the reduced training set",
    "sdfn_table1": "AUC on the NIH benchmark split (models trained on real films)",
    "xing_table1": "Films that radiologists R1 and R2 took for real, of 25 a pathology",
    "xing_table2": "Disease localisation, CL@0.1",
    "kumar_table1": "Films of each condition",
    "kumar_table2": "Decoder 1",
    "kumar_table3": "Decoder 2",
    "kumar_table4": "Versions of the GMVAE",
    "kumar_table5": "Parameters and training time",
}


@cache
def tables() -> dict[str, Table]:
    """All printed tables, by name."""
    folder = resources.files(__package__) / "published"
    found = {}
    for name, title in TITLES.items():
        rows = list(csv.reader((folder / f"{name}.csv").read_text(encoding="utf-8").splitlines()))
        paper = PAPERS[name.partition("_")[0]]
        found[name] = Table(name, paper, title, tuple(rows[0]), tuple(map(tuple, rows[1:])))
    return found


# ------------------------------------------------------------------------------------------------- on our boards


@dataclass(frozen=True)
class Published:
    """One printed number on one of our protocols, in the task's units (a percentage as a fraction).

    `system` is the provider's name here, or the downstream method's where the paper compares those (then REAL).
    """

    paper: Paper
    table: str
    task: str
    data: str
    size: str
    arm: str
    system: str
    metric: str
    structure: str
    value: float
    printed: str


DATA = {
    "scr_official": "jsrt_scr",
    "scr_3fold": "jsrt_scr",
    "nih_classification": "nih_cxr14",
    "nih_localisation": "nih_cxr14",
}
"""The dataset (as `cxrbench data import` names it) that a task's printed numbers are of."""


@cache
def published() -> tuple[Published, ...]:
    """Every printed number that belongs on a board."""
    return tuple([*_ciano(), *_neff(), *_sdfn(), *_xing()])


def on_board(task: str, data: str) -> list[Published]:
    """The printed numbers of a task on a dataset; none where the films are others (phantoms, or a set of one's own)."""
    return [one for one in published() if (one.task, one.data) == (task, data)]


def _make(
    table: str, task: str, size: str, arm: str, system: str, metric: str, structure: str, printed: str, scale: float = 1
) -> Published:
    value = float(printed) / scale
    paper = tables()[table].paper
    return Published(paper, table, task, DATA[task], size, arm, system, metric, structure, value, printed)


def _ciano() -> Iterator[Published]:
    """Columns `real`, then `<stages>_synth<n>` and `<stages>_finetune` of each system."""
    systems = ("single_stage", "two_stage", "three_stage")
    for table, size in (("ciano_table1", "full"), ("ciano_table2", "tiny")):
        for row in tables()[table].records():
            structure = _structure(row["structure"])
            columns = [("real", REAL, "REAL")]
            columns += [(f"{name}_synth{n}", SYNTHETIC, name) for n, name in enumerate(systems, 1)]
            columns += [(f"{name}_finetune", FINETUNE, name) for name in systems]
            for heading, arm, system in columns:
                metric = row["metric"].lower()
                yield _make(table, "scr_official", size, arm, system, metric, structure, row[heading], 100)


def _neff() -> Iterator[Published]:
    for table, size in (("neff_table1", "full"), ("neff_table2", "reduced")):
        for row in tables()[table].records():
            real, synthetic = int(row["n_real"]), int(row["n_synthetic"])
            arm = REAL if not synthetic else MIXED if real else SYNTHETIC
            system = "dcgan_pair" if synthetic else "REAL"
            for metric in ("dice", "hausdorff"):
                yield _make(table, "scr_3fold", size, arm, system, metric, AVERAGE, row[f"{metric}_mean"])


def _sdfn() -> Iterator[Published]:
    table = tables()["sdfn_table1"]
    for row in table.records():
        for system in table.headings[1:]:
            structure = _structure(row["pathology"])
            yield _make("sdfn_table1", "nih_classification", "full", REAL, system, "auc", structure, row[system])


def _xing() -> Iterator[Published]:
    """The longest training, 15k steps, of each column."""
    columns = [("ori_15k", REAL, "REAL"), ("ori_pix2pix_15k", MIXED, "pix2pix")]
    columns.append(("ori_pix2pix_n_15k", MIXED, "pix2pix_n"))
    for row in tables()["xing_table2"].records():
        for heading, arm, system in columns:
            structure = _structure(row["pathology"])
            yield _make("xing_table2", "nih_localisation", "full", arm, system, "cl", structure, row[heading])


def _structure(printed: str) -> str:
    """A printed row's name as ours: `Left Lung` is left_lung, `Pleural Thickening` is Pleural_Thickening."""
    if printed in ("Average", "Mean", "Total"):
        return AVERAGE
    name = printed.replace(" ", "_")
    return name.lower() if printed in ("Left Lung", "Right Lung", "Heart") else name
