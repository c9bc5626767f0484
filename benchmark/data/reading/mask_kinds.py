"""What the values of a set of masks mean: one rule for all its files, in words, or an error with the ways to say it.

A file an organ: 0 outside and one value inside, or greys near two ends, or probabilities. One file for all organs: labels
(a value an organ), bit flags (a bit an organ), or colours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np

from ...errors import InputError, unknown
from ..dataset import MAX_ORGANS
from .mask_files import MaskFile, Wanted, colour_words

KINDS = ("labels", "bits", "colours")
_SOFT = 16  # a set with more values than this holds probabilities or jpeg's greys, not labels
_DEEP = 128  # so large a value is of masks with a depth of 8 bits or more
_MIDDLE = 0.2  # of the pixels that are not 0, so many may lie half-way where greys lie near two ends
_LEVELS, _BETWEEN = 32, 0.5  # a file of more levels, and so many pixels far from both ends, is a film
_FAR = 96  # a pixel further than this from every colour that was named, in a channel, has another colour
_MOST_FAR = 0.01  # so many of a file's pixels may be so, as jpeg makes them at edges


@dataclass(frozen=True)
class Declared:
    """What masks hold, as it was said: organ to label value, to bit flag (1, 2, 4, ...) or to colour (0xRRGGBB).

    ignored: values that are known and not wanted. InputError for an unknown kind, and values that cannot be.
    """

    kind: str
    organs: Mapping[str, int]
    ignored: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind of mask values", self.kind, KINDS)
        if len(self.organs) > MAX_ORGANS:
            raise InputError(f"masks: at most {MAX_ORGANS} organs, found {len(self.organs)}")
        values = list(self.organs.values())
        for organ, value in self.organs.items():
            if value < 1 or values.count(value) > 1 or value in self.ignored:
                raise InputError(f"masks: organ {organ}={value}: expected a value of its own, 1 or more")
            if self.kind == "bits" and value & (value - 1):
                raise InputError(f"masks: organ {organ}={value}: a bit flag must be 1, 2, 4, 8, ...")

    @property
    def listed(self) -> str:
        """`left_lung=1, right_lung=2`."""
        shown = "#{:06x}" if self.kind == "colours" else "{}"
        return ", ".join(f"{organ}={shown.format(value)}" for organ, value in self.organs.items())

    @property
    def wanted(self) -> Wanted:
        """How files are to be read for it."""
        return Wanted.COLOURS if self.kind == "colours" else Wanted.LABELS


def parse_declared(text: str) -> Declared:
    """`labels:left_lung=1,right_lung=2`, `bits:...` or `colours:left_lung=#ff0000`; `ignore=8` may be among them, more than
    once. InputError where it is not of this form."""
    kind, colon, rest = text.strip().partition(":")
    kind = {"colors": "colours"}.get(kind.strip().lower(), kind.strip().lower())
    organs: dict[str, int] = {}
    ignored: list[int] = []
    for part in rest.split(","):
        organ, equals, value = (word.strip() for word in part.partition("="))
        number = _number(value, kind)
        if not (colon and equals and organ) or number is None or organ in organs:
            example = "colours:left_lung=#ff0000,right_lung=#00ff00" if kind == "colours" else EXAMPLE
            raise InputError(f"masks: expected {example}, found {text!r}")
        if organ == "ignore":
            ignored.append(number)
        else:
            organs[organ] = number
    return Declared(kind, organs, tuple(ignored))


EXAMPLE = "labels:left_lung=1,right_lung=2"


def _number(text: str, kind: str) -> int | None:
    if kind != "colours":
        return int(text) if text.isdecimal() else None
    digits = text.removeprefix("#")
    try:
        return int(digits, 16) if len(digits) == 6 else None
    except ValueError:
        return None


@dataclass
class Survey:
    """The values of the files of a set that were read: how many pixels have each, and the lowest of their maxima."""

    counts: Counter[int] = field(default_factory=Counter)
    coloured: MaskFile | None = None
    """The first file with several colours."""
    dimmest: tuple[int, Path] | None = None
    """The least of the files' largest values above 0, and its file."""
    example: dict[int, Path] = field(default_factory=dict)
    """A file for each of the first values."""
    _lock: Lock = field(default_factory=Lock)

    def add(self, mask: MaskFile) -> None:
        """Count a file. May be called by several threads."""
        values, numbers = mask.counts
        top = int(values[-1])
        with self._lock:
            if mask.coloured:
                self.coloured = self.coloured or mask
                return
            for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
                self.counts[value] += number
                if len(self.example) < 64:
                    self.example.setdefault(value, mask.path)
            if top and (self.dimmest is None or top < self.dimmest[0]):
                self.dimmest = (top, mask.path)

    @property
    def values(self) -> list[int]:
        """The values that occur, ascending."""
        return sorted(self.counts)


