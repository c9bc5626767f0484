"""The words of a column `split`: what a film is for.

Tables say `training`, `valid`, `dev` or nothing; a film whose word no task knows would be left out without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ..errors import unknown

PARTS = ("train", "val", "test", "none")
"""What a column `split` may hold. The tasks train on `train` and test on `test`. They hold films of their own training set
out to validate, so films of `val` take no part in any of them, nor do those of `none`."""

_PART_WORDS = {
    "train": ("training", "tr", "trn"),
    "val": ("valid", "validate", "validation", "dev", "development", "tune", "tuning"),
    "test": ("testing", "te", "tst"),
    "none": ("unused", "exclude", "excluded"),
}
_PART_OF = {word: part for part, words in _PART_WORDS.items() for word in (part, *words)}


def read_parts(
    values: Sequence[str], blank: Sequence[bool], meant: Mapping[str, str] | None = None
) -> tuple[list[str], list[str]]:
    """A column of parts in the words of `PARTS`, and what was noticed: words read as another, words kept that are none,
    and how many films take no part.

    blank: where there is no value; such a film is of part `none`. meant: what further words stand for (`holdout` to
    `test`; "blank" for no value). InputError where that is no part, or a word that does not occur.
    """
    words = ["blank" if empty else " ".join(value.lower().split()) for value, empty in zip(values, blank, strict=True)]
    asked = {word.lower(): part for word, part in (meant or {}).items()}
    for word, part in asked.items():
        if part not in PARTS:
            raise unknown("split", part, PARTS, f"given for '{word}'")
        if word not in words:
            raise unknown("split", word, set(words), "in the column of splits")
    table = {**_PART_OF, "blank": "none", **asked}
    parts = [table.get(word, value) for word, value in zip(words, values, strict=True)]
    written = ["" if empty else value for value, empty in zip(values, blank, strict=True)]
    counts = Counter(zip(written, parts, strict=True))
    remarks = [
        f"split '{word}' ({films_in_words(count)}) read as {part}"
        for (word, part), count in counts.items()
        if word != part and part in PARTS
    ]
    remarks += [
        f"split '{word}' ({films_in_words(count)}) is none of {', '.join(PARTS)}: a task that divides by split refuses it "
        f"(--split-values {word}=test says what it is)"
        for (word, part), count in counts.items()
        if part not in PARTS
    ]
    idle = [part for part in ("val", "none") if part in parts]
    if idle:
        count = sum(parts.count(part) for part in idle)
        remarks.append(
            f"{films_in_words(count)} of split {' and '.join(idle)} used by no task: tasks train on train, test on test"
        )
    return parts, remarks


def films_in_words(count: int) -> str:
    """`1 film`, `12 films`."""
    return "1 film" if count == 1 else f"{count} films"
