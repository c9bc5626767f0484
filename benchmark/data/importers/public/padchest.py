"""PadChest (Bustos et al., Medical Image Analysis 2020, arXiv 1901.07441): more than 160,000 films of 67,625 patients.

`PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv` (or another of its name) with ImageID, ImageDir, PatientID, Projection
and Labels, a list of the set's 174 names. Films are png of 16 bits, below a folder of the number ImageDir or all in one.
What the set's tree of names has below one of the 14 findings of NIH ChestX-ray14 is that finding (`KINDS`). No official
split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ....errors import InputError
from ...finding_lists import split_lists
from ...findings import FINDINGS, NO_FINDING, known_finding, word_key
from ...parts import films_in_words
from ...reading.tables import is_blank
from .files import Finder, checked_table, folders, what_is_in
from .listing import Count, Listing, PublicFilm, PublicOptions

FILMS = (160_868, 160_861)
"""Films by the paper, and in the table of 2019."""
_TREE: dict[tuple[str, ...], tuple[str, ...]] = {
    ("Atelectasis",): (
        *("total atelectasis", "lobar atelectasis", "segmental atelectasis", "laminar atelectasis"),
        *("round atelectasis", "atelectasis basal"),
    ),
    ("Effusion",): ("loculated pleural effusion", "loculated fissural effusion", "empyema", "hemothorax"),
    ("Effusion", "Pneumothorax"): ("hydropneumothorax",),
    ("Infiltration",): (
        *("interstitial pattern", "ground glass pattern", "reticular interstitial pattern", "miliary opacities"),
        *("reticulonodular interstitial pattern", "alveolar pattern", "air bronchogram"),
    ),
    ("Consolidation", "Infiltration"): ("consolidation",),
    ("Nodule",): ("multiple nodules",),
    ("Pneumonia",): ("atypical pneumonia", "viral pneumonia", "covid 19"),
    ("Fibrosis",): ("post radiotherapy changes", "asbestosis signs"),
    ("Pleural_Thickening",): ("apical pleural thickening", "calcified pleural thickening"),
}
"""Findings to the names below them in the set's own tree. Masses of the breast, the pleura, the mediastinum and of soft
tissue are below `mass` too, but are no mass of the lung, and are left as they are."""
KINDS = {name: findings for findings, names in _TREE.items() for name in names}
"""The set's names of kinds of a finding, in small letters, to that finding."""
_TABLES = "PADCHEST_chest_x_ray_images_labels*.csv*"
_FRONTAL = ("PA", "AP", "AP_horizontal")
_NO_LABEL = ("exclude", "unchanged")  # what the set writes where a report says nothing of the film


def read(source: Path, options: PublicOptions) -> Listing:
    """The films of the table; the 14 findings, or with `findings` any of the set's names."""
    path = next((path for folder in folders(source) for path in sorted(folder.glob(_TABLES))), None)
    if path is None:
        raise InputError(
            f"padchest: no {_TABLES} in {source} or right below it; it comes with the films; {what_is_in(source)}"
        )
    table = checked_table("padchest", path, ("ImageID", "PatientID", "Projection", "Labels"))
    finder = Finder([source, source / "images", path.parent])
    lists, _ = split_lists(table.column("Labels"))
    named = Counter(name for names in lists for name in names)
    asked = {word_key(name) for name in options.findings} - {word_key(name) for name in FINDINGS}
    own = [name for name in sorted(named) if word_key(name) in asked]
    films = []
    for row, (values, names) in enumerate(zip(table.rows, lists, strict=True)):
        if is_blank(values["PatientID"]):
            raise InputError(f"padchest: {table.places([row])} of {path} has no PatientID")
        folder, name = values.get("ImageDir", "").removesuffix(".0"), values["ImageID"]
        known = [one for one in names if one.lower() not in _NO_LABEL]
        there = dict.fromkeys([*_findings(known), *(one for one in known if one in own)], "1")
        view = "" if is_blank(values["Projection"]) else values["Projection"]
        films.append(
            PublicFilm(
                id=Path(name).stem,
                path=finder.find(f"{folder}/{name}" if folder else name, name),
                patient=values["PatientID"].removesuffix(".0"),
                labels=there if known else dict.fromkeys([NO_FINDING, *FINDINGS, *own], ""),
                view=view,
                frontal=view in _FRONTAL if view else None,
                columns={"view": view, "labelled_by": values.get("MethodLabel", "")},
            )
        )
    found = [name for name in FINDINGS if any(film.labels.get(name) for film in films)]
    return Listing(
        films=films,
        labels=[NO_FINDING, *found, *own],
        counts=[Count(f"films in {path.name}", len(films), FILMS)],
        provenance="PadChest (Bustos et al. 2020), BIMCV, https://bimcv.cipf.es/bimcv-projects/padchest",
        says_views=True,
        remarks=_said(named, own),
    )


def _findings(names: Iterable[str]) -> list[str]:
    """The findings (or `NO_FINDING`) that the set's names stand for."""
    found: list[str] = []
    for name in names:
        one = known_finding(name)
        found += KINDS.get(name.lower(), (one,) if one else ())
    return found


def _said(named: Counter[str], own: list[str]) -> list[str]:
    """Which names became which findings, and how many became none."""
    read_as = sorted(name for name in named if name.lower() in KINDS or (known_finding(name) not in (None, NO_FINDING)))
    remarks = [
        f"label '{name}' ({films_in_words(named[name])}) read as {' and '.join(_findings([name]))}" for name in read_as
    ]
    rest = [name for name in named if name not in read_as and known_finding(name) is None and name not in own]
    rest = [name for name in rest if name.lower() not in _NO_LABEL]
    if rest:
        most = ", ".join(sorted(rest, key=lambda name: (-named[name], name))[:5])
        remarks.append(f"{len(rest)} other labels not read (--findings 'scoliosis,...' takes them): {most}, ...")
    return remarks
