"""Findings of films as tables hold them: lists of names in any form, brought to one spelling a finding.

A name is that of one of the 14 findings of `findings.FINDINGS` where it is one in other words; any other is kept as
the set writes it, in one spelling. Whatever was read otherwise than written is said.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..errors import InputError
from .findings import FINDINGS, NO_FINDING, known_finding, word_key
from .parts import films_in_words
from .reading.tables import is_blank

_SEPARATORS = ("|", ";", ",")
_NO_DISEASE = ("supportdevices",)  # what a film of CheXpert may show besides "No Finding"
_DICTIONARY = re.compile(r"""\{\s*(?:'[^']*'|"[^"]*")\s*:.*\}""", re.DOTALL)
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_LIST = re.compile(r"\[(.*)\]|\{(.*)\}|\((.*)\)", re.DOTALL)
_ARRAY = re.compile(
    r"(?:np\.|numpy\.)?(?:array|Index|set|frozenset|tuple|list)\((.*?)(?:,\s*dtype=[^()]*)?\)", re.DOTALL
)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?")
_LINES = re.compile(r"[\r\n\v\f\u2028\u2029]+")


def split_lists(values: Sequence[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    """The names in each field of a column, and what was noticed.

    A field is a list as Python, JSON or numpy write it, or names with `|`, `;` or `,` between: which of these is
    decided for the whole column, so that a name may hold one of the later ones. Line breaks separate names too.
    """
    values = [array[1].strip() if (array := _ARRAY.fullmatch(value.strip())) else value for value in values]
    plain = [value for value in values if not is_blank(value) and not _LIST.fullmatch(value)]
    separator = next((one for one in _SEPARATORS if any(one in value for value in plain)), _SEPARATORS[0])
    found = [_names(value, separator) for value in values]
    remarks = []
    listed = sum(bool(_LIST.fullmatch(value)) for value in values)
    if listed:
        remarks.append(f"findings: {films_in_words(listed)} with a list in brackets")
    if separator != "|":
        remarks.append(f"findings: names with '{separator}' between")
    lines = sum(bool(_LINES.search(value)) and not _LIST.fullmatch(value) for value in values)
    if lines:
        remarks.append(f"findings: {films_in_words(lines)} with names in several lines")
    blank = sum(is_blank(value) for value in values)
    if blank:
        remarks.append(f"findings: {films_in_words(blank)} with nothing there, taken for films without a finding")
    return found, remarks


def _names(value: str, separator: str) -> tuple[str, ...]:
    if is_blank(value):
        return ()
    if _DICTIONARY.fullmatch(value):
        return _true_ones(value)
    inner = _LIST.fullmatch(value)
    if inner is None:
        parts = [part for line in _LINES.split(value) for part in line.split(separator)]
    else:
        text = next(group for group in inner.groups() if group is not None)
        quoted = [one or other for one, other in _QUOTED.findall(text)]
        parts = quoted or _LINES.sub(" ", text).split(",")
    names = [part.strip() for part in parts if not is_blank(part)]
    whole = [piece for name in names for piece in _pieces(name)]
    return tuple(dict.fromkeys(whole))


def _true_ones(value: str) -> tuple[str, ...]:
    """The names of a dictionary, as Python or JSON write it, whose values are 1 or true."""
    try:
        plain = re.sub(r"\b(true|false)\b", lambda word: word[0].title(), value)
        named = {str(name).strip(): flag for name, flag in ast.literal_eval(plain).items()}
    except (ValueError, SyntaxError, AttributeError, MemoryError, RecursionError):
        named = {value: None}
    other = [f"{name}: {flag!r}" for name, flag in named.items() if flag not in (0, 1)]
    if other:
        raise InputError(f"manifest: findings as a dictionary must have 0 or 1 for each, found {other[0][:80]}")
    return tuple(name for name, flag in named.items() if flag)


def _pieces(name: str) -> list[str]:
    """A name, or the known findings in it where it is a row of them with another separator."""
    for separator in _SEPARATORS:
        pieces = [piece.strip() for piece in name.split(separator)]
        if len(pieces) > 1 and all(known_finding(piece) for piece in pieces):
            return pieces
    return [name]


def spellings(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Every name that occurs (as often as it does) to the one that it is kept as, and what was noticed: names read as
    one of the 14 or as another spelling, and names that are none of the 14.
    """
    counts = Counter(list(names))
    first: dict[str, str] = {}
    for name in sorted(counts, key=lambda one: (-counts[one], one)):
        first.setdefault(word_key(name) or name, name)
    kept = {name: known_finding(name) or first[word_key(name) or name] for name in counts}
    none = word_key(NO_FINDING)
    changed = [name for name in sorted(kept) if kept[name] != name and word_key(name) != none]
    remarks = [f"finding '{name}' read as {kept[name]}" for name in changed]
    own = sorted({name for name in kept.values() if name not in (*FINDINGS, NO_FINDING)})
    if own:
        listed = ", ".join(f"'{name}'{_near(name)}" for name in own)
        remarks.append(f"findings kept that are none of the 14 of NIH ChestX-ray14: {listed}")
    return kept, remarks


def _near(name: str) -> str:
    """The finding that a name may be meant for, where letters alone differ."""
    by_key = {word_key(one): one for one in FINDINGS}
    near = difflib.get_close_matches(word_key(name), by_key, n=1, cutoff=0.85)
    return f" (is it {by_key[near[0]]}?)" if near else ""


def flags_of_lists(
    values: Sequence[str], places: Callable[[Sequence[int]], str]
) -> tuple[dict[str, list[int]], list[str]]:
    """A column of lists as finding to 0/1 a row, findings sorted, and what was noticed.

    places: where rows are, for the error. InputError where a film has findings and none of them at once.
    """
    lists, remarks = split_lists(values)
    numbered = [row for row, names in enumerate(lists) if any(_NUMBER.fullmatch(name) for name in names)]
    if numbered:
        raise InputError(
            f"manifest: {places(numbered)}: expected names of findings, found the number '{values[numbered[0]]:.40}'; write "
            "names, or a column finding_<Name> of 0 and 1 for each"
        )
    kept, said = spellings(name for names in lists for name in names)
    sets = [{kept[name] for name in names} for names in lists]
    check_no_finding(sets, places)
    names = sorted({name for one in sets for name in one} - {NO_FINDING})
    return {name: [int(name in one) for one in sets] for name in names}, remarks + said


def flags_of_columns(
    columns: Mapping[str, Sequence[int]], places: Callable[[Sequence[int]], str]
) -> tuple[dict[str, list[int]], list[str]]:
    """Columns of 0/1 by the name of their finding, with official names in their order, and what was noticed.

    A column of films without a finding is held against the others and left out. InputError where two columns are of
    one finding, or a film has findings and none of them at once.
    """
    kept, remarks = spellings(columns)
    of: dict[str, str] = {}
    for name in columns:
        if kept[name] in of:
            raise InputError(
                f"manifest: the columns of '{of[kept[name]]}' and '{name}' are both of {kept[name]}; give one"
            )
        of[kept[name]] = name
    rows = len(next(iter(columns.values()), ()))
    check_no_finding([{one for one, name in of.items() if columns[name][row]} for row in range(rows)], places)
    if NO_FINDING in of:
        remarks.append(f"finding '{of[NO_FINDING]}' is none: a film without findings has 0 in all of them")
    return {one: list(columns[name]) for one, name in of.items() if one != NO_FINDING}, remarks


def check_no_finding(sets: Sequence[set[str]], places: Callable[[Sequence[int]], str]) -> None:
    """InputError where `NO_FINDING` stands beside findings, with the first of the rows."""
    found = [{name for name in names if word_key(name) not in _NO_DISEASE} for names in sets]
    wrong = [row for row, names in enumerate(found) if NO_FINDING in names and len(names) > 1]
    if wrong:
        others = ", ".join(sorted(found[wrong[0]] - {NO_FINDING}))
        raise InputError(f"manifest: {places(wrong)}: '{NO_FINDING}' beside {others}; a film has findings or none")
