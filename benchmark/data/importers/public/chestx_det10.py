"""ChestX-Det10 (Liu, Lian and Yu 2020, arXiv 2006.10550): 3,543 films of NIH ChestX-ray14 with boxes of ten findings.

`train.json` and `test.json`: a list of file_name, syms (findings) and boxes (left, top, right, bottom in pixels of films of
1,024), the films below `train_data` and `test_data`, or anywhere below. Where files have NIH's names the patient is NIH's.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ....errors import InputError
from ... import splits
from .files import films_below, find_file, optional_folder, what_is_in
from .listing import Count, Listing, PublicBox, PublicFilm, PublicOptions

FILMS = {"train": 3_001, "test": 542}
LABELS = (
    "Atelectasis",
    "Calcification",
    "Consolidation",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Fracture",
    "Mass",
    "Nodule",
    "Pneumothorax",
)
SIDE = 1024
_NIH = re.compile(r"\d{8}_\d{3}")


def read(source: Path, options: PublicOptions) -> Listing:
    """The films of both lists; one without a finding has none of the ten."""
    films: list[PublicFilm] = []
    counts = []
    for part, number in FILMS.items():
        path = find_file(source, (f"{part}.json",))
        if path is None and options.allow_partial:
            counts.append(Count(f"films in {part}.json", 0, (number,)))
            continue
        if path is None:
            raise InputError(
                f"chestx-det10: no {part}.json in {source} or right below it; it comes with the boxes; {what_is_in(source)}"
            )
        folder = optional_folder(source, (f"{part}_data", part)) or source
        files = films_below("chestx-det10", [folder])
        entries = _entries(path)
        counts.append(Count(f"films in {path.name}", len(entries), (number,)))
        films += [_film(path, entry, part, files, folder) for entry in entries]
    unnamed = sum(film.patient == film.id for film in films)
    remark = (
        f"{unnamed:,} files without NIH's names: who is on them is not said, and each counts as a person of its own"
    )
    return Listing(
        films=films,
        labels=LABELS,
        counts=counts,
        provenance="ChestX-Det10 (Liu et al. 2020), https://github.com/Deepwise-AILab/ChestX-Det10-Dataset",
        with_boxes=True,
        remarks=[remark] if unnamed else [],
    )


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"chestx-det10: {path} cannot be read as JSON ({error})") from None
    if not isinstance(entries, list):
        raise InputError(f"chestx-det10: {path} must hold a list of films")
    return entries


def _film(path: Path, entry: dict[str, Any], part: str, files: dict[str, Path], folder: Path) -> PublicFilm:
    try:
        name, found = str(entry["file_name"]), list(entry["syms"])
        corners = [[float(value) for value in box] for box in entry["boxes"]]
        boxes = [
            PublicBox(sym, left, top, right - left, bottom - top, (SIDE, SIDE))
            for sym, (left, top, right, bottom) in zip(found, corners, strict=True)
        ]
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"chestx-det10: {path}: expected file_name, syms and as many boxes of four numbers, found {str(entry)[:80]}"
        ) from None
    strange = next((sym for sym in found if sym not in LABELS), None)
    if strange is not None:
        raise InputError(f"chestx-det10: {path}: {name} has '{strange}', which is none of {', '.join(LABELS)}")
    film = Path(name).stem
    return PublicFilm(
        id=film,
        path=files.get(film, folder / name),
        patient=splits.nih_patient(film) if _NIH.fullmatch(film) else film,
        labels=dict.fromkeys(found, "1"),
        split=part,
        boxes=boxes,
    )
