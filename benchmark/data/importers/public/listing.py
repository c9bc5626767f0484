"""What the reader of a public set hands over: its films as the tables say, before any of them is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class PublicOptions:
    """What the user of a public set may decide."""

    uncertain: str | None = None
    """What a finding of -1 is: "zeros", "ones", or "ignore" (the film is left out). A blank one is 0."""
    views: str = "frontal"
    """"frontal": PA and AP alone; "all"."""
    findings: Sequence[str] = ()
    """Those to keep, by the set's name or the official one; all by default."""
    labels: str | None = None
    """MIMIC-CXR-JPG: whose labels, "chexpert" or "negbio"."""
    readers: str = "majority"
    """Several readers of one film: a finding is there where "majority", "any" or "all" of them say so."""
    masks: bool = True
    """Read the masks, and take the films alone that have one."""
    split: str | None = None
    """"patients:0.5": half of the patients, drawn by seed, train."""
    fold: str | None = None
    """"patients:3": three folds of patients, drawn by seed."""
    split_values: Mapping[str, str] = field(default_factory=dict)
    """What words of the official split are to mean: {"val": "test"}."""
    seed: int = 0
    allow_partial: bool = False
    """Take the films that are there, and tables of any length."""


@dataclass(frozen=True)
class PublicBox:
    """A box in pixels of a film of `size` (height, width), or of the film's file where it is None; x, y: upper left."""

    finding: str
    x: float
    y: float
    w: float
    h: float
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class PublicFilm:
    """One film as the tables say. labels: "1", "0", "-1" (uncertain) or blank (not mentioned) by the set's name; of a
    name that is not there 0. view: in the set's word; frontal: None where the tables do not say. mask_files: organ
    to file. masks: where there are no files, bit flags uint8 (H, W), bit i is organ i, of the film's shape in any size.
    """

    id: str
    path: Path
    patient: str
    labels: Mapping[str, str]
    split: str | None = None
    view: str = ""
    frontal: bool | None = None
    boxes: Sequence[PublicBox] = ()
    masks: Callable[[], np.ndarray] | None = None
    mask_files: Mapping[str, Path] = field(default_factory=dict)
    columns: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Count:
    """How many of something there are, and how many there are officially (any of the numbers)."""

    what: str
    found: int
    official: Sequence[int]


@dataclass(frozen=True)
class Listing:
    """All films of a set. labels: the set's names of findings, in order, "No Finding" among them where there is such a
    column. says_views: the tables name the view, so that a film without one is not known to be frontal. provenance: set
    and owner in a line.
    """

    films: Sequence[PublicFilm]
    labels: Sequence[str]
    counts: Sequence[Count]
    provenance: str
    organs: tuple[str, ...] = ()
    says_views: bool = False
    with_boxes: bool = False
    remarks: Sequence[str] = ()
