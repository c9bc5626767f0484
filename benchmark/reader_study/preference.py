"""The study of Ciano et al. 2021, section 5.3 (figures 7 and 8): which segmentation do readers prefer, the target or the
model's? Films with the largest error, both segmentations beside each other in an order that nobody sees, and a comment.

It is made from a finished run, whose films, targets and predictions are at hand. Where organs of the target overlap the
smaller one is drawn over the larger one, as in a label map, so that overlaps do not tell the two apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from .. import digest
from ..contracts.task import ArmName, Slot, Task
from ..data.catalogue import find_dataset
from ..data.contact_sheet import organ_colours, outlined
from ..data.dataset import Dataset
from ..errors import InputError, StoreError, unknown
from ..files import new_folder
from ..metrics.scores import AVERAGE, case_scores, finite
from ..progress import Progress
from ..registry import find_task
from ..runs.kept import RESULTS, keys_of_run
from ..runs.own_store import home_store
from ..runs.record import Record
from ..runs.smoke import preset_of
from ..runs.store import Store
from ..schema import Strict, utc_now
from ..settings import restore
from . import page
from .draw import plain_png
from .study import KEY, PAGE, SCHEMA, rows_bytes, sha256, write_folder

if TYPE_CHECKING:
    from ..contracts.task import Predictions

KIND = "preference"
TARGET, PREDICTION = "target", "prediction"
ALL_ORGANS = "all organs"
"""The question about the segmentation as a whole, which the paper asked; those about one organ follow it."""
FILMS = 20
BITS = 8


@dataclass(frozen=True)
class PreferencePlan:
    """What to show. `run`: the folder of a finished run; which of its models (by default its first size, fold and seed, and
    FINETUNE, else its last arm); the `count` films with the largest error, or those of the ids `cases`."""

    run: Path
    size: str | None = None
    arm: str | None = None
    fold: str | None = None
    model_seed: int | None = None
    count: int = FILMS
    cases: tuple[str, ...] = ()
    seed: int = 0
    resolution: int = 512


class PreferenceStudy(Strict):
    """What was shown and how it was chosen. `metric`: by which films are ranked; `record`: the key of the model's record."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    kind: str = KIND
    id: str
    created: str
    cxrbench: str
    seed: int
    task: str
    data: str
    provider: str
    size: str
    arm: str
    fold: str
    model_seed: int
    record: str
    metric: str
    chosen: str
    organs: list[str]
    """The questions of a film, in order."""
    films: int
    side: int
    files: dict[str, str]
    """sha256 of the page and of the key."""


@dataclass(frozen=True)
class PreferenceItem:
    """A line of the key: the name that readers see, the film, which segmentation is number 1, and the model's score."""

    item: str
    case: str
    first: str
    score: str
    pixels: str
    """sha256 of the film as shown."""

    def chosen(self, number: str) -> str:
        """What a reader chose by its number: the target, the prediction, or none."""
        other = TARGET if self.first == PREDICTION else PREDICTION
        return {"1": self.first, "2": other}.get(number, "none")


