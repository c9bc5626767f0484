"""Placebo cells: the training of an arm with copies of its real films in place of synthetic ones, with the toy task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxrbench.benchmark import digest
from cxrbench.benchmark.contracts.task import Arm, ArmName
from cxrbench.benchmark.data.copies import copies, originals, sources
from cxrbench.benchmark.data.dataset import load_dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.registry import find_task
from cxrbench.benchmark.runs.chains import Outcome
from cxrbench.benchmark.runs.job import Cell
from cxrbench.benchmark.runs.plan import key_of
from cxrbench.benchmark.runs.record import CellIdentity, DataIdentity, ProviderIdentity, Record, TaskIdentity
from cxrbench.benchmark.runs.request import Prepared, Request, execute, prepare
from cxrbench.benchmark.runs.schedule import remember, timing_name
from cxrbench.benchmark.runs.store import MODEL, Level

from ..toys.toy_films import chests, run_here

TOYS = Path(__file__).parents[1] / "toys"
TASK = f"{TOYS / 'toy_task.py'}:ToyTask"
PROVIDED = ("synthetic", "mixed", "finetune")
ALL = ("real", *PROVIDED)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("data") / "chests"
    chests().save(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    run_here(monkeypatch)


def asked_for(data: str, provider: str = "Toy", **values) -> Request:
    given = {"task": TASK, "device": "cpu", "jobs": 1, "data": data, "arms": ALL} | values
    return Request(provider=f"{TOYS / 'toy_providers.py'}:{provider}", **given)


def run(request: Request) -> tuple[Prepared, list[Outcome]]:
    prepared = prepare(request)
    return prepared, list(execute(prepared))


def cells(prepared: Prepared) -> dict[tuple[str, str, int], Cell]:
    """By size, arm as tables call it, and seed."""
    return {(cell.slot.size, cell.arm, cell.seed): cell for cell in prepared.plan.cells}


@pytest.fixture
def arms(monkeypatch) -> dict[tuple[str, int], Arm]:
    """What the toy task was told to train on, by arm and seed of the draw, as it comes."""
    seen: dict[tuple[str, int], Arm] = {}
    cls = find_task(TASK).load()
    train = cls.train

    def noted(self, arm, *, seed, device, progress):
        copied = arm.synthetic is not None and all(name.startswith("copy") for name in arm.synthetic.ids)
        seen["copies of " * copied + arm.name, seed] = arm
        return train(self, arm, seed=seed, device=device, progress=progress)

    monkeypatch.setattr(cls, "train", noted)
    return seen


# ------------------------------------------------------------------------------------------- plans and keys


def test_every_arm_with_synthetic_films_has_a_placebo_at_every_size_and_seed_beside_it(data):
    prepared = prepare(asked_for(data, seeds=2))
    found = list(cells(prepared))
    assert len(found) == len(set(found)) == 2 * 2 * 7
    for size in ("full", "tiny"):
        for seed in (0, 1):
            arms = [arm for place, arm, number in found if (place, number) == (size, seed)]
            assert sorted(arms) == sorted(["real", *PROVIDED, *(f"placebo_{arm}" for arm in PROVIDED)])
            for arm in PROVIDED:
                assert arms.index(f"placebo_{arm}") == arms.index(arm) + 1


@pytest.mark.parametrize("arm", PROVIDED)
def test_an_arm_asked_for_alone_brings_its_placebo(data, arm):
    assert [cell.arm for cell in prepare(asked_for(data, arms=(arm,))).plan.cells] == [arm, f"placebo_{arm}"] * 2


def test_real_alone_has_no_placebo(data):
    assert [cell.arm for cell in prepare(asked_for(data, arms=("real",))).plan.cells] == ["real"] * 2


def test_a_placebo_knows_no_provider_and_needs_no_films_of_one(data):
    for (_, arm, _), cell in cells(prepare(asked_for(data))).items():
        assert cell.identity.placebo == arm.startswith("placebo_")
        assert cell.identity.arm == arm.removeprefix("placebo_")
        if cell.identity.placebo:
            assert cell.identity.provider is None
            assert cell.fit_key is cell.synthetic_key is cell.teacher_key is None


def test_a_placebo_has_one_key_whatever_the_provider_and_its_settings_and_the_way_of_its_labels(data):
    base = cells(prepare(asked_for(data)))
    for other in (
        asked_for(data, "Tells"),
        asked_for(data, overrides=("grey=0.2",)),
        asked_for(data, "Copies", overrides=("draw=7",)),
    ):
        for place, cell in cells(prepare(other)).items():
            assert (cell.key == base[place].key) == (place[1] not in PROVIDED)


def test_placebos_differ_by_arm_size_seed_protocol_and_films(data, tmp_path):
    base = cells(prepare(asked_for(data, seeds=2)))
    keys = {cell.key for cell in base.values()}
    assert len(keys) == len(base) == 28
    chests(21, 10).save(tmp_path / "more")
    for other in (asked_for(str(tmp_path / "more")), asked_for(data, overrides=("task.films=9",))):
        assert not {cell.key for cell in prepare(other).plan.cells} & keys


def test_a_placebo_of_finetune_starts_from_the_placebo_of_synthetic(data):
    found = cells(prepare(asked_for(data)))
    for size in ("full", "tiny"):
        assert found[size, "placebo_finetune", 0].start_key == found[size, "placebo_synthetic", 0].key
        assert found[size, "finetune", 0].start_key == found[size, "synthetic", 0].key
        assert found[size, "placebo_synthetic", 0].start_key is found[size, "placebo_mixed", 0].start_key is None


def identity(**changed) -> CellIdentity:
    told = {
        "task": TaskIdentity(name="a_task", version=2, code="c" * 64, settings={"steps": 600}),
        "data": DataIdentity(name="films", digest="d" * 64, provenance="made"),
        "preset": "quick",
        "fold": "official",
        "size": "tiny",
        "arm": "mixed",
        "seed": 3,
        "device": "cpu",
        "packages": {"numpy": "2.0"},
        "provider": ProviderIdentity(name="gan", spec="gan", code="e" * 64, settings={"rate": 0.1}),
    }
    return CellIdentity(**told | changed)


KEY = "fc0483573c1f0fde375a73cbf270c36d6b6ceec0362549209796e0d4c59eb342"
KEY_OF_REAL = "318e76c0983f4e8e2c3644c2e5e65119924abbfd0ffcd4baf6aa60262638e124"


def test_keys_of_cells_that_are_no_placebo_are_what_they_were_before_there_were_placebos():
    """Pinned: finished cells of older stores are found again."""
    assert key_of(identity()) == KEY
    assert key_of(identity(arm="real", provider=None)) == KEY_OF_REAL
    old = identity().model_dump(mode="json")
    for later in ("placebo", "synthetic"):
        del old[later]
    assert key_of(CellIdentity.model_validate(old)) == KEY
    by_hand = old | {"data": "d" * 64}
    by_hand["provider"] = {"code": "e" * 64, "settings": {"rate": 0.1}, "label_by": "native"}
    assert digest.of_json(by_hand) == KEY


def test_the_name_of_an_entry_gives_fits_seeds_of_its_own_and_moves_no_other():
    """Nobody chooses the seeds of a claim; its models start as their placebos do, so that pairs stay pairs."""
    provider = identity().provider
    assert provider is not None
    cells = [
        Cell(key=key_of(one), identity=one)
        for one in (identity(provider=provider.model_copy(update={"entry": name})) for name in ("", "ours", "theirs"))
    ]
    assert cells[0].key == KEY and len({cell.key for cell in cells}) == 3
    for what in ("fit", "sample"):
        assert len({cell.draw(what) for cell in cells}) == 3
    for what in ("train", "placebo", "annotate"):
        assert len({cell.draw(what) for cell in cells}) == 1
    assert cells[0].draw("fit") == digest.derive_seed("a_task", 2, "official", "tiny", 3, "fit")


def test_a_placebo_has_a_key_of_its_own():
    keys = {key_of(identity(arm=arm, provider=None, placebo=placebo)) for arm in ALL for placebo in (False, True)}
    assert len(keys) == 8 and KEY not in keys
    assert KEY_OF_REAL in keys
    assert key_of(identity(synthetic=62)) != KEY  # another number of films than the task's


# ------------------------------------------------------------------------------------------- what is trained


@pytest.mark.parametrize("size", ["full", "tiny"])
@pytest.mark.parametrize("seed", [0, 1])
def test_its_copies_are_of_the_training_films_of_its_size_and_seed_alone(data, arms, size, seed):
    prepared, outcomes = run(asked_for(data, seeds=2))
    assert not any(outcome.error for outcome in outcomes)
    films, cell = load_dataset(Path(data)), cells(prepared)[size, "placebo_mixed", seed]
    train = prepared.plan.task.training_set(films, cell.slot)
    test = set(prepared.plan.task.test_set(films, cell.slot).ids)
    for name in ("synthetic", "mixed"):
        made = arms[f"copies of {name}", cell.draw("train")].synthetic
        shown = set(originals(made))
        assert len(made) == 8 and shown <= set(train.ids) and not shown & test
        assert {source for row in sources(made) for source in row} == shown
        rows = [train.ids.index(one) for one in originals(made)]
        assert np.array_equal(made.images, train.images[rows]) and np.array_equal(made.masks, train.masks[rows])
    assert set(originals(arms["mixed", cell.draw("train")].synthetic)) != shown  # the toy's films are other films


def test_it_trains_on_what_its_arm_trains_on_but_for_the_synthetic_films(data, arms):
    prepared, _ = run(asked_for(data))
    for size in ("full", "tiny"):
        draw = cells(prepared)[size, "mixed", 0].draw("train")
        for name in ("synthetic", "mixed"):
            ours, theirs = arms[name, draw], arms[f"copies of {name}", draw]
            assert (ours.real is None) == (theirs.real is None) == (name == "synthetic")
            if ours.real is not None:
                assert ours.real.digest == theirs.real.digest
            assert len(ours.synthetic) == len(theirs.synthetic)
            assert ours.structures == theirs.structures and ours.start is theirs.start is None


def test_the_copies_of_one_size_and_seed_are_the_same_in_all_arms_and_others_in_another(data, arms):
    prepared, _ = run(asked_for(data, seeds=2))
    found = cells(prepared)
    drawn = {}
    for size in ("full", "tiny"):
        for seed in (0, 1):
            cell = found[size, "placebo_mixed", seed]
            made = [arms[f"copies of {name}", cell.draw("train")].synthetic.ids for name in ("synthetic", "mixed")]
            assert made[0] == made[1]
            train = prepared.plan.task.training_set(load_dataset(Path(data)), cell.slot)
            assert made[0] == copies(train, 8, seed=cell.draw("placebo")).ids
            drawn[size, seed] = tuple(made[0])
    assert len(set(drawn.values())) == 4


def test_finetune_goes_on_from_the_model_of_the_copies_on_real_films(data, monkeypatch):
    starts: list[tuple[Arm, int]] = []
    cls = find_task(TASK).load()
    train = cls.train

    def noted(self, arm, *, seed, device, progress):
        if arm.name is ArmName.FINETUNE:
            starts.append((arm, seed))
        trained = train(self, arm, seed=seed, device=device, progress=progress)
        trained.model["arms"] = [*(arm.start or {}).get("arms", []), str(arm.name), len(arm.synthetic or ())]
        return trained

    monkeypatch.setattr(cls, "train", noted)
    prepared, _ = run(asked_for(data))
    found = cells(prepared)

    def model(size: str, arm: str) -> dict:
        return json.loads((prepared.store.path(Level.RECORDS, found[size, arm, 0].key) / MODEL).read_text())

    for size in ("full", "tiny"):
        kept = {json.dumps(arm.start, sort_keys=True) for arm, _ in starts}
        for arm in ("synthetic", "placebo_synthetic"):
            assert json.dumps(model(size, arm), sort_keys=True) in kept
        assert model(size, "placebo_synthetic") != model(size, "synthetic")
        assert model(size, "placebo_finetune")["arms"] == ["synthetic", 8, "finetune", 0]
    assert all(arm.real is not None and arm.synthetic is None for arm, _ in starts) and len(starts) == 4


def test_a_provider_whose_films_are_the_same_copies_has_the_same_numbers_to_the_last_bit(data):
    draw = cells(prepare(asked_for(data)))["full", "placebo_mixed", 0].draw("placebo")
    prepared, outcomes = run(asked_for(data, "Copies", overrides=(f"draw={draw}",)))
    assert not any(outcome.error for outcome in outcomes)
    found = cells(prepared)
    for arm in PROVIDED:
        ours, theirs = (prepared.store.scores(found["full", name, 0].key) for name in (arm, f"placebo_{arm}"))
        assert ours.equals(theirs)
    at_tiny = [prepared.store.scores(found["tiny", name, 0].key) for name in ("synthetic", "placebo_synthetic")]
    assert not at_tiny[0].equals(at_tiny[1])  # another size has another draw


# ------------------------------------------------------------------------------------------- records, store, resume


def test_the_record_says_how_many_real_and_synthetic_films_it_had_and_nothing_of_a_provider(data):
    prepared, _ = run(asked_for(data, seeds=2))
    for (size, arm, _), cell in cells(prepared).items():
        record = prepared.store.record(cell.key)
        told = record.downstream
        films = {"full": 16, "tiny": 4}[size]
        assert told.real_films == (None if arm == "synthetic" else films)
        assert told.synthetic_films == (0 if arm == "real" else 8)
        trained = {"real": films, "mixed": films + 8, "synthetic": 8, "finetune": films}
        assert told.train_films == trained[arm.removeprefix("placebo_")]
        if cell.identity.placebo:
            assert record.cell.placebo and record.cell.provider is None
            assert record.cost is record.fit_key is record.synthetic_key is None and record.checks == {}


def test_a_record_from_before_has_no_count_of_real_films_and_is_read(data):
    prepared, _ = run(asked_for(data, arms=("real",)))
    record = prepared.store.record(prepared.plan.cells[0].key)
    old = json.loads(record.model_dump_json(by_alias=True))
    del old["downstream"]["real_films"], old["cell"]["placebo"]
    read = Record.model_validate(old)
    assert read.downstream.real_films is None and not read.cell.placebo
    assert key_of(read.cell) == record.key


def test_a_second_provider_trains_no_placebo_again(data):
    first, _ = run(asked_for(data))
    second, outcomes = run(asked_for(data, "Tells"))
    assert not any(outcome.error for outcome in outcomes)
    assert {step.cell.arm for step in second.left} == set(PROVIDED)
    for place, cell in cells(second).items():
        assert (cell.key == cells(first)[place].key) == (place[1] not in PROVIDED)
        assert second.store.sound(Level.RECORDS, cell.key)


def test_a_placebo_that_is_lost_is_made_again_alone_and_the_same(data):
    prepared, _ = run(asked_for(data))
    lost = cells(prepared)["full", "placebo_mixed", 0]
    before = prepared.store.scores(lost.key)
    folder = prepared.store.path(Level.RECORDS, lost.key)
    (folder / "record.json").write_text("{")
    again, outcomes = run(asked_for(data))
    assert [step.key for step in again.left] == [lost.key] == [outcome.key for outcome in outcomes]
    assert prepared.store.scores(lost.key).equals(before)
    assert prepare(asked_for(data)).left == []


def test_a_run_that_ended_within_a_chain_of_placebos_goes_on_from_there(data):
    prepared = prepare(asked_for(data))
    outcomes: Iterator[Outcome] = execute(prepared)
    for outcome in outcomes:
        if outcome.label == "placebo synthetic full":
            break
    outcomes.close()
    keys = {cell.key for cell in prepared.plan.cells}
    done = {key for key in keys if kept(prepared, key)}
    again = prepare(asked_for(data))
    assert done and {step.key for step in again.left if step.kind == "cell"} == keys - done
    list(execute(again))
    assert all(kept(again, key) for key in keys) and prepare(asked_for(data)).left == []


def kept(prepared: Prepared, key: str) -> bool:
    return prepared.store.sound(Level.RECORDS, key)


def test_a_provider_that_fails_takes_no_placebo_with_it(data):
    prepared, outcomes = run(asked_for(data, "Raises"))
    failed = {outcome.label for outcome in outcomes if outcome.error}
    assert failed and not any("placebo" in label or "real" in label for label in failed)
    for (_, arm, _), cell in cells(prepared).items():
        assert kept(prepared, cell.key) == (arm not in PROVIDED)


def test_every_chain_has_what_it_needs_before_it(data):
    prepared = prepare(asked_for(data, seeds=2))
    for chain in prepared.schedule.chains:
        done: set[str] = set()
        for step in chain:
            assert set(step.needs) <= done
            done.add(step.key)
    chains = [[step.label for step in chain] for chain in prepared.schedule.chains]
    assert ["placebo synthetic full seed 1", "placebo finetune full seed 1"] in chains
    assert ["placebo mixed tiny seed 0"] in chains and ["real tiny seed 0"] in chains


def test_durations_of_a_placebo_are_remembered_under_its_own_name(data):
    prepared, _ = run(asked_for(data))
    names = {step.label: timing_name(step) for step in prepared.schedule.steps if step.kind == "cell"}
    assert len(set(names.values())) == len(names) == 14
    assert names["placebo mixed full"].replace("placebo_mixed", "x") != names["mixed full"].replace("mixed", "x")
    remember(prepared.schedule.steps, prepared.store)
    later = prepare(replace(asked_for(data, "Tells"), seeds=2))
    assert all(later.schedule.expected[step.key] is not None for step in later.left if "placebo" in step.label)


def test_where_synthetic_films_stop_every_training_real_has_the_providers_and_a_placebo_copies(data):
    task = TASK.replace("toy_task.py:ToyTask", "toy_stopped.py:StoppedByFilms")
    prepared, outcomes = run(asked_for(data, task=task, arms=("real", "synthetic", "finetune")))
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    by_arm = {arm: cell for (size, arm, _), cell in cells(prepared).items() if size == "full"}
    assert sorted(by_arm) == ["finetune", "placebo_finetune", "placebo_synthetic", "real", "synthetic"]
    films = by_arm["synthetic"].synthetic_key
    assert films and by_arm["real"].synthetic_key == by_arm["finetune"].synthetic_key == films
    assert by_arm["placebo_finetune"].synthetic_key is None
    for arm, cell in by_arm.items():
        record = prepared.store.record(cell.key)
        assert (record.cell.provider is None) == arm.startswith("placebo")
        kept = json.loads((prepared.store.path(Level.RECORDS, cell.key) / MODEL).read_bytes())
        assert kept["seen"] == 8, arm
    real = prepared.store.record(by_arm["real"].key)
    assert real.downstream.synthetic_films == 0 and real.synthetic_key == films
    ordinary, _ = run(asked_for(data, arms=("real",)))
    assert all(cell.synthetic_key is None for cell in ordinary.plan.cells)


def test_a_teacher_cannot_be_stopped_by_films_that_it_is_to_annotate(data):
    task = TASK.replace("toy_task.py:ToyTask", "toy_stopped.py:StoppedByFilms")
    with pytest.raises(InputError, match="stopped by synthetic films, which it would have to annotate first"):
        make_plan_with_teacher(data, task)


def make_plan_with_teacher(data: str, task: str) -> None:
    from cxrbench.benchmark.contracts.label_by import LabelBy
    from cxrbench.benchmark.registry import find_provider
    from cxrbench.benchmark.runs.examine import Said
    from cxrbench.benchmark.runs.plan import make_plan

    films, plugin = load_dataset(Path(data)), find_task(task)
    make_plan(
        task=plugin.load()(),
        task_plugin=plugin,
        provider_plugin=find_provider(f"{TOYS / 'toy_providers.py'}:Toy"),
        said=Said(summary="", produces=(), home_task="", settings={}, keyed={}),
        data=films,
        fit_data=films,
        preset="quick",
        seeds=[0],
        arms=None,
        device="cpu",
        label_by=LabelBy.TEACHER,
    )
