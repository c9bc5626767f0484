"""The errors a user may meet. Each is one line: what was expected, what was found, what to do."""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable
from pathlib import Path

MOST_CHARACTERS = 400
"""Of what others say (providers, programs, libraries) in a line of ours."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")


class CxrbenchError(Exception):
    """Any error that the command line, and a notebook, show as one line instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows."""
        return [f"error: {self}"]


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


def one_line(text: object, most: int = MOST_CHARACTERS) -> str:
    """What others say, as one line that can be printed, kept and shown: without escape codes, control characters and halves
    of characters (surrogates), blanks and line breaks as one blank, cut in the middle where it is longer than `most`."""
    try:
        said = str(text)
    except Exception:  # an error of others may be unable to say itself
        said = f"{type(text).__name__} (which cannot be shown)"
    if len(said) > 16 * most:  # before any pattern looks at it: a message may have 20 MB
        said = said[: 8 * most] + said[-8 * most :]
    said = _ESCAPES.sub("", said).encode("utf-8", "replace").decode("utf-8")
    said = " ".join("".join(one if one.isprintable() else " " for one in said).split())
    if len(said) > most:
        end = most // 3
        said = f"{said[: most - end - 5]} ... {said[-end:]}"
    return said


def require_utf8(*names: object) -> None:
    """InputError for the name of a file or folder, or other words of a user, that is no UTF-8: tables and pages cannot hold
    it."""
    for name in map(str, names):
        if name.encode("utf-8", "replace").decode() != name:
            raise InputError(f"{one_line(name)}: not UTF-8 (? stands for what cannot be read); give it another name")


def raised(error: Exception) -> str:
    """What code that is not ours raised, as one line: the error, the file and line, and what to do where that is known."""
    from .extras import cure_for

    where = traceback.extract_tb(error.__traceback__)[-1]
    writes = isinstance(error, ValueError) and "read-only" in str(error)
    cure = "; a training set is read-only: change a copy, as np.array(train.images)" if writes else cure_for(error)
    return f"{type(error).__name__}: {one_line(error)}{cure} ({Path(where.filename).name} line {where.lineno})"
