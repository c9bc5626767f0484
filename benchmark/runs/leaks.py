"""Test films that a provider must not have seen: named by `trained_on`, shown in its films, or among its training films; and
near copies of films, which are said."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ..data.dataset import Dataset
from ..errors import ProviderError

_SUFFIX = re.compile(r"\.(png|jpe?g|tiff?|dcm|dicom|bmp|webp|gif|img|npy)$", re.IGNORECASE)
_NAMED = 5


def refuse_leaks(name: str, films: Dataset, trained_on: Sequence[str], train: Dataset, test: Dataset) -> None:
    """ProviderError with the ids where a provider has learnt from test films, or its films show pixels of them."""
    seen = set(train.ids) | {str(source) for row in train.cases.get("source_ids", ()) for source in row}
    _refuse(name, seen, "fitted on", test)
    refuse_named(name, films, trained_on, train.ids, test)


def refuse_named(name: str, films: Dataset, trained_on: Sequence[str], others: Iterable[str], test: Dataset) -> None:
    """The part of `refuse_leaks` that is known before anything is fitted. others: ids of cases that are not tested.

    A name that is no case's id is taken for the case whose id it is without folder, ending, quotes and case
    (`images/PHLN002.png`)."""
    held = set(test.ids)
    bare = {_bare(one): one for one in test.ids} | {_bare(one): one for one in others if one not in held}

    def cases(names: Iterable[object]) -> set[str]:
        return {one if one in held else bare.get(_bare(one), one) for one in map(str, names)}

    _refuse(name, cases(trained_on), "fitted on", test)
    _refuse(
        name,
        cases(source for row in films.cases.get("source_ids", ()) for source in row),
        "showing in its samples",
        test,
    )


def of_no_case(trained_on: Sequence[str], data: Dataset) -> tuple[str, ...]:
    """What to say of names that are no case of the dataset, however they are written: nothing can be checked by them."""
    known = {_bare(one) for one in data.ids}
    others = [str(one) for one in dict.fromkeys(trained_on) if _bare(str(one)) not in known]
    if not others:
        return ()
    count = "1 id" if len(others) == 1 else f"{len(others)} ids"
    return (f"trained_on: {count} of no case of {data.info.name}, so not checked: {_listed(others)}",)


def _refuse(name: str, used: Collection[str], how: str, test: Dataset) -> None:
    leaked = sorted(set(used) & set(test.ids))
    if leaked:
        raise ProviderError(
            f"provider {name}: refused (leak): {how} {len(leaked)} films of the test set {test.info.name}: {_listed(leaked)}"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")


def _bare(name: str) -> str:
    """An id, or a file's name that has it, without what people add: folder, ending, quotes, commas, blanks, case."""
    last = re.split(r"[\\/]", name.strip().strip("\"'").rstrip(",;").strip("\"'").strip())[-1]
    return _SUFFIX.sub("", unicodedata.normalize("NFC", last)).casefold()


def check_copies(films: Dataset, train: Dataset, test: Dataset) -> dict[str, Any]:
    """Near copies of test films and of training films among synthetic ones, and what is odd about these."""
    from ..data.near_copies import near_copies
    from ..data.odd_films import odd_films

    train = train.resized(test.resolution)
    return {
        "near_test": near_copies(films, test, train).to_json(),
        "near_train": near_copies(films, train, test).to_json(),
        **odd_films(films),
    }


def check_real(data: Dataset, train: Dataset, test: Dataset) -> dict[str, Any]:
    """Test films with the pixels of a training film, which no model or generator is to blame for; nothing where none has."""
    from ..data.same_pixels import copies_learnt

    found = copies_learnt(data, train, test)
    return {"real_films": found} if found else {}
