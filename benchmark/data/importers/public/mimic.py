"""MIMIC-CXR-JPG 2.0.0 and 2.1.0 (Johnson et al. 2019, PhysioNet): 377,110 films of 65,379 patients.

`mimic-cxr-2.0.0-split.csv.gz` (368,960 films train, 2,991 validate, 5,159 test), `-metadata.csv.gz` with the views, and the
labels of a study by CheXpert's or NegBio's labeller: 1, 0, -1 (uncertain), blank (not mentioned). Films are
`files/p10/p10000032/s50414267/<dicom_id>.jpg`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ....errors import InputError, unknown
from ...reading.tables import Table
from .files import Finder, table_of
from .listing import Count, Listing, PublicFilm, PublicOptions

PARTS = {"train": 368_960, "validate": 2_991, "test": 5_159}
LABELLERS = ("chexpert", "negbio")
_KEYS = ("subject_id", "study_id")
_FRONTAL = {"pa", "ap", "postero-anterior", "antero-posterior"}


def read(source: Path, options: PublicOptions) -> Listing:
    """The films of the official split with the labels of their study."""
    labeller = options.labels or LABELLERS[0]
    if labeller not in LABELLERS:
        raise unknown("--labels", labeller, LABELLERS)
    split = _table(source, "split", ("dicom_id", *_KEYS, "split"))
    metadata = _table(source, "metadata", ("dicom_id", "ViewPosition"))
    labels = _table(source, labeller, _KEYS)
    names = tuple(name for name in labels.header if name not in _KEYS)
    of_study, of_film = _by(labels, "study_id"), _by(metadata, "dicom_id")
    blank = dict.fromkeys(names, "")
    finder = Finder([split.path.parent, source])
    films = []
    for row, values in enumerate(split.rows):
        about = of_film.get(values["dicom_id"])
        if about is None:
            where = f"{split.places([row])} of {split.path}"
            raise InputError(f"mimic: {where}: {values['dicom_id']} is not in {metadata.path.name}")
        patient, study, film = values["subject_id"], values["study_id"], values["dicom_id"]
        view = about["ViewPosition"] or about.get("ViewCodeSequence_CodeMeaning", "")
        films.append(
            PublicFilm(
                id=film,
                path=finder.find(f"files/p{patient[:2]}/p{patient}/s{study}/{film}.jpg"),
                patient=patient,
                labels=of_study.get(study, blank),
                split=values["split"],
                view=view,
                frontal=view.lower() in _FRONTAL if view else None,
                columns={"study": study, "view": view},
            )
        )
    counts = [
        Count(f"films of the split {part}", sum(film.split == part for film in films), (number,))
        for part, number in PARTS.items()
    ]
    return Listing(
        films=films,
        labels=names,
        counts=counts,
        provenance=f"MIMIC-CXR-JPG, labels by {labeller}; PhysioNet, https://physionet.org/content/mimic-cxr-jpg",
        says_views=True,
        remarks=(f"labels by {labeller}: a film has those of its study",),
    )


def _table(source: Path, what: str, needed: tuple[str, ...]) -> Table:
    names = tuple(f"mimic-cxr-{version}-{what}.csv" for version in ("2.0.0", "2.1.0"))
    return table_of("mimic", source, names, needed)


def _by(table: Table, key: str) -> dict[str, Mapping[str, str]]:
    """Its rows by a column. InputError for two rows of one that differ."""
    found: dict[str, Mapping[str, str]] = {}
    for row, values in enumerate(table.rows):
        if found.setdefault(values[key], values) != values:
            raise InputError(f"mimic: {table.places([row])} of {table.path}: another row of {key} {values[key]}")
    return found
