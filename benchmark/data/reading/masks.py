"""Reading the masks of a set of films to bit flags, whoever asks: an importer, a folder of generated films.

What a set's files hold is decided by the values of all of them (`mask_kinds`) and said in one line. A few files give the
rule that the others are read by while they are counted; where all of them give another rule, they are read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..dataset import MAX_ORGANS
from ..remarks import Remark
from ..resize import resample
from .mask_files import MaskArray, MaskFile, Wanted, read_mask_file
from .mask_kinds import Declared, Inside, Survey, Ways, checked, inside_of, labelled, refuse_film, shared_rule

SHARED = ""
"""In place of an organ: the one file that all organs share."""
_AROUND = 0.5  # of the border's pixels; an organ cut off by a tight film covers less
_FIRST = 4  # so many films give the first rule


class MaskReader:
    """Reads mask files to bit flags; bit i is organ i.

    files: per film, organ to file (or array), or `SHARED` to that of all organs. declared: what they hold, where it was
    said; the organs in it that are not in `organs` are left out. ways: how a person says it.
    """

    def __init__(
        self,
        files: Sequence[Mapping[str, Path | MaskArray]],
        organs: Sequence[str],
        ways: Ways,
        declared: Declared | None = None,
        where: str = "masks",
    ) -> None:
        if len(organs) > MAX_ORGANS:
            raise InputError(f"{where}: at most {MAX_ORGANS} organs, found {len(organs)}")
        self.files, self.organs = files, tuple(organs)
        self.ways, self.declared, self.where = ways, declared, where
        self.parts = list(dict.fromkeys(part for film in files for part in film))
        self._surveys = {part: Survey() for part in self.parts}
        self._rules = self._first_rules() if declared is None else dict.fromkeys(self.parts, declared)

    def read(self, film: int, shape: tuple[int, int]) -> tuple[np.ndarray, tuple[Remark, ...]]:
        """Bit flags uint8 of `shape`, that of the film with this number, and what was noticed. May be called by several
        threads; InputError for a file that is damaged, of another aspect, or has values that no organ has."""
        bits = np.zeros(shape, dtype=np.uint8)
        remarks: list[Remark] = []
        for part, file in self.files[film].items():
            rule = self._rules[part]
            mask = self._mask(part, file)
            self._surveys[part].add(mask)
            if isinstance(rule, Declared):
                mask = checked(mask, rule, self.ways)
            said, place = mask.remarks, mask.path
            if mask.values.shape != shape:
                said += (Remark("with masks of another size and the same aspect, scaled to the film's", str(place)),)
            for bit, organ in enumerate(self.organs):
                if part in (SHARED, organ):
                    flags = _flags(mask, rule, organ)
                    if flags is not None:
                        said += (Remark(inside_out(organ), str(place)),) if _around(flags) else ()
                        bits |= _fitted(flags, shape, place).astype(np.uint8) << np.uint8(bit)
            remarks += [one for one in said if one.text not in {other.text for other in remarks}]
        return bits, tuple(remarks)

    def settled(self) -> bool:
        """Whether all files together have the rule that they were read by. If not, `read` has the right one now, and every
        film is to be read again. InputError where the values of all of them allow no rule."""
        if self.declared is not None:
            return True
        rules = {part: self._decide(part, self._surveys[part]) for part in self.parts}
        same = all(_same(rules[part], self._rules[part]) for part in self.parts)
        self._rules = rules
        return same

    def said(self) -> tuple[str, ...]:
        """What the masks were taken for, a line for each kind."""
        name = f"{Path(self.where).name}/" if "/" in self.where else self.where
        if self.declared is not None:
            how = {"labels": "labels", "bits": "bit flags", "colours": "colours"}[self.declared.kind]
            return (f"{name}: {how} {self.declared.listed}",) if self.parts else ()
        lines: dict[str, list[str]] = {}
        for part, rule in self._rules.items():
            if isinstance(rule, Declared):
                lines.setdefault(f"bit flags {rule.listed}, one file for all organs", []).append(part)
            else:
                ending = f"one file for all, which is {self.organs[0]}" if part == SHARED else "one file an organ"
                lines.setdefault(f"{rule.said}, {ending}", []).append(part)
        if len(lines) == 1:
            return (f"{name}: {next(iter(lines))}",)
        return tuple(f"{name} of {', '.join(parts)}: {line}" for line, parts in lines.items())

    def _wanted(self, part: str) -> Wanted:
        if self.declared is not None:
            return self.declared.wanted
        return Wanted.LABELS if part == SHARED and len(self.organs) > 1 else Wanted.SHOWN

    def _first_rules(self) -> dict[str, Declared | Inside]:
        rules: dict[str, Declared | Inside] = {}
        for part in self.parts:
            files = [film[part] for film in self.files if part in film]
            try:
                rules[part] = self._decide(part, self._survey(part, _spread(files)))
            except InputError:  # the few may lack a value that all have
                rules[part] = self._decide(part, self._survey(part, files))
        return rules

    def _survey(self, part: str, files: Sequence[Path | MaskArray]) -> Survey:
        survey = Survey()
        for file in files:
            survey.add(self._mask(part, file))
        return survey

    def _mask(self, part: str, file: Path | MaskArray) -> MaskFile:
        """A file's values. InputError for a film where the mask of one organ belongs."""
        mask = read_mask_file(file, self._wanted(part))
        if self._wanted(part) is Wanted.SHOWN:
            refuse_film(mask, f"{self.where} of {part}" if part else self.where)
        return mask

    def _decide(self, part: str, survey: Survey) -> Declared | Inside:
        if part == SHARED:
            return shared_rule(survey, self.organs, self.where, self.ways)
        return inside_of(survey, f"{self.where} of {part}", self.ways, part)


