"""The errors a user may meet. Each is one line: what was expected, what was found, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CxrbenchError(Exception):
    """Any error that the command line shows as one line instead of a traceback."""


class InputError(CxrbenchError):
    """Wrong input (exit code 2): nothing was changed."""


class ProviderError(CxrbenchError):
    """A provider broke its contract or failed (exit code 1): the cell fails, the others go on."""


class TrainingError(CxrbenchError):
    """A training cannot go on, for example because a loss is not finite."""


class StoreError(CxrbenchError):
    """An entry of the store is missing or is not what its digest says."""


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> InputError:
    """An unknown name, with the nearest known ones first."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    return InputError(f"unknown {kind} '{name}'.{guess} Known: {', '.join(names)}{f' ({hint})' if hint else ''}")