@dataclass(frozen=True)
class Inside:
    """Rule of a file an organ: inside is `threshold` or more."""

    threshold: int
    said: str

    def flags(self, values: np.ndarray) -> np.ndarray:
        """bool (H, W)."""
        return np.asarray(values >= self.threshold)


Ways = Callable[[str], str]
"""From `labels:left_lung=1` to how a person says it: an option of a command, or a line in a file."""


def inside_of(survey: Survey, what: str, ways: Ways, organ: str) -> Inside:
    """The rule of files of one organ each. `what`: "masks of heart". InputError where the values allow no rule."""
    if survey.coloured is not None:
        found = colour_words(_colours_of(survey.coloured))
        raise InputError(
            f"{what}: {survey.coloured.path} has several colours ({found}), expected one on black; "
            f"{ways(f'colours:{organ}=#ff0000')}"
        )
    values = survey.values
    inside = [value for value in values if value]
    if not inside:
        return Inside(1, "nothing but 0, empty in every file")
    top = inside[-1]
    if len(inside) == 1 and (0 in survey.counts or top in (1, 255, 65535)):
        return Inside(_half(top), f"0 and {top}" if 0 in survey.counts else f"nothing but {top}, full in every file")
    dark = values[0] == 0 or (top >= _DEEP and values[0] <= top // _SOFT)  # jpeg leaves a background of 1 or 2
    if dark and top >= _SOFT:
        middle = sum(survey.counts[value] for value in inside if top < 4 * value < 3 * top)
        near = middle <= _MIDDLE * sum(survey.counts[value] for value in inside)
        soft = len(values) > _SOFT
        threshold = _half(top)
        if near and not soft and survey.dimmest is not None and survey.dimmest[0] < threshold:
            low, file = survey.dimmest
            raise InputError(
                f"{what}: {file} goes up to {low} alone and others to {top}: save all of them with 0 and {top}"
            )
        if near or soft:
            kind = "greys near 0 and" if near else "greys from 0 to"
            return Inside(threshold, f"{kind} {top}, inside from {threshold}")
    raise InputError(
        f"{what} have the values {_listed(values)} ({survey.example.get(inside[0], '')}): expected 0 outside and one value "
        f"inside; {ways(f'labels:{organ}={top}')}"
    )


def refuse_film(mask: MaskFile, what: str) -> None:
    """InputError for a film in the place of a mask of one organ. Smoothed, soft and compressed masks have many levels too,
    and most pixels near the two ends; a film has most of its own between them."""
    if mask.coloured:
        return
    values, numbers = mask.counts
    top = int(values[-1])
    between = numbers[(8 * values > top) & (8 * values < 7 * top)].sum()
    if len(values) > _LEVELS and between > _BETWEEN * numbers.sum():
        raise InputError(
            f"{what}: {mask.path} has {len(values)} grey levels, {100 * between / numbers.sum():.0f} % of its pixels "
            "between dark and bright, as a film: expected 0 outside and one value inside; is it the folder of the films?"
        )


def shared_rule(survey: Survey, organs: Sequence[str], what: str, ways: Ways) -> Declared | Inside:
    """The rule of files that hold all of some organs, where nobody said it: bit flags in the order of the organs, if they
    can be nothing else. InputError, with the ways to say it, where they may be."""
    count = len(organs)
    labels = ways("labels:" + ",".join(f"{organ}={number + 1}" for number, organ in enumerate(organs)))
    if count == 1:
        return inside_of(survey, what, ways, organs[0])
    if survey.coloured is not None:
        found = colour_words(_colours_of(survey.coloured))
        raise InputError(
            f"{what}: {survey.coloured.path} has colours ({found}): which organ is which? "
            + ways(f"colours:{organs[0]}=#ff0000,{organs[1]}=#00ff00")
        )
    inside = [value for value in survey.values if value]
    flags = Declared("bits", {organ: 1 << bit for bit, organ in enumerate(organs)})
    most = (1 << count) - 1
    if inside and inside[-1] > most:
        if len(inside) == 1:
            labels = ways(f"labels:{organs[0]}={inside[0]}")
        raise InputError(
            f"{what}: {survey.example.get(inside[-1], 'a file')} has the value {inside[-1]}, which no organ has: bit flags "
            f"of {count} organs go to {most}; write a file an organ (masks/{organs[0]}/), or say which value is which: "
            f"{labels}"
        )
    union = int(np.bitwise_or.reduce(np.array(inside, dtype=np.int64))) if inside else 0
    alone = all((1 << bit) in inside for bit in range(count) if union >> bit & 1)
    numbered = len(inside) > 2 and inside == list(
        range(1, len(inside) + 1)
    )  # as labels are; [1, 2] is the same as either
    if not inside or (alone and not numbered and len(inside) > 1 and (inside[-1] > count or inside == [1, 2])):
        return flags
    bits = ways("bits:" + ",".join(f"{organ}={1 << bit}" for bit, organ in enumerate(organs)))
    raise InputError(
        f"{what} have the values {_listed(survey.values)}, which may be labels or bit flags of {', '.join(organs)}, or one "
        f"mask of several: write a file an organ (masks/{organs[0]}/), or say it: {labels}; {bits}"
    )


def labelled(mask: MaskFile, organ: int, declared: Declared) -> np.ndarray:
    """Where an organ of a declared value, flag or colour is, bool (H, W)."""
    if declared.kind == "bits":
        return np.asarray((mask.values & np.asarray(organ & 0xFFFF).astype(mask.values.dtype)) != 0)
    return np.asarray(mask.values == organ)


def checked(mask: MaskFile, declared: Declared, ways: Ways) -> MaskFile:
    """The file, its colours brought to the declared ones. InputError for a value that nobody named: it may be an organ that
    was forgotten."""
    known = [*declared.organs.values(), *declared.ignored]
    if declared.kind == "colours":
        return _nearest(mask, known, declared, ways)
    if mask.coloured:
        found = colour_words(_colours_of(mask))
        raise InputError(
            f"mask {mask.path} has colours ({found}) and no numbers that can be {declared.kind} (of a palette they count "
            f"where its first colour is black); {ways(f'colours:{next(iter(declared.organs))}=#ff0000')}"
        )
    if declared.kind == "bits":
        rest = int(np.bitwise_or.reduce(mask.counts[0])) & ~sum(known)
        unexpected = [1 << bit for bit in range(rest.bit_length()) if rest >> bit & 1]
    else:
        unexpected = [int(value) for value in np.setdiff1d(mask.counts[0], [0, *known])]
    if unexpected:
        kind = "bit flag" if declared.kind == "bits" else "value"
        raise InputError(
            f"mask {mask.path} has {kind} {unexpected[0]}, which no organ has ({declared.listed}); "
            f"{ways(f'ignore={unexpected[0]}')}"
        )
    return mask


def _nearest(mask: MaskFile, known: Sequence[int], declared: Declared, ways: Ways) -> MaskFile:
    colours = np.array([0, *known], dtype=np.int64)
    there, where = np.unique(mask.values, return_inverse=True)
    apart = np.abs(_channels(there)[:, None] - _channels(colours)[None]).max(axis=2)
    far = apart.min(axis=1) > _FAR
    pixels = np.bincount(where.ravel(), minlength=len(there))
    if far.any() and pixels[far].sum() > _MOST_FAR * pixels.sum():
        first = int(there[far][pixels[far].argmax()])
        raise InputError(
            f"mask {mask.path} has the colour #{first:06x}, which no organ has ({declared.listed}); "
            f"{ways(f'ignore=#{first:06x}')}"
        )
    values = colours[apart.argmin(axis=1)][where].reshape(mask.values.shape)
    return MaskFile(mask.path, values.astype(np.uint32), coloured=True, remarks=mask.remarks)


def _channels(colours: np.ndarray) -> np.ndarray:
    wide = colours.astype(np.int64)
    return np.stack([wide >> 16 & 255, wide >> 8 & 255, wide & 255], axis=-1)


def _colours_of(mask: MaskFile) -> Counter[int]:
    values, numbers = mask.counts
    return Counter(dict(zip(values.tolist(), numbers.tolist(), strict=True)))


def _half(top: int) -> int:
    """The least value that is inside: half of the depth that a largest value belongs to, so that it does not change with
    the files."""
    for full in (255, 65535):
        if full // 2 < top <= full:
            return full // 2 + 1
    return (top + 1) // 2


def _listed(values: Sequence[int]) -> str:
    shown = ", ".join(map(str, values[:6]))
    return f"{shown} ... {values[-1]}" if len(values) > 6 else shown