def _spread(files: Sequence[Path | MaskArray]) -> list[Path | MaskArray]:
    """A few of the files, from first to last."""
    rows = np.unique(np.linspace(0, len(files) - 1, min(_FIRST, len(files))).round().astype(int))
    return [files[row] for row in rows]


def _same(one: Declared | Inside, other: Declared | Inside) -> bool:
    """Whether two rules read every file alike."""
    if isinstance(one, Inside) and isinstance(other, Inside):
        return one.threshold == other.threshold
    return one == other


def _flags(mask: MaskFile, rule: Declared | Inside, organ: str) -> np.ndarray | None:
    """Where an organ is, bool (H, W); None where the rule has no such organ, or the film it is of has several colours and
    is read again."""
    if isinstance(rule, Inside):
        return None if mask.coloured else rule.flags(mask.values)
    value = rule.organs.get(organ)
    return None if value is None else labelled(mask, value, rule)


def inside_out(organ: str) -> str:
    """What to say of a mask that is set around its film."""
    return f"with the mask of {organ} all around the border: is it inside out?"


def _around(flags: np.ndarray) -> bool:
    """Whether a mask reaches every border of its film and covers most of them, as the background does."""
    borders = (flags[0], flags[-1], flags[:, 0], flags[:, -1])
    return all(border.any() for border in borders) and bool(np.concatenate(borders).mean() > _AROUND)


def _fitted(flags: np.ndarray, shape: tuple[int, int], file: Path) -> np.ndarray:
    """A mask at the film's size: inside where half of a pixel's area is, for it may be of another size, not of another
    aspect (to a pixel)."""
    if flags.shape == shape:
        return flags
    (height, width), (rows, columns) = flags.shape, shape
    if abs(height * columns - rows * width) >= max(rows, columns):
        raise InputError(
            f"mask {file} is {width} x {height}, its film is {columns} x {rows} pixels: expected the same or its aspect"
        )
    padded = np.zeros((max(height, width),) * 2, dtype=np.uint8)
    padded[:height, :width] = flags
    return np.asarray(resample(padded, max(rows, columns))[:rows, :columns] >= 0.5)
