"""Films that are kept larger beside a dataset's own: opened and never copied, in its digest; regions are cut from them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.data.catalogue import find_dataset, keep
from cxrbench.benchmark.data.copies import copies
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo, concatenate, load_dataset, verify_dataset
from cxrbench.benchmark.data.originals import FILE, NONE, Originals
from cxrbench.benchmark.data.unchanged import accept
from cxrbench.benchmark.digest import of_file
from cxrbench.benchmark.errors import InputError
from cxrbench.tasks.lungs.regions import LungSettings
from cxrbench.tasks.lungs.rules import cropped, cut
from cxrbench.tasks.models.sdfn import as_input, new_classifier
from cxrbench.tasks.models.sdfn_settings import ClassifierSettings, Kind


def large(count: int = 6, side: int = 64, name: str = "large") -> Dataset:
    images = np.random.default_rng(1).integers(0, 256, (count, side, side), dtype=np.uint8)
    cases = pd.DataFrame({"id": [f"f{row}" for row in range(count)], "patient": [f"f{row}" for row in range(count)]})
    return Dataset(DatasetInfo(name=name, resolution=side), images, cases)


@pytest.fixture
def kept() -> Dataset:
    return keep(large().kept_larger(16))


def test_films_are_the_same_as_without_and_the_originals_are_those_that_were_imported(kept):
    assert kept.images.tobytes() == large().resized(16).images.tobytes()
    assert isinstance(kept.originals.images, np.memmap) and kept.originals.side == 64
    assert all((kept.originals.film(row) == large().images[row]).all() for row in range(6))
    assert kept.info.files[FILE] == of_file(kept.folder / FILE)


def test_the_digest_knows_the_originals_and_without_them_is_what_it_was(kept):
    plain = large().resized(16)
    assert kept.digest != plain.digest and kept.truth == plain.truth
    assert large().kept_larger(16).digest == kept.digest  # before it is written too
    other = large()
    other.images[0, 0, 0] ^= 1  # one pixel in 16: the small film stays
    changed = other.kept_larger(16)
    assert (changed.images == kept.images).all() and changed.digest != kept.digest
    assert large().kept_larger(64).originals is None


def test_a_smaller_version_points_to_the_originals_and_holds_no_copy(kept):
    small = find_dataset("large", 8)
    assert (small.folder / FILE).is_symlink() and (small.originals.film(3) == large().images[3]).all()
    assert small.info.files[FILE] == kept.info.files[FILE]
    verify_dataset(small.folder)
    verify_dataset(kept.folder)


def test_originals_go_where_their_films_go(kept):
    chosen = kept.select([4, 1]).resized(8)
    assert chosen.originals.rows.tolist() == [4, 1] and chosen.originals.images is kept.originals.images
    drawn = copies(kept, 9, seed=0)
    shown = [int(one[0][1:]) for one in drawn.cases["source_ids"]]
    assert drawn.originals.rows.tolist() == shown
    other = replace(large(2), cases=large(2).cases.assign(id=["a", "b"])).resized(16)
    both = concatenate([kept.select([5]), other], "both")
    assert both.originals.rows.tolist() == [5, NONE, NONE] and both.originals.film(1) is None
    assert concatenate([other], "other").originals is None


def test_a_selection_is_saved_with_its_own_originals(kept, tmp_path):
    saved = kept.select([4, 1]).save(tmp_path / "two")
    assert not (tmp_path / "two" / FILE).is_symlink()
    assert [(saved.originals.film(row) == large().images[place]).all() for row, place in enumerate((4, 1))] == [
        True
    ] * 2
    verify_dataset(tmp_path / "two")


def test_originals_that_were_changed_by_hand_are_noticed_and_may_be_accepted(kept):
    changed = np.load(kept.folder / FILE)
    changed[2, 0, 0] ^= 1
    np.save(kept.folder / FILE, changed)
    with pytest.raises(InputError, match=FILE):
        verify_dataset(kept.folder)
    accepted, names = accept(kept.folder)
    assert names == [FILE] and accepted.digest != kept.digest
    verify_dataset(kept.folder)
    assert load_dataset(kept.folder).originals.known == of_file(kept.folder / FILE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: large().kept_larger(128), "films to keep: 64 pixels, expected the --resolution of 128 or more"),
        (lambda: replace(large(), originals=Originals(large(4).images, np.arange(4))), "6 originals of at least 64"),
        (
            lambda: replace(large(), originals=Originals(large(6, 32).images, np.arange(6))),
            "6 originals of at least 64",
        ),
        (lambda: Originals(large().images, np.array([0, 6])), "6 films, but a row 6 is named"),
        (lambda: Originals(np.zeros((2, 4, 5), np.uint8), np.arange(2)), r"uint8 \(N, K, K\)"),
    ],
)
def test_what_cannot_be_is_one_line(make, message):
    with pytest.raises(InputError, match=message):
        make()


# ------------------------------------------------------------------------------------------- regions


def test_a_region_is_cut_from_the_original_by_hand(kept):
    box = np.array([[3, 2, 13, 14]])
    found = cut(np.asarray(kept.images[:1]), box, 24, kept.originals.select(np.array([0])))
    by_hand = cv2.resize(large().images[0, 8:56, 12:52], (24, 24), interpolation=cv2.INTER_AREA)
    assert (found[0] == by_hand).all()
    assert (found != cropped(np.asarray(kept.images[:1]), box, 24)).mean() > 0.5


def test_a_film_without_an_original_is_cut_itself(kept):
    box = np.array([[3, 2, 13, 14]] * 2)
    larger = replace(kept.originals, rows=np.array([1, NONE]))
    films = np.asarray(kept.images[:2])
    found = cut(films, box, 8, larger)
    assert (found[1] == cropped(films[1:], box[1:], 8)[0]).all()
    assert (cut(films, box, 8) == cropped(films, box, 8)).all()


def test_the_lung_branch_sees_the_original_and_the_entire_one_does_not(kept):
    settings = ClassifierSettings(
        kind=Kind.SDFN, resolution=16, growth=4, blocks=(1,), lungs=LungSettings(resolution=16, width=0.125)
    )
    model, films, boxes = new_classifier(2, settings, seed=0), np.asarray(kept.images), np.array([[1, 2, 15, 14]] * 6)
    with_them, without = model.views(films, boxes, kept.originals), model.views(films, boxes)
    assert (with_them["entire"] == without["entire"]).all() and (with_them["lung"] != without["lung"]).any()
    model.eval()
    given = {name: as_input(view) for name, view in with_them.items()}
    logits = model.logits(films, boxes, originals=kept.originals, batch=4)
    assert logits == pytest.approx(model(given).detach().numpy(), abs=1e-5)
