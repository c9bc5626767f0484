"""The control of other real films: what a size leaves out, of other patients, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxrbench.baselines.retrieval import Retrieval
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.augmentation import paper_augmentation
from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress

from .test_controls import labelled_set

SIDE = 32


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Dataset:
    """A dataset of the catalogue: 12 films with two organs, two of a patient, the last four to be tested on."""
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path))
    rng, ids = np.random.default_rng(0), [f"case{number:02d}" for number in range(12)]
    masks = np.zeros((12, SIDE, SIDE), dtype=np.uint8)
    masks[:, 4:9, 4:9], masks[:, 20:28, 8:20] = 1, 2
    cases = pd.DataFrame({"id": ids, "patient": [f"p{number // 2}" for number in range(12)]})
    cases["split"] = ["train"] * 8 + ["test"] * 4
    info = DatasetInfo(name="archive", resolution=SIDE, organs=("a", "b"))
    return keep(Dataset(info, rng.integers(0, 256, (12, SIDE, SIDE), dtype=np.uint8), cases, masks))


def fitted(train: Dataset) -> Retrieval:
    provider = Retrieval()
    provider.fit(train, seed=0, progress=Progress())
    return provider


def drawn(train: Dataset, n: int = 8, seed: int = 0) -> Dataset:
    return collect("retrieval", fitted(train), train, n, seed=seed, progress=Progress())


def shown(films: Dataset) -> list[str]:
    return [row[0] for row in films.cases["source_ids"].map(list)]


def test_it_gives_training_films_of_other_patients_as_they_are(archive):
    train = paper_augmentation(archive.select([0, 2], name="archive, tiny training set"), 2, seed=1)
    films = drawn(train)
    assert set(shown(films)) == {"case04", "case05", "case06", "case07"}  # not case01 and case03: patients of the films
    rows = [archive.ids.index(name) for name in shown(films)]
    assert np.array_equal(films.images, archive.images[rows])
    assert np.array_equal(films.organ_masks(), archive.organ_masks(rows=np.array(rows)))
    assert shown(drawn(train, seed=1)) != shown(films)


def test_each_is_given_once_before_one_is_given_again(archive):
    assert sorted(shown(drawn(archive.select([0]), 6))) == [f"case{number:02d}" for number in range(2, 8)]


def test_a_training_set_of_fewer_organs_gets_these_in_its_order(archive):
    train = archive.select([0])
    other = train.info.changed(organs=("b",))
    films = drawn(replace(train, info=other, masks=(train.masks & 2) >> 1, folder=None), 2)
    assert films.organs == ("b",) and films.organ_masks().sum(axis=(2, 3)).tolist() == [[96], [96]]


def test_findings_and_boxes_come_with_the_films(tmp_path, monkeypatch):
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path))
    films = labelled_set(boxes=True)
    films.cases["split"] = "train"
    archive = keep(replace(films, info=films.info.changed(name="boxed")))
    train = archive.select([1, 2])
    made = drawn(train, 6)
    rows = [archive.ids.index(name) for name in shown(made)]
    assert np.array_equal(made.labels(), archive.labels()[rows])
    assert len(made.boxes) == sum(archive.boxes["id"].isin([archive.ids[row]]).sum() for row in rows) > 0


def test_a_saved_one_gives_the_same(archive, tmp_path):
    train, folder = archive.select([0, 1]), tmp_path / "kept"
    folder.mkdir()
    fitted(train).save(folder)
    again = collect("retrieval", Retrieval.load(folder), train, 5, seed=3, progress=Progress())
    assert again.digest == drawn(train, 5, seed=3).digest


def test_where_no_film_is_left_it_says_so(archive):
    with pytest.raises(InputError, match="is all 8 training films of archive, so that no other is left"):
        fitted(archive.select(range(8)))


def test_films_that_are_not_in_the_catalogue_are_refused(archive):
    train = archive.select([0])
    with pytest.raises(InputError, match="dataset 'elsewhere'"):
        fitted(replace(train, info=train.info.changed(name="elsewhere")))
    strange = replace(train, cases=train.cases.assign(id="case99"))
    with pytest.raises(InputError, match="training film case99 is not in dataset archive"):
        fitted(strange)


def test_a_dataset_that_does_not_say_what_may_be_trained_on_is_refused(archive, tmp_path):
    bare = keep(replace(archive, info=archive.info.changed(name="bare"), cases=archive.cases.drop(columns="split")))
    with pytest.raises(InputError, match="dataset bare has no column 'split'"):
        fitted(bare.select([0]))
