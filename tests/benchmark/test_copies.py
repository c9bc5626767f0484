"""Copies of films stand for synthetic ones in a placebo: drawn evenly, each with all that its film has and its source."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cxrbench.benchmark.data.augmentation import paper_augmentation
from cxrbench.benchmark.data.copies import copies, originals, sources
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo, load_dataset

BOXES = ["id", "finding", "x", "y", "w", "h"]


def films(count: int = 5, side: int = 4) -> Dataset:
    """Film k is grey k with mask k, of patient k // 2, with k boxes (film 0 has none), and the finding where k is odd."""
    ids = [f"f{row}" for row in range(count)]
    grey = np.repeat(np.arange(count, dtype=np.uint8), side * side).reshape(count, side, side)
    cases = pd.DataFrame({"id": ids, "patient": [f"p{row // 2}" for row in range(count)]})
    cases["Mass"] = np.arange(count, dtype=np.uint8) % 2
    boxes = [(f"f{row}", "Mass", float(box), float(row), 2.0, 1.0) for row in range(count) for box in range(row)]
    info = DatasetInfo(name="greys", resolution=side, organs=("heart",), findings=("Mass",))
    return Dataset(info, grey, cases, masks=grey % 2, boxes=pd.DataFrame(boxes, columns=BOXES))


def drawn_rows(made: Dataset) -> np.ndarray:
    """Which film each copy is of, by its pixels."""
    return made.images[:, 0, 0].astype(int)


def test_a_copy_has_the_pixels_masks_labels_and_patient_of_its_film_and_says_which_it_is():
    given = films()
    made = copies(given, 40, seed=3)
    rows = drawn_rows(made)
    assert len(made) == 40 and len(set(rows)) == 5
    assert np.array_equal(made.images, given.images[rows]) and np.array_equal(made.masks, given.masks[rows])
    assert np.array_equal(made.labels(), given.labels()[rows])
    assert made.cases["patient"].tolist() == [f"p{row // 2}" for row in rows]
    assert made.ids == [f"copy{number:05d}-f{row}" for number, row in enumerate(rows)]
    assert len(set(made.ids)) == 40
    assert sources(made) == [(f"f{row}",) for row in rows] and originals(made) == [f"f{row}" for row in rows]
    assert made.organs == given.organs and made.info.findings == given.info.findings


def test_boxes_follow_every_copy_of_their_film():
    made = copies(films(), 40, seed=3)
    assert made.boxes is not None and list(made.boxes.columns) == BOXES
    for name, row in zip(made.ids, drawn_rows(made), strict=True):
        own = made.boxes[made.boxes["id"] == name]
        assert own["x"].tolist() == list(range(row)) and (own["y"] == row).all() and (own["w"] == 2).all()
    assert len(made.boxes) == drawn_rows(made).sum()
    none = copies(films().select([0]), 3, seed=0)
    assert none.boxes is not None and len(none.boxes) == 0 and list(none.boxes.columns) == BOXES


def test_films_without_masks_or_boxes_have_copies_without():
    given = films()
    bare = Dataset(DatasetInfo(name="bare", resolution=4), given.images, given.cases[["id", "patient"]])
    made = copies(bare, 7, seed=0)
    assert made.masks is None and made.boxes is None and len(made) == 7
    assert sources(bare) == [()] * 5 and originals(bare) == bare.ids


def test_films_are_drawn_with_replacement_each_as_likely_as_the_others():
    counts = np.bincount(drawn_rows(copies(films(8), 8000, seed=1)), minlength=8)
    assert stats.chisquare(counts).pvalue > 0.001
    pairs = drawn_rows(copies(films(8), 8000, seed=2)).reshape(-1, 2)
    twice = int((pairs[:, 0] == pairs[:, 1]).sum())  # with replacement: one pair in eight
    assert stats.binomtest(twice, 4000, 1 / 8).pvalue > 0.001
    assert len(set(drawn_rows(copies(films(8), 8, seed=0)))) < 8


def test_the_same_seed_draws_the_same_films_and_another_seed_others():
    one, same, other = (copies(films(), 30, seed=seed) for seed in (5, 5, 6))
    assert one.ids == same.ids and one.digest == same.digest
    assert one.ids != other.ids


def test_fewer_copies_are_the_first_of_more():
    few, many = copies(films(), 10, seed=5), copies(films(), 30, seed=5)
    assert np.array_equal(many.images[:10], few.images) and many.ids[:10] == few.ids


def test_the_draws_are_pinned():
    """What every placebo is trained on hangs on them."""
    assert drawn_rows(copies(films(100), 12, seed=0)).tolist() == PINNED


PINNED = [63, 26, 4, 1, 81, 91, 60, 72, 54, 93, 81, 0]  # floor(100 u): u the first 53-bit shares of PCG64(0)


def test_a_copy_of_an_augmented_film_names_its_original():
    given = films()
    sixfold = paper_augmentation(given, 5, seed=0)
    made = copies(sixfold, 60, seed=0)
    shown = {name: source for name, (source,) in zip(sixfold.ids, sources(sixfold), strict=True)}
    assert set(originals(made)) == set(given.ids)
    augmented = [name.split("-", 1)[1] for name in made.ids]
    assert any(name not in given.ids for name in augmented)
    assert originals(made) == [shown[name] for name in augmented]


def test_copies_of_copies_name_the_first_original():
    again = copies(copies(films(), 10, seed=0), 10, seed=1)
    assert set(originals(again)) <= set(films().ids)
    assert all(name.startswith("copy") and name.count("copy") == 2 for name in again.ids)


def test_copies_survive_the_disk_and_leave_the_films_alone(tmp_path):
    given = films()
    before = given.cases.copy(), given.boxes.copy()
    made = copies(given, 9, seed=0)
    made.images[:] = 0
    made.save(tmp_path / "copies")
    kept = load_dataset(tmp_path / "copies")
    assert kept.ids == made.ids and sources(kept) == sources(made) and len(kept.boxes) == len(made.boxes)
    assert given.cases.equals(before[0]) and given.boxes.equals(before[1]) and drawn_rows(given).tolist() == [*range(5)]


@pytest.mark.parametrize("shown", [[], None])
def test_a_film_that_shows_nothing_it_knows_is_its_own_original(shown):
    given = films(2)
    given.cases["source_ids"] = pd.Series([shown, ["elsewhere"]], dtype=object)
    assert sources(given) == [(), ("elsewhere",)] and originals(given) == ["f0", "elsewhere"]
