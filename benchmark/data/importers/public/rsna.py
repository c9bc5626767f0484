"""RSNA pneumonia detection challenge 2018 (Shih et al., Radiology: AI 2019): 26,684 films, 6,012 with boxes of opacities.

`stage_2_train_labels.csv` (patientId, x, y, width, height, Target), `stage_2_detailed_class_info.csv` and the DICOM files
below `stage_2_train_images`. Boxes are in pixels of films of 1,024. The films are of NIH ChestX-ray14, but `patientId` names
a film: who is on it is known with `pneumonia-challenge-dataset-mappings_2018.json` alone. No official split.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from ....errors import InputError
from ... import splits
from ...reading.tables import is_blank
from .files import checked_table, films_below, find_file, folder_of, table_of
from .listing import Count, Listing, PublicBox, PublicFilm, PublicOptions

FILMS, POSITIVE = 26_684, 6_012
FINDING = "Pneumonia"
SIDE = 1024
_BOX = ("x", "y", "width", "height")
_MAPPINGS = "pneumonia-challenge-dataset-mappings_2018.json"


def read(source: Path, options: PublicOptions) -> Listing:
    """The films of the training table; the challenge's test films have no labels."""
    table = table_of("rsna", source, ("stage_2_train_labels.csv",), ("patientId", *_BOX, "Target"))
    images = folder_of("rsna", source, ("stage_2_train_images",))
    files = films_below("rsna", [images])
    classes = _classes(source)
    people = _people(source)
    targets: dict[str, str] = {}
    boxes: defaultdict[str, list[PublicBox]] = defaultdict(list)
    for row, values in enumerate(table.rows):
        film, target = values["patientId"], values["Target"].removesuffix(".0")
        where = f"rsna: {table.places([row])} of {table.path}"
        if target not in ("0", "1") or targets.setdefault(film, target) != target:
            raise InputError(f"{where}: Target of {film} must be 0 or 1, and one for a film")
        if (target == "1") == is_blank(values["x"]):
            raise InputError(f"{where}: {film} has Target {target} and {'no' if target == '1' else 'a'} box")
        if target == "1":
            try:
                x, y, w, h = (float(values[name]) for name in _BOX)
            except ValueError:
                raise InputError(f"{where}: x, y, width, height must be numbers") from None
            boxes[film].append(PublicBox(FINDING, x, y, w, h, (SIDE, SIDE)))
    films = [
        PublicFilm(
            id=film,
            path=files.get(film, images / f"{film}.dcm"),
            patient=people.get(film, film),
            labels={FINDING: target},
            boxes=boxes[film],
            columns={"class": classes[film]} if film in classes else {},
        )
        for film, target in targets.items()
    ]
    positive = sum(target == "1" for target in targets.values())
    remarks = ["Pneumonia is an opacity that readers boxed as possible pneumonia (Target 1)"]
    unnamed = sum(film not in people for film in targets)
    if unnamed:
        remarks.append(
            f"patientId names a film: {unnamed:,} films count as a person each, though NIH's patients have several; with "
            f"{_MAPPINGS} of the RSNA beside the tables they have NIH's patients"
        )
    return Listing(
        films=films,
        labels=(FINDING,),
        counts=[Count("films", len(films), (FILMS,)), Count("films with boxes", positive, (POSITIVE,))],
        provenance="RSNA pneumonia detection challenge 2018 (Shih et al. 2019), https://www.rsna.org",
        with_boxes=True,
        remarks=remarks,
    )


def _classes(source: Path) -> dict[str, str]:
    """Normal, Lung Opacity, or No Lung Opacity / Not Normal by film."""
    path = find_file(source, ("stage_2_detailed_class_info.csv",))
    if path is None:
        return {}
    return {row["patientId"]: row["class"] for row in checked_table("rsna", path, ("patientId", "class")).rows}


def _people(source: Path) -> dict[str, str]:
    """NIH's patient by film, where the RSNA's list of films is there."""
    path = find_file(source, (_MAPPINGS,))
    if path is None:
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {row["subset_img_id"]: splits.nih_patient(row["img_id"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"rsna: {path} is not a list with subset_img_id and img_id ({error!r})") from None
