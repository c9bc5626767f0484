"""CheXpert and CheXpert-small (Irvin et al., AAAI 2019): 223,414 films of 64,540 patients train, 234 validate.

`train.csv` and `valid.csv` with Path, Frontal/Lateral, AP/PA and 14 columns of 1, 0, -1 (uncertain) and blank (not
mentioned); where they are there, the 668 films of the test set (`test.csv` or `test_labels.csv`, released 2022). The
full-size set also comes in folders "CheXpert-v1.0 batch 2 (train 1)" with the patients in them.
"""

from __future__ import annotations

import re
from pathlib import Path

from ....errors import InputError
from ...reading.tables import Table
from .files import Finder, checked_table, find_file, folders, table_of
from .listing import Count, Listing, PublicFilm, PublicOptions

TRAIN, VALID, TEST = 223_414, 234, 668
"""Films of each table."""
LABELS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
_PATIENT = re.compile(r"patient\d+")
_TEST = ("test.csv", "test_labels.csv")


def read(source: Path, options: PublicOptions) -> Listing:
    """The films of `train.csv`, `valid.csv` and, where there is one, the test table."""
    needed = ("Path", "Frontal/Lateral", *LABELS)
    tables = {"train": table_of("chexpert", source, ("train.csv",), needed)}
    official = {"train": TRAIN, "valid": VALID}
    if not options.allow_partial or find_file(source, ("valid.csv",)):
        tables["valid"] = table_of("chexpert", source, ("valid.csv",), needed)
    test = find_file(source, _TEST)
    if test is not None:
        official["test"] = TEST
        tables["test"] = checked_table("chexpert", test, ("Path", *LABELS))
    roots = [table.path.parent for table in tables.values()]
    finder = Finder([*roots, source, source.parent, *(one for one in folders(source) if "batch" in one.name)])
    films = [film for part, table in tables.items() for film in _films(table, part, finder)]
    return Listing(
        films=films,
        labels=LABELS,
        counts=[
            Count(f"films of the {part} table", len(tables[part].rows) if part in tables else 0, (number,))
            for part, number in official.items()
        ],
        provenance="CheXpert (Irvin et al. 2019), Stanford AIMI, https://aimi.stanford.edu",
        says_views=True,
    )


def _films(table: Table, part: str, finder: Finder) -> list[PublicFilm]:
    films = []
    for row, values in enumerate(table.rows):
        path = values["Path"].replace("\\", "/")
        patient = _PATIENT.search(path)
        if patient is None:
            raise InputError(f"chexpert: {table.places([row])} of {table.path}: no patient in the path '{path}'")
        below = path[patient.start() :]  # patient00001/study1/view1_frontal.jpg
        view = values.get("Frontal/Lateral") or ("Lateral" if "lateral" in below else "Frontal")
        position = values.get("AP/PA", "")
        columns = {ours: values[theirs] for ours, theirs in (("sex", "Sex"), ("age", "Age")) if theirs in values}
        films.append(
            PublicFilm(
                id=below.rpartition(".")[0].replace("/", "_"),
                path=finder.find(path.partition("/")[2], path, f"{part}/{below}", below),
                patient=patient[0],
                labels=values,
                split=part,
                view=position if view == "Frontal" and position else view,
                frontal=view == "Frontal",
                columns={"view": position or view, **columns},
            )
        )
    return films