def build_preference(plan: PreferencePlan, out: Path, progress: Progress | None = None) -> PreferenceStudy:
    """Write `out/study.html` and `out/key/` (all of it or nothing). InputError says what is missing."""
    if plan.count < 1:
        raise InputError(f"--count {plan.count}: expected 1 or more")
    if not 128 <= plan.resolution <= 2048:
        raise InputError(f"--resolution {plan.resolution}: expected 128 to 2048 pixels")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} is there already; a study is never overwritten: choose another folder")
    progress = progress or Progress()
    store = home_store()
    record = _model(plan, store)
    task, test = _test(record, progress.part("films", 0.0, 0.5))
    structures, truth = _target(task, test)
    predictions = _labels(store, record, test)
    scores, metric = _scores(store, record, task, structures)
    chosen = _chosen(plan, scores, metric.higher_is_better, test)
    drawn = _draw(plan, chosen, test, truth, predictions, structures, progress.part("pages", 0.5, 1.0))
    asked = [ALL_ORGANS, *structures] if len(structures) > 1 else list(structures)
    colours = dict(zip(structures, organ_colours(structures), strict=True))
    items = [
        PreferenceItem(name, film.case, film.first, f"{scores[film.case]:.6g}", film.pixels)
        for name, film in drawn.items()
    ]
    identity = "p" + digest.of_json([SCHEMA, KIND, [asdict(one) for one in items], asked])[:12]
    html = page.render_preference(identity, [(name, film.pictures) for name, film in drawn.items()], asked, colours)
    cell = record.cell
    study = PreferenceStudy(
        id=identity,
        created=utc_now(),
        cxrbench=_version(),
        seed=plan.seed,
        task=f"{cell.task.name} v{cell.task.version}, {cell.preset}",
        data=cell.data.name,
        provider="" if cell.provider is None else cell.provider.title,
        size=cell.size,
        arm=cell.arm,
        fold=cell.fold,
        model_seed=cell.seed,
        record=record.key,
        metric=metric.name,
        chosen="by id" if plan.cases else f"the {len(items)} films with the largest error of {len(test)}",
        organs=asked,
        films=len(items),
        side=plan.resolution,
        files={PAGE: sha256(html.encode()), "key.csv": sha256(rows_bytes(PreferenceItem, items))},
    )
    with new_folder(out) as draft:
        (draft / PAGE).write_bytes(html.encode())
        write_folder(draft / KEY, study, rows_bytes(PreferenceItem, items))
        if out.is_dir():
            out.rmdir()
    return study


# ---------------------------------------------------------------------------------------------------------- the model


def _model(plan: PreferencePlan, store: Store) -> Record:
    """The record of the run's model that is asked for."""
    path = plan.run if plan.run.is_file() else plan.run / RESULTS
    if not path.is_file():
        raise InputError(f"--run {plan.run}: no {RESULTS} here; expected the folder of a finished `cxrbench run`")
    records = []
    for key in keys_of_run(path):
        try:
            records.append(store.record(key))
        except StoreError:
            continue  # pruned, or made elsewhere
    records = [one for one in records if not one.cell.placebo and one.cell.synthetic is None]
    if not records:
        raise InputError(f"--run {plan.run}: none of its models is in the store; run the same command again")
    for what, asked in (("size", plan.size), ("fold", plan.fold), ("model-seed", plan.model_seed), ("arm", plan.arm)):
        values = {one.key: getattr(one.cell, what.removeprefix("model-")) for one in records}
        wanted = asked if asked is not None else _first_choice(what, list(values.values()))
        if wanted not in values.values():
            raise unknown(what, str(asked), sorted({str(value) for value in values.values()}))
        records = [one for one in records if values[one.key] == wanted]
    return records[0]


def _first_choice(what: str, values: Sequence[object]) -> object:
    if what != "arm":
        return values[0]
    order = [arm.value for arm in ArmName]
    finetune = ArmName.FINETUNE.value
    return finetune if finetune in values else max(values, key=lambda arm: order.index(str(arm)))


def _test(record: Record, progress: Progress) -> tuple[Task, Dataset]:
    """The task of a record and its test films; InputError where these are not what they were."""
    cell = record.cell
    cls: type[Task] = find_task(cell.task.name).load()
    task = cls(restore(cls.presets[preset_of(cell.preset)], cell.task.settings))
    data = find_dataset(cell.data.name, task.settings.resolution, progress)
    test = task.test_set(data, Slot(cell.fold, cell.size, ArmName(cell.arm), cell.seed))
    if digest.of_json(sorted(test.ids)) != record.test_ids or cell.data.truth not in ("", data.truth):
        raise InputError(f"dataset {cell.data.name} is no longer the one that the run was tested on; run it again")
    return task, test


def _target(task: Task, test: Dataset) -> tuple[list[str], np.ndarray]:
    """The scored structures, and the target as bit flags uint8 (N, H, W) that do not overlap."""
    structures, truth = list(task.structures(test)), task.truth(test)
    if truth is None or not 1 <= len(structures) <= BITS:
        raise InputError(f"{task.name}: its films have no masks of organs; a study of preferences is of segmentations")
    flags = np.zeros((len(truth), *truth.shape[2:]), dtype=np.uint8)
    for number in np.argsort(-truth.sum(axis=(0, 2, 3)), kind="stable"):  # the smaller over the larger
        flags[truth[:, number]] = 1 << number
    return structures, flags


