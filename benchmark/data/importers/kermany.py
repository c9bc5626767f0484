"""Kermany's paediatric chest films with V7's lung masks: 247 real films that may be shared (both CC BY 4.0).

The films are 247 of Kermany, Zhang and Goldbaum 2018 (doi:10.17632/rscbjbr9sj.2), the masks those of V7 Labs and
CloudFactory (github.com/v7labs/covid-19-xray-dataset), drawn by hand. The folder has `metadata.csv` (stem, person, split,
fold), `images/<stem>.png` and `masks/<stem>.png` (0 background, 1 left lung, 2 right lung, with the part behind the heart).
Its splits share no child and have JSRT's counts, so that both segmentation protocols run on real films.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...errors import InputError
from ...progress import Progress
from ..dataset import Dataset
from ..splits import split_digest
from .manifest import ManifestOptions, import_manifest

NAME = "kermany_lungs"
FILMS = 247
SPLITS = {
    "split": "de8c8e4e2aacb74507fcfd2f1d6e0a4c11a1bb61f09cac41d2833ce639ac992c",
    "fold": "8652c0817d008c3b680ff99d9ff4d5250343627180c8354e082f0bd4dff1b48d",
}
"""The `split_digest` of both columns."""
PROVENANCE = (
    "Kermany et al. 2018 (doi:10.17632/rscbjbr9sj.2), lung masks by V7 Labs and CloudFactory; "
    "both CC BY 4.0; paediatric"
)
OPTIONS = ManifestOptions(
    columns={"id": "stem", "patient": "person"},
    path="images/{stem}.png",
    masks=("masks/{stem}.png",),
    organs={"left_lung": 1, "right_lung": 2},
)


def import_kermany(
    source: Path, resolution: int = 256, *, name: str = NAME, progress: Progress | None = None
) -> Dataset:
    """The films of the folder `source` at `resolution` pixels (16 to 4096).

    InputError, and nothing imported, where a file is missing or the films or splits are not the 247's.
    """
    table = source / "metadata.csv"
    if not table.is_file():
        raise InputError(
            f"kermany-lungs: {source} has no metadata.csv; expected the folder with metadata.csv, images/ and masks/"
        )
    films = import_manifest(table, resolution, name=name, options=OPTIONS, progress=progress)
    if len(films) != FILMS:
        raise InputError(f"kermany-lungs: {table} names {len(films)} films, expected {FILMS}")
    for column, expected in SPLITS.items():
        if column not in films.cases or split_digest(films.ids, list(films.cases[column])) != expected:
            raise InputError(f"kermany-lungs: the column '{column}' of {table} is not the published one")
    return replace(films, info=films.info.changed(provenance=PROVENANCE))
