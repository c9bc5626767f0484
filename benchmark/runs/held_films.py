"""The films of a run are the same from its first step to its last: asked before a step begins and after it ended.

Steps open the folders that the plan names and do not hash them; what stands in their keys was read when the run was planned.
"""

from __future__ import annotations

import shutil

from .. import digest
from ..data.dataset import read_info
from ..data.unchanged import hold
from ..errors import InputError
from .job import Step, Synthesise
from .store import Level, Store


def films_changed(step: Step) -> str:
    """The line that says what was changed in the films of a step; empty where nothing was."""
    folders = (step.work.data, step.work.fit_data)
    try:
        for folder in dict.fromkeys(folders):
            hold(folder)
        digests = [read_info(folder).digest for folder in folders]
    except InputError as error:
        return str(error)
    if all(digests) and digest.of_json(digests) != step.cell.identity.data.digest:
        return f"{folders[0]}: other films than when the run was planned (imported again, or accepted); run it again"
    return ""


def forget(step: Step) -> None:
    """Remove what a step may have made of changed films: its result, the fit before it, and what their trainings keep."""
    store = Store(step.work.store)
    made = [store.path(step.level, step.key), store.checkpoints(step.key)]
    if isinstance(step, Synthesise):
        fit = str(step.cell.fit_key)
        made += [store.path(Level.FITS, fit), store.checkpoints(fit)]
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)
