"""What a provider says of itself (figures, ids, names of weights and curves), as a record keeps it and pages show it: short
texts that can be printed. Asked when a step has ended; what says more is removed, so that nobody fills a disk with words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..errors import StoreError, one_line
from .job import Step, Train
from .store import SAMPLED, Level, Store

MOST_BYTES = 1 << 20
"""Of all that is kept of one sampling."""
MOST_TEXT = 4_000
"""Characters of one text: what was noticed is joined to one."""


def says_too_much(step: Step) -> str:
    """The line that says what a provider said that no record may hold; empty where there is nothing of that kind."""
    if isinstance(step, Train):
        return ""
    store = Store(step.work.store)
    with suppress(StoreError, OSError):  # what cannot be read is made again
        fit = store.fit(str(step.cell.fit_key))
        if odd := _odd([fit.weights, list(fit.curves)]):
            return f"provider {step.name}: weights_used or a name in histories() {odd}"
        if step.level is Level.SYNTHETIC:
            size = (store.path(Level.SYNTHETIC, step.key) / SAMPLED).stat().st_size
            if size > MOST_BYTES:
                told = f"said {size:,} bytes of themselves, a record holds {MOST_BYTES:,} at most"
                return f"provider {step.name}: facts() and trained_on() {told}: figures and short texts"
            if odd := _odd(store.sampled(step.key).checks):
                return f"provider {step.name}: facts() or trained_on() {odd}"
    return ""


def _odd(said: object) -> str:
    """What is odd about one of the texts of something; empty where nothing is."""
    for text in _texts(said):
        if len(text) > MOST_TEXT:
            return f"gave a text of {len(text):,} characters, expected {MOST_TEXT:,} at most"
        if not text.isprintable():
            return f"gave a text with what cannot be shown (line breaks, escape codes): {one_line(text, 80)}"
    return ""


def _texts(said: Any) -> Iterator[str]:
    if isinstance(said, str):
        yield said
    elif isinstance(said, Mapping):
        yield from (text for pair in said.items() for part in pair for text in _texts(part))
    elif isinstance(said, Sequence):
        yield from (text for part in said for text in _texts(part))
