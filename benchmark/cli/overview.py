"""The small table of what films were understood as: after an import, beside a contact sheet, before a run on a folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..console_tables import cell, show, table
from ..errors import InputError, ProviderError

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..runs.request import Prepared

SCHEME = "folder:"


def print_overview(
    films: Dataset, file: IO[str] | None = None, *, remarks: bool = False, noticed: Sequence[str] = ()
) -> None:
    """Print what films were understood as and, with `remarks`, what was noticed when they were read, and what else was."""
    from ..data.overview import overview

    lines: Iterable[Sequence[str]] = overview(films)
    if remarks:
        lines = [*lines, *(("noticed", remark) for remark in (*films.info.remarks, *noticed))]
    made = table(("", "understood"), left=2)
    for what, found in lines:
        made.add_row(cell(what), cell(found, "bold red" if found.endswith("?") or what == "look at" else ""))
    show(made, file)


def look_at_folder(prepared: Prepared, file: IO[str]) -> None:
    """Before the first use of a folder of films: read it as the run will, and print what it was understood as. InputError
    where it cannot be read, or was made of test films, before anything is trained."""
    from ..contracts.external import films_of_folder
    from ..contracts.label_by import LabelBy
    from ..contracts.pictures import read_trained_on
    from ..data.dataset import Annotation
    from ..data.near_copies import count_copies
    from ..runs.job import Synthesise
    from ..runs.leaks import of_no_case, refuse_named
    from .progress_bar import shown_progress

    plan = prepared.plan
    assert plan.generator is not None  # a run has one
    plugin = plan.generator.plugin
    slots = [step.cell.slot for step in prepared.left if isinstance(step, Synthesise)]
    if not plugin.spec.startswith(SCHEME) or not slots:
        return
    folder = Path(plugin.argument)
    try:
        with shown_progress("reading the folder of films") as progress:
            films = films_of_folder(folder, plan.fit_data, progress)
        learnt_from = read_trained_on(folder)
    except ProviderError as error:
        raise InputError(f"provider {plugin.name}: {error}") from None
    print_overview(films, file, remarks=True, noticed=of_no_case(learnt_from, plan.data))
    if plan.provider.label_by == LabelBy.NATIVE and (needed := plan.task.needs) not in films.annotations:
        organ = plan.data.organs[0] if plan.data.organs else "ORGAN"
        where = {Annotation.MASKS: f"masks/{organ}/", Annotation.LABELS: "labels.csv", Annotation.BOXES: "boxes.csv"}
        raise InputError(
            f"provider {plugin.name}: its films have no {needed.value}, which {plan.task.name} needs: put them beside the "
            f"films ({where[needed]}), {_by_templates(folder)}or let the REAL model annotate them (--label-by teacher)"
        )
    for slot in {slot.fold: slot for slot in slots}.values():
        test = plan.task.test_set(plan.data, slot)
        try:
            refuse_named(plugin.name, films, learnt_from, plan.data.ids, test)
        except ProviderError as error:
            raise InputError(str(error)) from None
        if copies := count_copies(films.resized(test.resolution).images, test.images):
            raise InputError(
                f"provider {plugin.name}: refused (leak): {copies} of its {len(films)} films are copies of films of "
                f"the test set {test.info.name}, by hash and pixels; a folder is to hold films that were made without them"
            )


def _by_templates(folder: Path) -> str:
    """The command that makes a dataset, which a provider's folder may be, of films and of masks that are called after them.
    Empty where there are none."""
    from ..data.catalogue import datasets_folder
    from ..data.importers.manifest_folder import described

    if "--mask" not in (called := described(folder)):
        return ""
    words = shlex.join(["cxrbench", "data", "import", "manifest", str(folder), *called])
    return f"describe them once (`{words} --name NAME`, then --provider folder:{datasets_folder() / 'NAME'}), "
