"""The steps of a run: make synthetic films, train and score a cell.

Each runs in a process of its own (`worker`). The digest of this module and all it imports is part of every key.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import digest
from ..contracts.label_by import LabelBy
from ..contracts.task import Arm, ArmName, Task
from ..data.copies import copies, originals
from ..data.dataset import Dataset, load_dataset
from ..errors import CxrbenchError, InputError, ProviderError, raised
from ..progress import Progress
from ..registry import Plugin, find_provider, find_task
from ..schema import utc_now
from ..settings import restore
from . import along
from .job import Cell, Fitting, Synthesise, Train, Work
from .leaks import check_copies, check_real, of_no_case, refuse_leaks
from .parts import curves_of, parts_of
from .record import Cost, Curve, Downstream, Environment, Fit, Record, Sampled, Value
from .rest import rest_of
from .smoke import preset_of
from .store import FIT, MODEL, SAMPLED, Level, Store

if TYPE_CHECKING:
    from ..contracts.label_by import PerClass
    from ..contracts.provider import Provider
    from ..contracts.task import Illustration, Trained
    from ..training.by_eye import ByEye
    from ..training.history import History

ILLUSTRATIONS = "illustrations.npz"
UNSTEADY = "sampled twice with one seed, it gave different films: its films cannot be made again"


def task_of(work: Work) -> Task:
    """The task of a run, with its settings."""
    cls: type[Task] = find_task(work.task).load()
    return cls(restore(cls.presets[preset_of(work.preset)], work.task_settings))


def provider_of(work: Work) -> tuple[Plugin, Any]:
    """The provider of a run and its settings."""
    plugin = find_provider(work.provider)
    return plugin, restore(plugin.load().presets[preset_of(work.preset)], work.provider_settings)


def training_set(work: Work, cell: Cell, task: Task, data: Dataset | None = None) -> Dataset:
    """The films that the provider of a cell is fitted on. `data`: `work.data`, where it is open and may be shared."""
    films = data if data is not None and work.fit_data == work.data else load_dataset(work.fit_data)
    return task.training_set(films, cell.slot)


def _rest(work: Work, cell: Cell) -> Dataset | None:
    """The real training films outside of the size, for a provider that is given them."""
    if cell.identity.provider is None or not cell.identity.provider.rest:
        return None
    films = rest_of(task_of(work), load_dataset(work.fit_data), cell.slot)
    if not len(films):
        raise InputError(f"size {cell.slot.size} of seed {cell.seed} leaves no other real films: name a smaller size")
    return films.read_only()


def synthesise(job: Synthesise, progress: Progress) -> dict[str, Any]:
    """Fit the provider (or take the fitted one of the store), sample its films, have them annotated where it does not do
    that itself, check them, and keep them in the store. What they are checked against is opened anew: whatever a provider
    does to the films that it is given, its judge has others."""
    from ..contracts.collector import Collector, fill
    from ..device import peak_memory
    from .sampling_rate import sampling_rate

    work, cell = job.work, job.cell
    store, task, fit_key = Store(work.store), task_of(work), str(cell.fit_key)
    plugin, settings = provider_of(work)
    train = training_set(work, cell, task)
    if not store.sound(Level.FITS, fit_key):
        _fit(job, store, plugin, settings, train.read_only(), progress.part("fit", 0.0, 0.9))
        train = training_set(work, cell, task)
    provider = _load(plugin, store.path(Level.FITS, fit_key) / "provider", settings, job)
    data = load_dataset(work.data)
    count = cell.synthetic_count(task, data)
    taught = cell.label_by is LabelBy.TEACHER
    wanted = frozenset() if taught else frozenset({task.needs})
    collector = Collector(plugin.name, train, wanted, count, resolution=task.settings.resolution)
    part, start = progress.part("sample", 0.9, 0.98), time.perf_counter()
    films = _guarded(plugin.name, "sample", lambda: fill(collector, provider, seed=cell.draw("sample"), progress=part))
    seconds = time.perf_counter() - start - collector.seconds
    said = _said(plugin.name, provider)
    if taught:
        teacher = task.load_model(store.path(Level.RECORDS, str(cell.teacher_key)) / MODEL, data)
        real = train.resized(task.settings.resolution)
        films = task.annotate(teacher, films, real, seed=cell.draw("annotate"), device=job.device)
    test = task.test_set(data, cell.slot)
    learnt_from = _guarded(plugin.name, "trained_on", provider.trained_on)
    refuse_leaks(plugin.name, films, learnt_from, train, test)
    noticed = (*films.info.remarks, *of_no_case(learnt_from, data))
    checks = check_copies(films, train, test) | check_real(data, train, test) | ({"provider": said} if said else {})
    rate, rounds, repeats = _guarded(
        plugin.name, "sample", lambda: sampling_rate(provider, count, first_seconds=seconds)
    )
    noticed += () if repeats else (UNSTEADY,)
    kept = {} if cell.identity.provider is None else cell.identity.provider.kept
    noticed += tuple(f"a person who looked at samples ended the training of {n} at step {s}" for n, s in kept.items())
    checks |= {"noticed": "; ".join(noticed)} if noticed else {}
    progress.update(0.99, "writing")
    facts = Sampled(
        checks=checks,
        sample_images_per_second=rate,
        rounds=rounds,
        seconds=seconds,
        peak_memory_bytes=peak_memory(job.device),
    )
    with store.adding(Level.SYNTHETIC, job.key) as draft:
        films.save(draft / "dataset")
        (draft / SAMPLED).write_text(facts.model_dump_json(), encoding="utf-8")
    return {}


def fit(job: Fitting, progress: Progress) -> dict[str, Any]:
    """Fit the provider and keep it, with samples and networks at every moment of its trainings, so that a person may end
    them by eye."""
    store, task = Store(job.work.store), task_of(job.work)
    plugin, settings = provider_of(job.work)
    if not store.sound(Level.FITS, job.key):
        _fit(job, store, plugin, settings, training_set(job.work, job.cell, task).read_only(), progress)
    return {}


def _said(name: str, provider: Provider) -> dict[str, float | int | str]:
    """What the provider says of its sampling; ProviderError when it is not plain."""
    facts = dict(_guarded(name, "facts", provider.facts))
    for key, value in facts.items():
        plain_value = isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value))
        if not isinstance(key, str) or not plain_value:
            raise ProviderError(
                f"provider {name}: facts() gave {key} = {value!r}, expected a name and a number or text"
            )
    return facts


def _guarded(name: str, method: str, call: Any) -> Any:
    """A call of provider code; what it raises becomes one line with the provider's name."""
    try:
        return call()
    except CxrbenchError:
        raise
    except Exception as error:
        raise ProviderError(f"provider {name}: {method}() raised {raised(error)}") from error


