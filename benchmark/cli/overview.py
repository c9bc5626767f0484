"""The small table of what films were understood as: after an import, beside a contact sheet, before a run on a folder."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..console_tables import cell, show, table, tell
from ..data.parts import films_in_words
from ..errors import InputError, ProviderError

if TYPE_CHECKING:
    from ..contracts.task import Slot
    from ..data.dataset import Dataset
    from ..runs.request import Prepared

SCHEME = "folder:"
_COUNTS = ("synthetic", "synthetic_most")
"""Settings of tasks that say how many films are taken."""


def print_overview(
    films: Dataset,
    file: IO[str] | None = None,
    *,
    remarks: bool = False,
    noticed: Sequence[str] = (),
    of_patients: bool = True,
) -> None:
    """Print what films were understood as and, with `remarks`, what was noticed when they were read, and what else was.
    of_patients: False for generated films."""
    from ..data.overview import overview

    lines: Iterable[Sequence[str]] = overview(films, of_patients=of_patients)
    if remarks:
        lines = [*lines, *(("noticed", remark) for remark in (*films.info.remarks, *noticed))]
    made = table(("", "understood"), left=2)
    for what, found in lines:
        made.add_row(cell(what), cell(found, "bold red" if found.endswith("?") or what == "look at" else ""))
    show(made, file)


def look_at_folder(prepared: Prepared, file: IO[str]) -> None:
    """Before the first use of a folder of films: read it as the run will, and print what it was understood as. InputError
    where it cannot be read, was made of test films, or has fewer films than are taken, before anything is trained."""
    from ..contracts.external import films_of_folder
    from ..contracts.label_by import LabelBy
    from ..contracts.pictures import read_trained_on
    from ..data.copy_pairs import copy_pairs, pairs_in_words
    from ..data.dataset import Annotation
    from ..data.near_copies import count_copies
    from ..runs.job import Synthesise
    from ..runs.leaks import refuse_named
    from .progress_bar import shown_progress

    plan = prepared.plan
    assert plan.generator is not None  # a run has one
    plugin = plan.generator.plugin
    steps = [step for step in prepared.left if isinstance(step, Synthesise)]
    slots = [step.cell.slot for step in steps]
    if not plugin.spec.startswith(SCHEME) or not slots:
        return
    folder = Path(plugin.argument)
    try:
        with shown_progress("reading the folder of films") as progress:
            films = films_of_folder(folder, plan.fit_data, progress)
        learnt_from = read_trained_on(folder)
    except ProviderError as error:
        raise InputError(f"provider {plugin.name}: {error}") from None
    noticed = _not_known(films, learnt_from, plan.data)
    print_overview(films, file, remarks=True, noticed=noticed, of_patients=False)
    if plan.provider.label_by == LabelBy.NATIVE and (needed := plan.task.needs) not in films.annotations:
        if needed == Annotation.MASKS and (both := _folder_with_masks(folder, plugin.spec, plan.data)):
            raise InputError(
                f"provider {plugin.name}: its films have no masks, which {plan.task.name} needs, and masks lie one folder "
                f"up: name the folder that holds both (--provider {both})"
            )
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
        shown = films.resized(test.resolution).images
        if copies := count_copies(shown, test.images):
            pairs = pairs_in_words(copy_pairs(shown, test.images), films.ids, test.ids)
            raise InputError(
                f"provider {plugin.name}: refused (leak): {copies} of its {len(films)} films are copies of films of "
                f"the test set {test.info.name}, by hash and pixels: {pairs}; a folder is to hold films that were made "
                "without them: where the generator saw films of the test set, import the real ones again with those "
                "patients in the split train; to take the copies out of the folder does not mend it"
            )
    taken = [(step.cell.slot, step.cell.synthetic_count(plan.task, plan.data)) for step in steps]
    if few := too_few(len(films), taken):
        if min(count for _, count in taken) > len(films):
            setting = next((one for one in _COUNTS if hasattr(plan.task.settings, one)), None)
            cure = f", or take fewer: --set task.{setting}={len(films)}" if setting else ""
            raise InputError(f"provider {plugin.name}: {few}: put more into the folder{cure}")
        tell(f"note   provider {plugin.name}: {few}: these fail, the others are run", file)


def too_few(films: int, taken: Sequence[tuple[Slot, int]]) -> str:
    """What to say of a folder with fewer films than are taken of it, each once; empty where there are enough."""
    lacking = {f"{slot.arm.value} at {slot.size} takes {count}": None for slot, count in taken if count > films}
    return f"it has {films_in_words(films)}, and {', '.join(lacking)}, each once" if lacking else ""


def _not_known(films: Dataset, learnt_from: Sequence[str], data: Dataset) -> tuple[str, ...]:
    """What to say of ids of trained_on.txt that are no case of the data; where none is, how those of the data look; and that
    all are known."""
    from ..runs.leaks import of_no_case, refuse_named

    said = of_no_case(learnt_from, data)
    try:
        refuse_named("", films, learnt_from, (), data)
    except ProviderError:  # some are known
        count = len(dict.fromkeys(learnt_from))
        return said or (f"trained_on: {films_in_words(count)} of {data.info.name}; none of them may be tested",)
    if not said:
        return ()
    one = f"ids of {data.info.name} look like {data.ids[0]}"
    return (*said, f"trained_on: none of its ids is known, so no leak can be seen by them: {one}")


def _folder_with_masks(folder: Path, spec: str, data: Dataset) -> str:
    """The provider that is meant where a folder is the films of one that has masks beside them; empty where it is none."""
    from ..contracts.picture_folders import IMAGES, mask_root

    if folder.name not in IMAGES:
        return ""
    try:
        root, _ = mask_root(folder.parent, data.organs, lambda name: False)
    except ProviderError:
        return ""
    asked = spec.removeprefix(SCHEME)
    return "" if root is None else shlex.quote(f"{SCHEME}{os.path.normpath(os.path.join(asked, os.pardir))}")


def _by_templates(folder: Path) -> str:
    """The command that makes a dataset, which a provider's folder may be, of films and of masks that are called after them.
    Empty where there are none."""
    from ..data.catalogue import datasets_folder
    from ..data.importers.manifest_folder import described

    if "--mask" not in (called := described(folder)):
        return ""
    words = shlex.join(["cxrbench", "data", "import", "manifest", str(folder), *called])
    return f"describe them once (`{words} --name NAME`, then --provider folder:{datasets_folder() / 'NAME'}), "