def _labels(store: Store, record: Record, test: Dataset) -> np.ndarray:
    """The model's label maps as bit flags uint8 (N, H, W), in the order of the test films."""
    found: Predictions = store.predictions(record.key)
    labels = found.arrays.get("labels")
    if labels is None or labels.ndim != 3 or labels.dtype != np.uint8:
        raise InputError(
            f"{record.cell.task.name}: its models predict no label maps; a study of preferences needs them"
        )
    bits = np.array([0, *(1 << bit for bit in range(BITS))], dtype=np.uint8)
    place = {name: row for row, name in enumerate(found.ids)}
    flags: np.ndarray = bits[np.minimum(labels[[place[name] for name in test.ids]], BITS)]
    return flags


class _Metric(Strict):
    name: str
    higher_is_better: bool


def _scores(store: Store, record: Record, task: Task, structures: Sequence[str]) -> tuple[Mapping[str, float], _Metric]:
    """The average score of every test film by the task's first metric of single films; a film without one has NaN."""
    scores = store.scores(record.key).assign(fold="", seed=0)
    names = [task.primary, *task.paired_metrics()]
    name = next((one for one in names if one in set(scores["metric"])), None)
    if name is None:
        raise InputError(f"{task.name} has no score of single films to choose them by; give --cases ID,ID")
    wide = case_scores(scores, structures, name).droplevel("fold")
    column = wide[AVERAGE] if AVERAGE in wide else wide.iloc[:, 0]
    metric = next(one for one in task.metrics if one.name == name)
    higher = metric.higher_is_better
    return {str(case): float(value) for case, value in column.items()}, _Metric(name=name, higher_is_better=higher)


def _chosen(plan: PreferencePlan, scores: Mapping[str, float], higher: bool, test: Dataset) -> list[str]:
    """The ids asked for, or those of the films with the largest error; films without a score come first."""
    if plan.cases:
        known = set(test.ids)
        if wrong := [case for case in plan.cases if case not in known]:
            raise unknown("test film", wrong[0], test.ids)
        return list(dict.fromkeys(plan.cases))

    def goodness(case: str) -> float:
        value = finite(scores.get(case))
        return -np.inf if value is None else value if higher else -value

    return sorted(test.ids, key=goodness)[: plan.count]


# ------------------------------------------------------------------------------------------------------------- the films


@dataclass(frozen=True)
class _Drawn:
    """A film as it is shown: PNG files of the film and of segmentations 1 and 2; which of them is number 1."""

    case: str
    first: str
    pixels: str
    pictures: tuple[bytes, bytes, bytes]


def _draw(
    plan: PreferencePlan,
    cases: Sequence[str],
    test: Dataset,
    truth: np.ndarray,
    predicted: np.ndarray,
    structures: Sequence[str],
    progress: Progress,
) -> dict[str, _Drawn]:
    """The films by the names that readers see, in the order that they see them, both from the seed and the pixels."""
    drawn, copies, rows = {}, Counter[str](), {case: row for row, case in enumerate(test.ids)}
    for number, case in enumerate(cases, 1):
        film = np.asarray(test.images[rows[case]])
        pixels = digest.of_array(film)
        copies[pixels] += 1
        swap = digest.derive_seed("reader_study", KIND, plan.seed, case) % 2
        pictures = [
            plain_png(outlined(film, flags, structures, plan.resolution))
            for flags in (None, truth[rows[case]], predicted[rows[case]])
        ]
        plain, one, two = pictures if not swap else (pictures[0], pictures[2], pictures[1])
        name = "f" + digest.of_json([plan.seed, pixels, copies[pixels]])[:10]
        drawn[name] = _Drawn(case, PREDICTION if swap else TARGET, pixels, (plain, one, two))
        progress.update(number / len(cases), f"{number}/{len(cases)}")
    return dict(sorted(drawn.items()))


def _version() -> str:
    from ... import __version__

    return __version__