def _load(plugin: Plugin, folder: Path, settings: Any, job: Synthesise) -> Provider:
    def load(kept: Path) -> Provider:
        made: Provider = _guarded(plugin.name, "load", lambda: plugin.load().load(kept, settings, device=job.device))
        return made

    return _per_class(plugin, settings, job, load).restore(folder) if _is_per_class(job) else load(folder)


def _is_per_class(job: Synthesise | Fitting) -> bool:
    return job.cell.label_by is LabelBy.PER_CLASS


def _per_class(
    plugin: Plugin, settings: Any, job: Synthesise | Fitting, load: Callable[[Path], Provider] | None = None
) -> PerClass:
    from ..contracts.label_by import PerClass

    return PerClass(lambda: plugin.make(settings, device=job.device), load, device=job.device)


def _fit(
    job: Synthesise | Fitting, store: Store, plugin: Plugin, settings: Any, train: Dataset, progress: Progress
) -> None:
    from ..device import peak_memory
    from ..training.checkpoint import kept_in

    provider = _per_class(plugin, settings, job) if _is_per_class(job) else plugin.make(settings, device=job.device)
    cell = job.cell
    provider.checkpoints = store.checkpoints(str(cell.fit_key))
    provider.rest = _rest(job.work, cell)
    start = time.perf_counter()
    with kept_in(provider.checkpoints), _looked_at(job, store) as eye:
        _guarded(plugin.name, "fit", lambda: provider.fit(train, seed=cell.draw("fit"), progress=progress))
    if missing := [name for name in eye.ends if name not in eye.done]:
        raise InputError(f"provider {plugin.name} has no training '{missing[0]}' to keep a step of; it has {eye.done}")
    seconds = time.perf_counter() - start
    curves = {name: _curve(history) for name, history in provider.histories().items()}
    seen = sum(history.images_seen for history in provider.histories().values())
    facts = Fit(
        seconds=seconds,
        train_images_per_second=seen / seconds if seen else None,
        parameters=provider.parameter_count(),
        peak_memory_bytes=peak_memory(job.device),
        precision=next((curve.precision for curve in curves.values() if curve.precision), "32-true"),
        weights=provider.weights_used,
        curves=curves,
        kept=dict(eye.ends),
        kept_by="a person who looked at samples along the training" if eye.ends else "",
    )
    with store.adding(Level.FITS, str(cell.fit_key)) as draft:
        (draft / "provider").mkdir()
        _guarded(plugin.name, "save", lambda: provider.save(draft / "provider"))
        (draft / FIT).write_text(facts.model_dump_json(), encoding="utf-8")
        samples = along.by_name(plugin.name, _guarded(plugin.name, "timeline", provider.timeline))
        along.keep(samples, draft / along.FILE)
    rmtree(provider.checkpoints, ignore_errors=True)


