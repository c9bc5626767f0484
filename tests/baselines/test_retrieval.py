"""The control of other real films: what it is given, what it gives, and how it is told from a generator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxrbench.baselines.retrieval import Retrieval, RetrievalSettings
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.contracts.label_by import PerClass
from cxrbench.benchmark.data.copies import originals, sources
from cxrbench.benchmark.data.dataset import load_dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.report.words import header_sentence, marks
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.runs.plan import key_of
from cxrbench.benchmark.runs.record import ProviderIdentity
from cxrbench.benchmark.runs.request import Request, execute, prepare

from ..toys.toy_films import chests, run_here
from .test_controls import boxes_by_film, labelled_set, training_set

TASK = f"{Path(__file__).parents[1] / 'toys' / 'toy_task.py'}:ToyTask"
SETS = {"masks": training_set(8), "labels": labelled_set(), "boxes": labelled_set(boxes=True)}


def halves(films):
    """Films of half of the patients, and of the others."""
    patients = films.cases["patient"].astype(str)
    first = patients.isin(sorted(set(patients))[: patients.nunique() // 2]).to_numpy()
    return films.select(np.flatnonzero(first)), films.select(np.flatnonzero(~first))


def made(train, rest, n=12, **settings):
    provider = Retrieval(RetrievalSettings(**settings))
    provider.rest = rest
    provider.fit(train, seed=0, progress=Progress())
    return provider, collect("retrieval", provider, train, n, seed=0, progress=Progress())


@pytest.mark.parametrize("kind", SETS)
def test_its_films_are_those_outside_of_the_size_with_their_annotations(kind):
    train, rest = halves(SETS[kind])
    provider, films = made(train, rest)
    places, shown = {case: row for row, case in enumerate(rest.ids)}, sources(films)
    assert films.annotations == rest.annotations and all(len(one) == 1 for one in shown)
    assert {one[0] for one in shown} <= set(originals(rest)) and set(provider.trained_on()) == set(originals(rest))
    assert provider.facts() == {"other_real_films": len(set(originals(rest)))}
    for row in range(len(films)):
        same = np.flatnonzero((rest.images == films.images[row]).all(axis=(1, 2)))
        assert len(same) == 1
        if kind == "masks":
            assert np.array_equal(films.masks[row], rest.masks[same[0]])
        else:
            assert np.array_equal(films.labels()[row], rest.labels()[same[0]])
        if kind == "boxes":
            assert boxes_by_film(films)[row] == boxes_by_film(rest)[places[shown[row][0]]] != []


def test_it_gives_so_many_others_whole_patients_with_their_augmented_copies():
    train, rest = halves(SETS["masks"])
    three, _ = made(train, rest, films=3)
    assert three.facts() == {"other_real_films": 3} and len(three.films) == 18
    assert set(originals(three.films)) < set(originals(rest))
    train, rest = halves(SETS["labels"])
    odd, _ = made(train, rest, films=3)  # patients have two films each
    assert 3 <= odd.facts()["other_real_films"] <= 4
    assert not set(odd.films.cases["patient"]) & set(rest.cases["patient"][~rest.cases["id"].isin(odd.films.ids)])
    with pytest.raises(InputError, match=r"99 other real films asked for, .* are left"):
        made(train, rest, films=99)
    with pytest.raises(InputError, match="found -1"):
        Retrieval(RetrievalSettings(films=-1))


def test_what_it_was_given_is_kept_once(tmp_path):
    train, rest = halves(SETS["masks"])
    provider, films = made(train, rest)
    provider.save(tmp_path)
    again = Retrieval.load(tmp_path)
    assert again.rest is None and again.films.ids == rest.ids
    assert np.array_equal(collect("retrieval", again, train, 12, seed=0, progress=Progress()).images, films.images)


class Bare(Retrieval):
    """The same for films alone."""

    produces = frozenset()


def test_a_generator_of_each_finding_is_given_the_rest_with_that_finding():
    train, rest = halves(SETS["labels"])
    each = PerClass(Bare)
    each.rest = rest
    each.fit(train, seed=0, progress=Progress())
    fitted = [name for name in rest.info.findings if name in each.generators]
    assert len(fitted) >= 2
    for name in fitted:
        assert set(each.generators[name].films.ids) == set(rest.cases["id"][rest.cases[name] == 1])


def test_a_run_gives_it_the_other_training_films_and_says_so_everywhere(tmp_path, monkeypatch):
    chests().save(tmp_path / "chests")
    run_here(monkeypatch)
    asked = Request(provider="retrieval", task=TASK, data=str(tmp_path / "chests"), device="cpu")
    prepared = prepare(asked)
    assert {cell.identity.size for cell in prepared.plan.cells} == {"tiny"}  # full leaves nothing
    assert not [outcome.error for outcome in execute(prepared) if outcome.error]
    results = assemble(prepared.plan, prepared.store, [])
    assert results.provider.rest and results.provider.title == "retrieval (given other real films)"
    assert "retrieval (given other real films)" in header_sentence(results)
    assert any("never ranked; size full leaves none" in line for line in marks(results))
    cell = next(cell for cell in prepared.plan.cells if cell.synthetic_key)
    films = prepared.store.synthetic(cell.synthetic_key)
    data = load_dataset(tmp_path / "chests")
    own = set(originals(prepared.plan.task.training_set(data, cell.slot)))
    shown = {one for row in sources(films) for one in row}
    assert shown and not shown & own and all(case.startswith("t") for case in shown)
    record = prepared.store.record(cell.key)
    assert record.cell.provider.rest and record.checks["provider"]["other_real_films"] == 16 - len(own)
    with pytest.raises(InputError, match=r"leaves none: name a smaller size \(tiny\)"):
        prepare(replace(asked, sizes=("full",)))


def test_what_a_record_says_of_it_moves_no_key(tmp_path):
    chests().save(tmp_path / "chests")
    plan = prepare(Request(provider="noise", task=TASK, data=str(tmp_path / "chests"), device="cpu")).plan
    cell = next(cell for cell in plan.cells if cell.identity.provider)
    assert not cell.identity.provider.rest
    told = cell.identity.provider.model_copy(update={"rest": True})
    assert key_of(cell.identity.model_copy(update={"provider": told})) == key_of(cell.identity) == cell.key
    older = cell.identity.provider.model_dump(exclude={"rest"})
    assert ProviderIdentity.model_validate(older) == cell.identity.provider
