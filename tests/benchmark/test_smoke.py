"""`run --smoke`: the code, networks and sizes of a preset, a handful of steps, and nothing that passes for a result."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.contracts.conformance import RESOLUTION, check_films
from cxrbench.benchmark.contracts.provider import Provider
from cxrbench.benchmark.contracts.task import Task
from cxrbench.benchmark.data.dataset import Annotation, Dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.reader_study.sources import provider_films
from cxrbench.benchmark.registry import PROVIDERS, TASKS, plugins
from cxrbench.benchmark.report.words import marks
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.folder import RESULTS
from cxrbench.benchmark.runs.examine import describe
from cxrbench.benchmark.runs.job import Describe
from cxrbench.benchmark.runs.request import PRESETS, Request, execute, prepare, smoked
from cxrbench.benchmark.runs.smoke import FILMS, SAID, STEPS, is_smoke, preset_of, smoke_of
from cxrbench.benchmark.settings import names
from cxrbench.benchmark.training.observer import Observer, watched_by
from cxrbench.leaderboard.pack import pack

from ..toys.toy_films import chests, run_here

TOYS = Path(__file__).parents[1] / "toys"
MOST_STEPS = 24
"""Of a training of a smoke run: a network that grows has a step for each of its phases besides."""
LENGTHS = ("steps", "epochs", "kimg")
"""What the names of settings that are lengths of a training end in."""


class Lengths(Observer):
    def __init__(self) -> None:
        self.every: list[int] = []

    def begins(self, steps, device):
        self.every.append(steps)


@cache
def films_for(produces: frozenset[Annotation]) -> Dataset:
    return check_films(produces, Progress())


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", plugins(PROVIDERS))
def test_every_provider_says_how_each_of_its_presets_is_smoked(name, preset):
    cls: type[Provider] = plugins(PROVIDERS)[name].load()
    own = cls.presets[preset]
    made = cls.smoke(own, STEPS, side=RESOLUTION)
    assert type(made) is type(own)
    assert (made != own) == (cls.build is not Provider.build)
    changed = {key for key in names(own) if at(own, key) != at(made, key)}
    assert all(allowed(key) for key in changed), changed


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", plugins(TASKS))
def test_every_task_says_how_each_of_its_presets_is_smoked(name, preset):
    cls: type[Task] = plugins(TASKS)[name].load()
    own = cls.presets[preset]
    made = smoked(cls(own)).settings
    changed = {key for key in names(own) if at(own, key) != at(made, key)}
    assert changed and all(allowed(key) for key in changed), changed


def at(settings, key: str):
    for part in key.split("."):
        settings = getattr(settings, part)
    return settings


def allowed(key: str) -> bool:
    """Whether a smoke run may change a setting: a length, what a length is divided into, a number of synthetic films, the
    pictures of a timeline, what is done with films that are refused."""
    last = key.split(".")[-1]
    spare = {
        "check_every",
        "windows",
        "adversarial_from",
        "synthetic",
        "synthetic_most",
        "timeline",
        "timeline_every",
        "moments",
        "take_all",
    }
    return last.endswith(LENGTHS) or last in spare


@pytest.mark.parametrize("name", plugins(PROVIDERS))
def test_every_training_of_a_smoked_provider_is_a_handful_of_steps_and_films_come_of_it(name):
    plugin = plugins(PROVIDERS)[name]
    cls: type[Provider] = plugin.load()
    films, seen = films_for(cls.produces), Lengths()
    provider = plugin.make(cls.smoke(cls.presets["quick"], STEPS, side=RESOLUTION), device="cpu")
    with watched_by(seen):
        provider.fit(films, seed=0, progress=Progress())
    assert bool(seen.every) == (cls.build is not Provider.build)
    assert all(steps <= MOST_STEPS for steps in seen.every)
    made = collect(name, provider, films, 5, seed=0, progress=Progress())
    assert len(made) == 5


def test_a_provider_that_does_not_say_how_it_is_cut_is_one_line():
    asked = Describe(provider=f"{TOYS / 'rough_providers.py'}:Untold", name="Untold", smoke_side=RESOLUTION)
    with pytest.raises(InputError, match="cannot be smoked: write shorter"):
        describe(asked)


def test_a_smoke_run_has_a_preset_of_its_own_so_that_no_key_is_that_of_a_result(tmp_path):
    chests().resized(RESOLUTION).save(tmp_path / "chests")
    request = Request(provider="noise", task="scr_official", data=str(tmp_path / "chests"), device="cpu")
    whole, smoke = prepare(request), prepare(replace(request, smoke=True))
    assert smoke.plan.preset == "quick-smoke" == smoke_of("quick")
    assert is_smoke("quick-smoke") and not is_smoke("quick") and preset_of("quick-smoke") == "quick"
    assert not {step.key for step in whole.schedule.steps} & {step.key for step in smoke.schedule.steps}
    assert smoke.plan.task.settings.synthetic == FILMS and smoke.plan.from_scratch[0] == SAID


def test_what_a_smoke_run_makes_says_so_and_no_entry_takes_it(tmp_path, monkeypatch):
    chests().save(tmp_path / "chests")
    request = Request(
        provider=f"{TOYS / 'toy_providers.py'}:Toy",
        task=f"{TOYS / 'toy_task.py'}:ToyTask",
        data=str(tmp_path / "chests"),
        device="cpu",
        smoke=True,
    )
    run_here(monkeypatch)
    prepared = prepare(request)
    assert not [outcome.error for outcome in execute(prepared) if outcome.error]
    results = assemble(prepared.plan, prepared.store, [])
    assert results.preset == "quick-smoke" and SAID in marks(results)
    name = results.provider.name
    with pytest.raises(InputError, match="no films of provider"):
        provider_films(name, prepared.store)  # of a smoke run only where that is asked for
    assert len(provider_films(name, prepared.store, preset="quick-smoke")[0])
    with pytest.raises(InputError, match="`cxrbench run --provider nobody --preset quick --smoke`"):
        provider_films("nobody", prepared.store, preset="quick-smoke")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / RESULTS).write_text(results.model_dump_json(by_alias=True), encoding="utf-8")
    with pytest.raises(InputError, match="is a smoke run"):
        pack(tmp_path / "run", "mine", tmp_path / "entries", prepared.store)