def _looked_at(job: Synthesise | Fitting, store: Store) -> AbstractContextManager[ByEye]:
    """A block whose trainings end where a person said, and keep their moments where one looks."""
    from ..training.by_eye import ByEye, by_eye

    provider, looks = job.cell.identity.provider, isinstance(job, Fitting)
    ends = {} if provider is None else provider.kept
    folder = store.moments(str(job.cell.whole_key)) if looks or ends else None
    return by_eye(ByEye(folder, ends, keeps=looks))


def _curve(history: History) -> Curve:
    rate = history.images_per_second or None
    return Curve(rows=history.rows, images_per_second=rate, precision=history.precision)


def _cost(job: Train, fit: Fit, made: Sampled) -> Cost:
    from ..device import device_name

    return Cost(
        parameters=fit.parameters,
        fit_seconds=fit.seconds,
        train_images_per_second=fit.train_images_per_second,
        sample_images_per_second=made.sample_images_per_second,
        peak_memory_bytes=max(fit.peak_memory_bytes, made.peak_memory_bytes),
        device=device_name(job.device),
        precision=fit.precision,
        threads=job.threads,
        weights=fit.weights,
    )


def run_cell(job: Train, progress: Progress) -> dict[str, Any]:
    """Train the downstream model of a cell, predict, score, and keep the record."""
    from ..training.checkpoint import kept_in

    work, cell = job.work, job.cell
    store, task, data = Store(work.store), task_of(work), load_dataset(work.data)
    test = task.test_set(data, cell.slot)
    arm, real = _arm(job, store, task, data)
    checkpoints = store.checkpoints(job.key)
    start = time.perf_counter()
    with kept_in(checkpoints):
        trained = task.train(
            arm, seed=cell.draw("train"), device=job.device, progress=progress.part("train", 0.0, 0.95)
        )
    seconds = time.perf_counter() - start
    predictions = task.predict(trained.model, test, device=job.device)
    progress.update(0.97, "score")
    scores = task.score(predictions, test)
    with store.adding(Level.RECORDS, job.key) as draft:
        scores.to_parquet(draft / "scores.parquet", index=False)
        predictions.save(draft / "predictions.npz")
        task.save_model(trained.model, draft / MODEL)
        _keep_illustrations(task.illustrate(trained.model, test, device=job.device), draft / ILLUSTRATIONS)
        files = {path.name: digest.of_file(path) for path in sorted(draft.iterdir())}
        count = cell.synthetic_count(task, data) if cell.slot.arm.uses_provider else 0
        downstream = _downstream(
            task, arm, trained, seconds, tested=len(test), synthetic=count, real=real, device=job.device
        )
        downstream.curves.update(curves_of(cell, store, arm.parts))
        table = [Value.model_validate(row) for row in task.summarise(scores).to_dict("records")]
        record = _record(job, store, arm, data, test, table=table, downstream=downstream, files=files)
        (draft / "record.json").write_text(record.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
    rmtree(checkpoints, ignore_errors=True)
    return {}


def _used(arm: Arm) -> list[Dataset]:
    """The films that a downstream model was trained on."""
    return [part for part in (arm.real, arm.synthetic) if part is not None]


def _downstream(
    task: Task,
    arm: Arm,
    trained: Trained,
    seconds: float,
    *,
    tested: int,
    synthetic: int,
    real: int | None,
    device: str,
) -> Downstream:
    from ..device import peak_memory

    return Downstream(
        seconds=seconds,
        train_films=sum(len(task.learnt_from(part)) for part in _used(arm)),
        test_films=tested,
        synthetic_films=synthetic,
        real_films=real,
        curves={name: _curve(history) for name, history in trained.histories.items()},
        weights=task.weights_used(),
        peak_memory_bytes=peak_memory(device),
    )


def _record(
    job: Train,
    store: Store,
    arm: Arm,
    data: Dataset,
    test: Dataset,
    *,
    table: list[Value],
    downstream: Downstream,
    files: dict[str, str],
) -> Record:
    cell = job.cell
    provided = cell.fit_key is not None and cell.synthetic_key is not None
    made = store.sampled(str(cell.synthetic_key)) if provided else None
    learnt = arm.real if arm.real is not None or made is not None else training_set(job.work, cell, task_of(job.work))
    alone = {} if made is not None or learnt is None else check_real(data, learnt, test)
    return Record(
        key=job.key,
        cell=cell.identity,
        table=table,
        train_ids=digest.of_json(sorted(case for part in _used(arm) for case in part.ids)),
        test_ids=digest.of_json(sorted(test.ids)),
        downstream=downstream,
        cost=None if made is None else _cost(job, store.fit(str(cell.fit_key)), made),
        environment=environment(job.device, job.threads),
        synthetic_key=cell.synthetic_key,
        fit_key=cell.fit_key,
        checks=alone if made is None else made.checks,
        files=files,
        created=utc_now(),
    )


def _keep_illustrations(pictures: Sequence[Illustration], path: Path) -> None:
    """Pictures of what a model does: `pictures` uint8 (K, H, W, 3) and their `captions`; no file where there are none."""
    if pictures:
        captions = np.array([picture.caption for picture in pictures], dtype=np.str_)
        np.savez_compressed(path, pictures=np.stack([picture.pixels for picture in pictures]), captions=captions)


def _arm(job: Train, store: Store, task: Task, data: Dataset) -> tuple[Arm, int | None]:
    """What a cell is trained on, and how many different real films, before augmentation, its size is: None where it sees a
    provider's films alone."""
    cell, name = job.cell, job.cell.slot.arm
    films = None
    if name is not ArmName.SYNTHETIC or cell.identity.placebo:
        films = training_set(job.work, cell, task, data).resized(task.settings.resolution)
    real = None if name is ArmName.SYNTHETIC else films
    trains = name in (ArmName.SYNTHETIC, ArmName.MIXED)
    made = None
    if trains or task.validates_on_synthetic:
        if cell.identity.placebo:
            assert films is not None
            made = copies(task.learnt_from(films), cell.synthetic_count(task, data), seed=cell.draw("placebo"))
        else:
            made = store.synthetic(str(cell.synthetic_key))
    start = None
    if name is ArmName.FINETUNE:
        start = task.load_model(store.path(Level.RECORDS, str(cell.start_key)) / MODEL, data)
    validation = made if made is not None and not trains else task.validation_set(data, cell.slot)
    different = None if films is None else len(set(originals(task.learnt_from(films))))
    parts = parts_of(cell, store, task, data)
    return Arm(name, real, made if trains else None, start, validation, task.structures(data), parts), different


def environment(device: str, threads: int) -> Environment:
    """Where numbers are made."""
    from ... import __version__
    from ..device import device_name

    return Environment(
        cxrbench=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        device=device_name(device),
        threads=threads,
        packages=digest.of_packages(),
    )
