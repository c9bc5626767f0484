"""What every preset costs, counted: writes `docs/presets.md`.

`python -m tests.benchmarks.count_presets [NAME[/PRESET] ...]`, or with `--write` from what is kept: these counts, and what
`smoke_presets` measured.

Fits are counted on films of the counts of the task's own data (a small phantom, brought to the side that a preset has);
nothing is trained and no large picture is drawn. What was counted is kept beside this file, so that one name can be renewed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cxrbench.benchmark import digest
from cxrbench.benchmark.contracts.provider import Provider
from cxrbench.benchmark.contracts.task import ArmName, Task
from cxrbench.benchmark.data.catalogue import find_dataset
from cxrbench.benchmark.data.dataset import Dataset, scaled
from cxrbench.benchmark.data.film_rows import Films
from cxrbench.benchmark.errors import raised
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import PROVIDERS, TASKS, Plugin, plugins
from cxrbench.benchmark.settings import keyed
from cxrbench.benchmark.speed.counted import CHIPS, Count, needed, shown_bytes, shown_flops, total_seconds
from cxrbench.benchmark.speed.counting import cell_count, fit_count
from cxrbench.leaderboard.counted import Counted, CountedCell, CountedFit

from .smoke_presets import Pair, pairs

KEPT = Path(__file__).with_name("presets.json")
SMOKED = Path(__file__).with_name("smoke.json")
DOCS = Path(__file__).parents[2] / "docs" / "presets.md"
SMALL = {"phantom_nih": "phantom_nih-500"}
"""Data that stand for a task's own here, by its name."""
PRESETS = ("standard", "paper")
CHECKS = Path(__file__).parents[2] / "leaderboard" / "counted.json"
SHOWN = ("h100", "rtx4090")


SIDE = 64
"""Pixels of the films of which training sets are made; what is copied and turned there takes long with more."""


@cache
def films_of(name: str) -> Dataset:
    """The films of a set, small."""
    return find_dataset(SMALL.get(name, name), SIDE, Progress())


def enlarged(films: Dataset, side: int) -> Dataset:
    """Films at a side, as their pixels repeated: no count depends on what they show, and to resize some thousand films with
    masks takes longer than to count."""
    places = np.arange(side) * films.resolution // side
    info, boxes = scaled(films.info, films.boxes, side)

    def repeated(pixels: Films | None) -> np.ndarray | None:
        return None if pixels is None else np.asarray(pixels)[:, places][:, :, places]

    return Dataset(
        info=info, images=repeated(films.images), cases=films.cases, masks=repeated(films.masks), boxes=boxes
    )


def slot_of(task: Task, data: Dataset, arm: ArmName):
    """The largest slot of an arm."""
    slots = list(task.slots(data))
    return next((slot for slot in slots if slot.arm is arm and slot.size == "full"), slots[0])


ELSEWHERE = ("dcgan_pair@scr_official",)
"""Providers on other tasks than their own, where that makes other films."""


def of_fit(name: str) -> tuple[Plugin, str]:
    """A provider and the task that it is counted on: `provider@task`, or its home task."""
    provider, _, task = name.partition("@")
    plugin = plugins(PROVIDERS)[provider]
    return plugin, task or plugin.load().home_task or "scr_official"


def count_one(kind: str, name: str, preset: str) -> Count:
    """Of a provider on its home task, or of a task's REAL cell."""
    plugin, on = of_fit(name) if kind == "fit" else (plugins(TASKS)[name], name)
    cls = plugins(TASKS)[on].load()
    task: Task = cls(cls.presets[preset])
    small, side = films_of(task.default_data), task.settings.resolution
    slot = slot_of(task, small, ArmName.REAL)
    train = task.training_set(small, slot)
    if kind == "fit":
        films, count = enlarged(train, task.settings.fit_resolution), task.synthetic_count(small, slot)
        return fit_count(plugin, plugin.load().presets[preset], films, count, side)
    return cell_count(task, enlarged(small, side), slot, enlarged(train, side), 0)


def wanted(names: list[str]) -> list[tuple[str, str, str]]:
    """What is counted: providers with networks, and tasks, at presets."""
    every = [("cell", name, preset) for name in plugins(TASKS) for preset in PRESETS]
    for name, plugin in plugins(PROVIDERS).items():
        if plugin.load().build is not Provider.build:
            every += [("fit", name, preset) for preset in PRESETS]
    every += [("fit", name, preset) for name in ELSEWHERE for preset in PRESETS]
    if not names:
        return every
    every += [(kind, name, "quick") for kind, name, preset in every if preset == PRESETS[0]]
    return [one for name in names for one in every if name in (one[1], f"{one[1]}/{one[2]}")]


