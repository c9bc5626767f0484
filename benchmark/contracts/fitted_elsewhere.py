"""What a generator that was fitted elsewhere has learnt from: the ids of real cases in a file that its user wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from ..data.copies import originals
from ..data.dataset import Dataset

NOT_DECLARED = "training data not declared"
SEEN = "gain and worth include what it has seen of them"
_BESIDES = re.compile(rf"fitted on [\d,]+ real films besides the [\d,]+ that this arm has: {SEEN}")
"""What `said_of` notices, wherever it is told."""


def said_of(ids: Sequence[str] | None, train: Dataset) -> dict[str, int | str]:
    """Facts of a provider (`Provider.facts`). `ids`: of the real cases that it has learnt from, None where that was not
    said; `train`: the real films of its arm. Where it knows others than those, copies of these films are no placebo for its
    own: it says so."""
    if ids is None:
        return {"noticed": NOT_DECLARED}
    facts: dict[str, int | str] = {"fitted_on_real_cases": len(ids)}
    mine = set(originals(train))
    others = sum(one not in mine and PurePath(one).stem not in mine for one in dict.fromkeys(ids))
    if others:
        facts["noticed"] = f"fitted on {others:,} real films besides the {len(mine):,} that this arm has: {SEEN}"
    return facts


def seen_besides(sentences: Iterable[str]) -> str:
    """What the first of these sentences says of real films that a generator has seen besides its arm's; empty where none
    does."""
    return next((match[0] for one in sentences if (match := _BESIDES.search(one))), "")
