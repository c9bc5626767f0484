"""What a manifest's reader is told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FIELD = re.compile(r"\{([^{}]+)\}")
"""A column in a template: `{stem}`."""


@dataclass(frozen=True)
class ManifestOptions:
    """How a csv is to be read. Defaults suit a csv that already has the columns id, path, patient, split,
    mask, ...
    """

    root: Path | None = None
    """Folder that paths are relative to; the csv's own by default."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Our name of a column to the csv's: {"id": "stem"}."""
    path: str | None = None
    """Template of the film's path, such as "images/{stem}.png"; of a folder, how its films are called: each field is then a
    column, "scans/{patient}_{view}.png"."""
    masks: Sequence[str] = ()
    """Templates: one "masks/{stem}.png", or one an organ: "heart=masks/heart/{stem}.png". `{stem}` and `{name}` are the
    film's file without and with its ending, where no column is called so."""
    mask_values: str = "labels"
    """What a mask shared by all organs holds: "labels" (one value an organ) or "bits" (one bit an organ)."""
    organs: Mapping[str, int] = field(default_factory=dict)
    """Organ to its label value, or to its bit flag (1, 2, 4, ...)."""
    ignored: Sequence[int] = ()
    """Values or bit flags of a shared mask that are known and not wanted."""
    boxes: Path | None = None
    """A table id,finding,x,y,w,h in pixels of the original film (or corners, or centres: see `manifest_boxes`)."""
    box_columns: Mapping[str, str] = field(default_factory=dict)
    """Our name of a column of boxes to the table's: {"id": "image_id", "x_max": "right"}."""
    only: Sequence[str] = ()
    """Films to take: "COLUMN=VALUE", also "COLUMN=VALUE|OTHER", or "COLUMN:REGEX" (`path` for the film's path).
    "view=frontal": by a column of views and by DICOM headers; "view=any" takes what these call lateral, else refused."""
    id_from: str | None = None
    """Where the id is, if in no column: "path" (folders too), or "path:REGEX" or "COLUMN:REGEX", its groups joined."""
    patient_from: str | None = None
    """Where the patient is: "COLUMN", "path:REGEX", "COLUMN:REGEX", or "id" where every film is of another person."""
    uncertain: str | None = None
    """What -1 of a finding is: "zeros", "ones", or "ignore" (the film is left out). Nothing there is then 0."""
    split_values: Mapping[str, str] = field(default_factory=dict)
    """What further words of the column split mean: {"holdout": "test"}; "blank" is no word at all."""
    split: str | None = None
    """"patients:0.5": half of the patients, drawn by seed, train; "trained_on:FILE": those of whom the file names a film."""
    fold: str | None = None
    """"patients:3": three folds of patients, drawn by seed."""
    seed: int = 0
    white: float | None = None
    """The stored value that is white (default 255, or 65535 for 16 bit files); of 8 bit files 255 at most."""
    pixel_mm: float | None = None
    """Side of a pixel of the original files in mm, where the files do not say it."""
    keep: Sequence[str] = ()
    """Further columns to take over as they are."""
    allow_shared_patients: bool = False