def main(names: list[str], *, write: bool = False) -> None:
    """Count what is asked for and write the table; `write`: only that."""
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    if write:
        write_docs(kept)
        return
    datasets = Path(os.environ["CXRBENCH_HOME"]) / "datasets"
    datasets.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "datasets").symlink_to(datasets.resolve())
        os.environ["CXRBENCH_HOME"] = folder
        for kind, name, preset in wanted(names):
            start = time.perf_counter()
            try:
                kept[f"{kind}/{name}/{preset}"] = count_one(kind, name, preset).model_dump(mode="json")
                said = "counted"
            except Exception as error:
                said = raised(error)
            print(kind, name, preset, f"{time.perf_counter() - start:.1f} s", said, flush=True)
            KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    write_docs(kept)
    write_checks(kept)


def write_checks(kept: dict[str, object]) -> None:
    """What the checker of entries holds their costs against."""
    cells, fits = [], []
    for key, found in sorted(kept.items()):
        kind, name, preset = key.split("/")
        count = Count.model_validate(found)
        if kind == "cell":
            step = min(one.step_flops for one in count.trainings)
            version = plugins(TASKS)[name].load().version
            cells.append(CountedCell(task=name, version=version, preset=preset, step_flops=step))
            continue
        plugin, task = of_fit(name)
        fits.append(
            CountedFit(
                provider=plugin.name,
                task=task,
                preset=preset,
                settings=digest.of_json(keyed(plugin.load().presets[preset])),
                film_flops=min(one.step_flops / one.batch for one in count.trainings),
                sampling_flops=count.sampling_flops,
            )
        )
    CHECKS.write_text(Counted(cells=tuple(cells), fits=tuple(fits)).model_dump_json(indent=1) + "\n", encoding="utf-8")


HEAD = """# What the presets cost

Written by `python -m tests.benchmarks.count_presets`. For one run of yours: `cxrbench run ... --dry-run --on h100`.

**Counted**, without training: FLOPs (2 a multiply-add, forward and backward, all steps of the settings; a validated
training may stop earlier), steps, and the most bytes that a step or a draw of films holds on the device: weights,
gradients, state of the optimiser, activations and what operations give, in float32 (under bfloat16 less), with 15 %
for the allocator (stated, not measured). Host: films and masks of the training set, and synthetic films. Fits are
counted on the task's own phantom (`nih_classification`: one of 500 films), REAL cells on its full size. Not counted:
FLOPs of validation and test, lung regions, and the bytes of the training films where a fit keeps them on the device
(`edm_pair` at `paper`: films and maps of distances as float32, 18.7 GB).

Where a length is passes over the films (`paper` of the VAEs and LSGANs), the steps and FLOPs are those of the 500 films:
a pass over all NIH films is 1,217 batches, where it is 6 here. Draws by Heun's method count the last step, half of one, as
a whole.

**Stated**, not measured: hours are FLOPs at 15 % of the data sheet's peak (bfloat16 where the training allows it,
else TF32), or 10 microseconds an operation where that is longer.

**Measured** on an NVIDIA H200 with one or two other trainings on it: a REAL cell of `scr_official` at `standard` 54 s,
and the fit of `three_stage` there 267 s with 2.2 GB of the device ([measured](measured.md)).

On all NIH films `nih_classification` at `standard` has 15,000 + 15,000 of its counted steps: 8.0 PFLOP, 56 minutes by the
start of operations.

| what | preset | steps | FLOPs | device | host | H100, 80 GB | RTX 4090, 24 GB |
|---|---|---|---|---|---|---|---|
"""


def hours(count: Count, chip: str) -> str:
    """Hours of the trainings on a chip, or that they do not fit."""
    if needed(count) > CHIPS[chip].memory:
        return "does not fit"
    found = total_seconds(CHIPS[chip], [count])
    return f"{found / 3600:.2g} h" if found >= 360 else f"{max(1, round(found / 60))} min"


def fit_words(name: str) -> str:
    """`fit of vae (nih_classification)`."""
    plugin, task = of_fit(name)
    return f"fit of `{plugin.name}` ({task})"


def write_docs(kept: dict[str, object]) -> None:
    """The table of all that was counted."""
    rows = []
    shown = [key for key in kept if key.split("/")[2] in PRESETS]
    for key in sorted(shown, key=lambda one: (one.split("/")[0], one.split("/")[1], PRESETS.index(one.split("/")[2]))):
        kind, name, preset = key.split("/")
        count = Count.model_validate(kept[key])
        what = f"a REAL cell of `{name}`" if kind == "cell" else fit_words(name)
        steps = " + ".join(f"{one.steps:,}" for one in count.trainings)
        cells = [
            what,
            preset,
            steps,
            shown_flops(count.flops),
            shown_bytes(needed(count)),
            shown_bytes(count.host_bytes),
        ]
        rows.append("| " + " | ".join([*cells, *(hours(count, chip) for chip in SHOWN)]) + " |")
    smoked = json.loads(SMOKED.read_text(encoding="utf-8")) if SMOKED.is_file() else {}
    text = HEAD + "\n".join(rows) + "\n" + uncounted(kept) + smoke_table(smoked, kept)
    DOCS.write_text(text, encoding="utf-8")


