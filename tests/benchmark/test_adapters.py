"""A generator per finding out of an image-only provider: who trains whom, how many films each makes, what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.contracts.label_by import PerClass
from cxrbench.benchmark.contracts.provider import Batch, Provider
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.findings import NO_FINDING
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.history import History

FINDINGS = ("Mass", "Nodule", "Hernia")
LABELS = [(1, 0, 0)] * 4 + [(1, 1, 0)] * 2 + [(0, 1, 0), (0, 0, 1)] + [(0, 0, 0)] * 9
"""6 films with a mass, 3 with a nodule (2 of them with both), one with a hernia, 9 without any: film i is grey i."""


def films(labels: list[tuple[int, ...]] = LABELS, findings: tuple[str, ...] = FINDINGS) -> Dataset:
    ids = [f"t{row:02d}" for row in range(len(labels))]
    grey = np.arange(len(labels), dtype=np.uint8)
    cases = pd.DataFrame({"id": ids, "patient": ids})
    cases[list(findings)] = np.array(labels, dtype=np.uint8).reshape(len(labels), len(findings))
    images = np.broadcast_to(grey[:, None, None], (len(labels), 8, 8)).copy()
    return Dataset(DatasetInfo(name="few", resolution=8, findings=findings), images, cases)


class Again(Provider):
    """Training films drawn again, three at a time. Says what it was given."""

    produces = frozenset()

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        self.train, self.seed, self.weights_used = train, seed, "f00d"
        self.folder = "" if self.checkpoints is None else str(self.checkpoints)
        progress.update(1.0)

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rows = np.random.default_rng(seed).integers(0, len(self.train), n)
        for part in np.split(rows, range(3, n, 3)):
            yield Batch(
                self.train.images[part, None].astype(np.float32) / 255,
                masks=np.ones((len(part), 1, 8, 8), dtype=bool),
                boxes=[[("Mass", 0.0, 0.0, 1.0, 1.0)]] * len(part),
                organs=("heart",),
                source_ids=[[self.train.ids[row]] for row in part],
            )

    def trained_on(self) -> list[str]:
        return ["elsewhere", f"before {self.train.ids[0]}"]

    def parameter_count(self) -> int:
        return len(self.train)

    def histories(self) -> dict[str, History]:
        return {"loss": History(rows=[{"step": 1, "loss": float(len(self.train))}])}


def fitted(train: Dataset | None = None, **options) -> PerClass:
    adapter = PerClass(Again, Again.load, **options)
    adapter.fit(films() if train is None else train, seed=7, progress=Progress())
    return adapter


def sampled(adapter: PerClass, n: int, seed: int = 0) -> Dataset:
    return collect("again", adapter, films(), n, seed=seed, progress=Progress())


def rows_of(generator: Provider) -> list[int]:
    return [int(name[1:]) for name in generator.train.ids]


# ------------------------------------------------------------------------------------------- fitting


def test_every_generator_is_fitted_on_the_films_of_its_finding():
    generators = fitted().generators
    assert {name: rows_of(one) for name, one in generators.items()} == {
        "Mass": [0, 1, 2, 3, 4, 5],
        "Nodule": [4, 5, 6],  # two films with both findings train both
        NO_FINDING: list(range(8, 17)),
    }


def test_a_finding_with_fewer_than_two_films_has_no_generator_and_is_named():
    assert fitted().facts() == {"generators": 3, "classes_without_generator": "Hernia"}
    whole = fitted(films([*LABELS, (0, 0, 1)]))
    assert whole.facts() == {"generators": 4, "classes_without_generator": "none"}


def test_a_generators_seed_is_its_own_and_depends_on_no_other_finding():
    seeds = {name: one.seed for name, one in fitted().generators.items()}
    assert len(set(seeds.values())) == 3
    more = fitted(films([*LABELS, (0, 0, 1)])).generators
    assert {name: more[name].seed for name in seeds} == seeds


def test_checkpoints_of_the_generators_do_not_share_a_folder(tmp_path):
    adapter = PerClass(Again)
    adapter.checkpoints = tmp_path
    adapter.fit(films(), seed=0, progress=Progress())
    folders = [Path(one.folder) for one in adapter.generators.values()]
    assert len(set(folders)) == 3 and {folder.parent for folder in folders} == {tmp_path}
    assert fitted().generators["Mass"].folder == ""


def test_progress_names_the_finding_and_ends_at_one():
    seen: list[tuple[float, str]] = []
    PerClass(Again).fit(films(), seed=0, progress=Progress(lambda *told: seen.append(told)))
    assert [note for _, note in seen] == ["Mass", "Nodule", NO_FINDING]
    assert [share for share, _ in seen] == pytest.approx([6 / 18, 9 / 18, 1.0])


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (films([()] * 5, ()), "the training set few has no findings to divide by"),
        (films([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)]), "no finding of few has 2 films or more"),
    ],
)
def test_training_films_that_cannot_be_divided_are_one_line(train, message):
    with pytest.raises(InputError) as error:
        fitted(train)
    assert str(error.value) == f"--label-by per_class: {message}"


# ------------------------------------------------------------------------------------------- sampling


def test_films_are_shared_out_in_proportion_to_the_training_films():
    assert fitted()._shares(18) == {"Mass": 6, "Nodule": 3, NO_FINDING: 9}
    assert fitted()._shares(7) == {"Mass": 2, "Nodule": 1, NO_FINDING: 4}  # 2.33, 1.17, 3.5: the largest rest
    assert fitted()._shares(1) == {"Mass": 0, "Nodule": 0, NO_FINDING: 1}


@pytest.mark.parametrize("n", [1, 2, 5, 17, 64, 1000])
def test_exactly_n_films_come_out_each_share_within_one_of_its_proportion(n):
    shares = fitted()._shares(n)
    assert sum(shares.values()) == n
    assert all(abs(shares[name] - n * films / 18) < 1 for name, films in (("Mass", 6), ("Nodule", 3), (NO_FINDING, 9)))
    if n < 100:
        assert len(sampled(fitted(), n)) == n


def test_a_film_has_the_label_of_its_generator_alone_and_healthy_ones_none():
    made = sampled(fitted(), 36)
    assert made.info.findings == FINDINGS and made.masks is None and made.boxes is None
    labels = made.labels()
    assert labels.sum(axis=0).tolist() == [12, 6, 0] and (labels.sum(axis=1) == 0).sum() == 18
    grey = made.images[:, 0, 0]  # the row of the training film
    for row, label in zip(grey, labels, strict=True):
        drawn_from = [name for name, value in zip(FINDINGS, label, strict=True) if value] or [NO_FINDING]
        assert int(row) in {"Mass": range(6), "Nodule": range(4, 7), NO_FINDING: range(8, 17)}[drawn_from[0]]
    assert [list(sources) for sources in made.cases["source_ids"]] == [[f"t{row:02d}"] for row in grey]


def test_the_same_seed_gives_the_same_films_and_another_one_others():
    adapter = fitted()
    assert np.array_equal(sampled(adapter, 40, 1).images, sampled(adapter, 40, 1).images)
    assert not np.array_equal(sampled(adapter, 40, 1).images, sampled(adapter, 40, 2).images)


# ------------------------------------------------------------------------------------------- what is said and kept


def test_what_its_generators_say_is_said_of_the_whole():
    adapter = fitted()
    assert adapter.parameter_count() == 6 + 3 + 9
    assert {name: one.rows[0]["loss"] for name, one in adapter.histories().items()} == {
        "Mass: loss": 6.0,
        "Nodule: loss": 3.0,
        f"{NO_FINDING}: loss": 9.0,
    }
    assert adapter.trained_on() == ["before t00", "before t04", "before t08", "elsewhere"]
    assert adapter.weights_used == "f00d"


def test_saved_and_restored_it_makes_the_same_films_bit_for_bit(tmp_path):
    adapter = fitted()
    adapter.save(tmp_path)
    again = PerClass(Again, Again.load).restore(tmp_path)
    assert again.facts() == adapter.facts() and again.parameter_count() == adapter.parameter_count()
    assert again.trained_on() == adapter.trained_on()
    first, second = sampled(adapter, 25, 3), sampled(again, 25, 3)
    assert first.digest == second.digest and np.array_equal(first.images, second.images)


def test_kept_generators_cannot_be_restored_without_a_way_to_load_one(tmp_path):
    fitted().save(tmp_path)
    with pytest.raises(InputError, match="kept generators need the way to load one"):
        PerClass(Again).restore(tmp_path)
