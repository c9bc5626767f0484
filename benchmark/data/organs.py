"""Organs by their names: which are lungs, and what others call them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

KNOWN_ORGANS = (
    "left_lung",
    "right_lung",
    "heart",
    "left_clavicle",
    "right_clavicle",
    "lungs",
    "cardiomediastinum",
)
"""Organs whose name is written one way, however a folder or a column spells it."""


def lung_organs(organs: Sequence[str]) -> tuple[str, ...]:
    """Of the names of organs those that are lungs (`left_lung`, `right_lung`, `lungs`), in their order."""
    return tuple(name for name in organs if "lung" in name.lower())


def organ_called(text: str, organs: Iterable[str]) -> str | None:
    """Which of the organs a text names, whatever its case, blanks, hyphens and order of words: `Left-Lung`, `lung left`
    and `LeftLung` are `left_lung`. None where it is none of them.
    """
    given = tuple(organs)
    if text in given:
        return text
    keys = _keys(text)
    return next((organ for organ in given if keys & _keys(organ)), None)


def organ_name(text: str) -> str:
    """The usual spelling of a known organ's name; any other name as it is."""
    return organ_called(text, KNOWN_ORGANS) or text


def organs_in(text: str, organs: Iterable[str]) -> list[tuple[str, str]]:
    """The organs that a name holds beside other words, each with the rest of the name, longest first: `0001_left_lung` is
    of `left_lung` and `0001`.
    """
    found = []
    for organ in sorted(set(organs), key=lambda one: (-len(one), one)):
        words = [re.escape(word) for word in re.split(r"[\W_]+", organ) if word]
        for order in (words, words[::-1]):
            match = re.search(r"(?<![a-z])" + r"[\W_]*".join(order) + r"(?![a-z])", text, flags=re.IGNORECASE)
            if match is not None:
                rest = f"{text[: match.start()].rstrip('_-. ')}_{text[match.end() :].lstrip('_-. ')}"
                found.append((organ, rest.strip("_-. ")))
                break
    return found


def _keys(text: str) -> set[str]:
    """What two spellings of one name have in common: their letters, in the order of the text or of the words."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text.strip())
    words = [word for word in re.split(r"[\W_]+", apart.lower()) if word]
    return {"".join(words), "".join(sorted(words))}