def uncounted(kept: Mapping[str, object]) -> str:
    """What has no row yet, by name."""
    left = [f"`{name}` {preset}" for kind, name, preset in wanted([]) if f"{kind}/{name}/{preset}" not in kept]
    return f"\nNot counted yet: {', '.join(left)}.\n" if left else ""


SMOKE = """
## Smoke runs

Written by the same command from what `python -m tests.benchmarks.smoke_presets` measured: the preset's networks and sizes,
two steps of every training, twelve synthetic films, a handful of real ones and one fold, one thread a step. A stage is
shown with its seconds, and behind the stroke those of a step of its slowest training (its second one; of a film where the
batch is not counted). Memory: the largest resident set of a step's process. Time of a core is that of all processes for
what the store did not have yet (REAL is made once for all providers of a task), and does not depend on other
work as the seconds do; beside the processor stand its cores and its load.

| what | preset | on | fit | REAL | SYNTHETIC | films a second | most memory | of a core |
|---|---|---|---|---|---|---|---|---|
"""
MOST = 20e9
"""Bytes that a machine of 23 GB has for one process."""


def smoke_table(smoked: Mapping[str, dict[str, Any]], kept: Mapping[str, object]) -> str:
    """The table of what was smoked, and why the rest was not."""
    rows, large, waiting = [], [], Counter[str]()
    for pair in pairs():
        found = smoked.get(pair.key)
        if found is not None:
            rows.append(_smoke_row(pair, found, kept))
            continue
        most = max((needed(Count.model_validate(kept[key])) for key in _counts_of(pair) if key in kept), default=0)
        if most > MOST:
            large.append(f"`{pair.provider}` on `{pair.task}` at {pair.preset} ({shown_bytes(most)} counted)")
        else:
            waiting[f"`{pair.task}` at {pair.preset}"] += 1
    text = SMOKE + "".join(f"{row}\n" for row in rows) if rows else "\n## Smoke runs\n"
    if large:
        text += f"\nNot run, too large for a machine of 23 GB: {', '.join(large)}.\n"
    if waiting:
        left = ", ".join(f"{count} on {where}" for where, count in waiting.items())
        text += f"\nNot run yet, for want of time on a shared machine, by the number of providers: {left}.\n"
    return text


def _counts_of(pair: Pair) -> list[str]:
    """The keys of what was counted of a pair; a provider alone is counted on its home task."""
    cell, fit = f"cell/{pair.task}/{pair.preset}", f"fit/{pair.provider}@{pair.task}/{pair.preset}"
    home = plugins(PROVIDERS)[pair.provider].load().home_task == pair.task
    return [cell, fit, *([f"fit/{pair.provider}/{pair.preset}"] if home else [])]


def _smoke_row(pair: Pair, found: dict[str, Any], kept: Mapping[str, object]) -> str:
    head, core = f"| `{pair.provider}` on `{pair.task}` | {pair.preset} |", f"{found.get('core_seconds', 0)} s"
    if "ended" in found:
        what = f"ended after {found['ended']}, at: {found['reached']}"
        return f"{head} {what} | – | – | – | – | {shown_bytes(found['most_bytes'])} | {core} |"
    if "failed" in found:
        return f"{head} failed: {found['failed']} | – | – | – | – | – | {core} |"
    on = f"{found['on']}, {found['cores']} cores, load {found['load']:.0f}"
    cell, *fits = _counts_of(pair)
    stages = [(found.get(stage, {}), keys) for stage, keys in (("fit", fits), ("real", [cell]), ("synthetic", [cell]))]
    rate = found.get("sample", {}).get("films_per_second")
    most = shown_bytes(max(one.get("bytes", 0) for one, _ in stages))
    cells = [
        on,
        *(_stage(one, _batch(keys, kept)) for one, keys in stages),
        "–" if rate is None else f"{rate:g}",
        most,
        core,
    ]
    return f"{head} {' | '.join(cells)} |"


def _batch(keys: Sequence[str], kept: Mapping[str, object]) -> int:
    """Films of the largest counted step; 0 where nothing is counted."""
    counts = [Count.model_validate(kept[key]) for key in keys if key in kept]
    return max((one.batch for count in counts for one in count.trainings), default=0)


def _stage(took: Mapping[str, float], batch: int) -> str:
    """`93 s / 4.1 s`: a stage and a step of it."""
    if not took:
        return "–"
    said = f"{took['seconds']:g} s"
    if rate := took.get("films_per_second"):
        said += f" / {batch / rate:.3g} s" if batch else f" / {1 / rate:.2g} s a film"
    return said


if __name__ == "__main__":
    main([one for one in sys.argv[1:] if not one.startswith("--")], write="--write" in sys.argv)
