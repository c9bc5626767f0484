"""The controls: generators whose usefulness is known beforehand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrbench.baselines.controls import (
    Box,
    Change,
    Classical,
    ClassicalSettings,
    CopyTrain,
    Degraded,
    DegradedSettings,
    Noise,
    draw,
    wrong_box,
)
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.augmentation import elastic_field, paper_augmentation, warp
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.draws import Draw
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress

CONTROLS = [CopyTrain, Classical, Degraded, Noise]


def training_set(originals: int = 4, side: int = 32) -> Dataset:
    """Films that are all different, with two organs, six of each original."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (originals, side, side), dtype=np.uint8)
    masks = np.zeros_like(images)
    for index in range(originals):
        masks[index, 20:28, 4 + index : 12 + index] |= 1
        masks[index, 18:30, 18 : 26 + index] |= 2
    ids = [f"case-{index}" for index in range(originals)]
    cases = pd.DataFrame({"id": ids, "patient": ids, "split": "train"})
    films = Dataset(DatasetInfo(name="films", resolution=side, organs=("a", "b")), images, cases, masks)
    return paper_augmentation(films, seed=1)


FINDINGS = ("Mass", "Nodule", "Effusion")


def labelled_set(films: int = 30, side: int = 32, *, boxes: bool = False) -> Dataset:
    """Films that are all different, a third of them healthy, two of a patient; with `boxes` each finding has one."""
    rng = np.random.default_rng(1)
    labels = rng.random((films, len(FINDINGS))) < 0.4
    labels[::3] = False
    labels[1, 0] = True
    ids = [f"case-{index:02d}" for index in range(films)]
    cases = pd.DataFrame({"id": ids, "patient": [f"patient-{index // 2}" for index in range(films)]})
    cases[list(FINDINGS)] = labels.astype(np.uint8)
    rows = [
        (ids[film], FINDINGS[column], *rng.uniform(0, side / 2, 2), *rng.uniform(2, side / 2, 2))
        for film, column in np.argwhere(labels)
    ]
    return Dataset(
        DatasetInfo(name="labelled films", resolution=side, findings=FINDINGS),
        rng.integers(0, 256, (films, side, side), dtype=np.uint8),
        cases,
        boxes=pd.DataFrame(rows, columns=["id", "finding", "x", "y", "w", "h"]) if boxes else None,
    )


def boxes_by_film(films: Dataset) -> list[list[Box]]:
    """The boxes of every film, in order."""
    columns = ["finding", "x", "y", "w", "h"]
    return [list(films.boxes.loc[films.boxes["id"] == name, columns].itertuples(False, None)) for name in films.ids]


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    height = min(a[2] + a[4], b[2] + b[4]) - max(a[2], b[2])
    common = max(width, 0) * max(height, 0)
    return common / (a[3] * a[4] + b[3] * b[4] - common)


def fitted(cls, *settings, train: Dataset | None = None):
    provider = cls(*settings)
    provider.fit(train or training_set(), seed=0, progress=Progress())
    return provider


def sampled(provider, n: int = 12, seed: int = 3, train: Dataset | None = None) -> Dataset:
    return collect("control", provider, train or training_set(), n, seed=seed, progress=Progress())


def sources(films: Dataset) -> list[str]:
    """Of every film the one real case that it says it shows."""
    return [row[0] for row in films.cases["source_ids"].map(list)]


@pytest.mark.parametrize("cls", CONTROLS)
def test_same_seed_same_films_and_another_seed_others(cls):
    first, again, other = (sampled(fitted(cls), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.images, again.images) and np.array_equal(first.masks, again.masks)
    assert not np.array_equal(first.images, other.images)


@pytest.mark.parametrize("cls", CONTROLS)
def test_a_saved_control_samples_the_same(cls, tmp_path):
    provider = fitted(cls)
    provider.save(tmp_path)
    again = cls.load(tmp_path)
    assert np.array_equal(sampled(provider).images, sampled(again).images)
    assert np.array_equal(sampled(provider).masks, sampled(again).masks)


@pytest.mark.parametrize("n", [1, 64, 65, 130])
def test_exactly_the_asked_number_of_films_comes(n):
    assert [len(sampled(fitted(cls), n)) for cls in CONTROLS] == [n] * 4


def test_every_original_is_drawn_before_one_is_drawn_again():
    train = training_set()
    rows = draw(train, 10, Draw(0))
    assert sorted(rows[:4] // 6) == sorted(rows[4:8] // 6) == [0, 1, 2, 3]
    assert len(draw(train, 3, Draw(0))) == 3


def test_copy_train_gives_training_films_with_their_masks_and_says_whose():
    train, films = training_set(), sampled(fitted(CopyTrain))
    known = {image.tobytes(): row for row, image in enumerate(train.images)}
    rows = [known[image.tobytes()] for image in films.images]
    assert np.array_equal(films.masks, train.masks[rows])
    assert films.cases["source_ids"].map(list).tolist() == [[f"case-{row // 6}"] for row in rows]


def test_classical_changes_every_film_keeps_its_organs_and_says_whose():
    train, films = training_set(), sampled(fitted(Classical))
    assert not {image.tobytes() for image in films.images} & {image.tobytes() for image in train.images}
    assert films.cases["source_ids"].map(len).tolist() == [1] * 12
    areas = films.organ_masks().sum(axis=(2, 3))
    assert (areas > 0.6 * 64).all() and set(np.unique(films.masks)) <= {0, 1, 2}


@pytest.mark.parametrize(("share", "wrong"), [(0.0, 0), (0.25, 3), (0.5, 6), (1.0, 12)])
def test_degraded_has_the_chosen_share_of_wrong_masks_on_the_films_of_copy_train(share, wrong):
    good, films = sampled(fitted(CopyTrain)), sampled(fitted(Degraded, DegradedSettings(wrong=share)))
    assert np.array_equal(good.images, films.images)
    differs = [not np.array_equal(one, two) for one, two in zip(good.masks, films.masks, strict=True)]
    assert sum(differs) == wrong


def test_a_larger_share_only_adds_wrong_masks_and_a_wrong_mask_is_really_wrong():
    good = sampled(fitted(CopyTrain))
    some, most = (sampled(fitted(Degraded, DegradedSettings(wrong=share))) for share in (0.25, 1.0))
    changed = (some.masks != good.masks).any(axis=(1, 2))
    assert np.array_equal(some.masks[changed], most.masks[changed])
    true, wrong = good.organ_masks(), most.organ_masks()
    dice = 2 * (true & wrong).sum(axis=(2, 3)) / (true.sum(axis=(2, 3)) + wrong.sum(axis=(2, 3)))
    assert dice.max() < 0.5 and (wrong.sum(axis=(2, 3)) > 0).all()


def test_degraded_refuses_what_is_not_a_share_and_a_single_patient():
    with pytest.raises(InputError, match="share from 0 to 1, found 25"):
        Degraded(DegradedSettings(wrong=25))
    alone = fitted(Degraded, DegradedSettings(wrong=1.0), train=training_set(1))
    with pytest.raises(InputError, match="only one patient"):
        sampled(alone)


def test_noise_shows_nobody_and_its_masks_say_nothing_about_its_films():
    films = sampled(fitted(Noise), 200)
    assert not any(len(sources) for sources in films.cases["source_ids"])
    masks = films.organ_masks()
    assert (masks.sum(axis=(0, 2, 3)) > 0).all()
    bright = films.images.astype(float) - films.images.mean(axis=(1, 2), keepdims=True)
    inside = np.array([(bright[masks[:, organ]]).mean() for organ in range(2)])
    assert np.abs(inside).max() < 0.1 * bright.std()
    assert masks.mean(axis=(0, 2, 3)) == pytest.approx([0.07, 0.07], abs=0.05)


def test_a_mask_stays_what_it_was_before_controls_knew_labels():
    """Labels and boxes are drawn after masks or from another stream, so that mask tasks keep their numbers."""
    train = training_set()
    both = labelled_set(len(train))
    cases = train.cases.assign(**{name: both.cases[name] for name in FINDINGS})
    info = train.info.model_copy(update={"findings": FINDINGS})
    more = Dataset(info, train.images, cases, train.masks)
    for cls in CONTROLS:
        plain = sampled(fitted(cls, train=train), 70)
        labelled = sampled(fitted(cls, train=more), 70, train=more)
        assert np.array_equal(plain.images, labelled.images) and np.array_equal(plain.masks, labelled.masks)


def test_films_without_annotations_are_refused():
    train = training_set()
    bare = Dataset(train.info.model_copy(update={"organs": ()}), train.images, train.cases)
    for cls in CONTROLS:
        with pytest.raises(InputError, match=r"films.* has no masks, labels or boxes"):
            cls().fit(bare, seed=0, progress=Progress())


@pytest.mark.parametrize("cls", CONTROLS)
@pytest.mark.parametrize("boxes", [False, True])
def test_controls_annotate_with_what_the_training_films_have_and_survive_saving(cls, boxes, tmp_path):
    train = labelled_set(boxes=boxes)
    provider = fitted(cls, train=train)
    provider.save(tmp_path)
    first, again = (sampled(control, 70, train=train) for control in (provider, cls.load(tmp_path)))
    assert first.annotations == train.annotations
    assert first.digest == again.digest != sampled(provider, 70, seed=4, train=train).digest


@pytest.mark.parametrize("cls", [CopyTrain, Classical])
def test_copies_have_the_labels_of_their_sources_and_each_film_comes_once_a_round(cls):
    train = labelled_set()
    films = sampled(fitted(cls, train=train), 60, train=train)
    of_case = dict(zip(train.ids, train.labels().tolist(), strict=True))
    assert films.labels().tolist() == [of_case[source] for source in sources(films)]
    assert sorted(sources(films)[:30]) == sorted(sources(films)[30:]) == train.ids
    assert np.array_equal(films.labels().sum(axis=0), 2 * train.labels().sum(axis=0))


def test_a_training_set_with_boxes_is_drawn_from_its_films_with_boxes():
    train = labelled_set(boxes=True)
    films = sampled(fitted(CopyTrain, train=train), 70, train=train)
    of_case = dict(zip(train.ids, boxes_by_film(train), strict=True))
    assert set(sources(films)) == {name for name, boxes in of_case.items() if boxes} != set(train.ids)
    assert boxes_by_film(films) == [of_case[source] for source in sources(films)]


def test_a_training_set_whose_films_have_no_box_is_drawn_from_all():
    train = labelled_set(boxes=True)
    train = Dataset(train.info, train.images, train.cases, boxes=train.boxes[:0])
    films = sampled(fitted(CopyTrain, train=train), 30, train=train)
    assert set(sources(films)) == set(train.ids) and films.boxes.empty


def test_classical_keeps_boxes_inside_the_film_and_near_where_they_were():
    train = labelled_set(boxes=True)
    films = sampled(fitted(Classical, train=train), 200, train=train)
    of_case = dict(zip(train.ids, boxes_by_film(train), strict=True))
    assert len(films.boxes) > 0.9 * sum(len(of_case[source]) for source in sources(films))
    assert (films.boxes[["x", "y"]] >= 0).all(axis=None) and (films.boxes[["w", "h"]] > 0).all(axis=None)
    assert (films.boxes["x"] + films.boxes["w"]).max() <= 32 and (films.boxes["y"] + films.boxes["h"]).max() <= 32
    for source, boxes in zip(sources(films), boxes_by_film(films), strict=True):
        for box in boxes:
            assert box not in of_case[source]
            (own,) = (own for own in of_case[source] if own[0] == box[0])
            moved = np.hypot(box[1] + box[3] / 2 - own[1] - own[3] / 2, box[2] + box[4] / 2 - own[2] - own[4] / 2)
            assert moved < 0.25 * 32


@st.composite
def changes(draw_: st.DrawFn) -> Change:
    """A change of `classical` on a film of 64 pixels."""
    rng = Draw(draw_(st.integers(0, 10**6)))
    return Classical(ClassicalSettings(bend=draw_(st.sampled_from([0.0, 0.015])))).change(64, rng)


@settings(max_examples=60, deadline=None)
@given(changes(), st.floats(1, 52), st.floats(1, 52), st.floats(4, 40), st.floats(4, 40))
def test_a_box_goes_where_warp_takes_its_pixels(change, x, y, w, h):
    """Where nothing is cut off at the edge: against the box around the box's warped mask, which knows whole pixels."""
    w, h = min(w, 63 - x), min(h, 63 - y)
    grid = np.arange(64) + 0.5
    inside = ((grid >= y) & (grid < y + h))[:, None] & ((grid >= x) & (grid < x + w))
    _, warped = warp(np.zeros((64, 64), np.uint8), inside.astype(np.uint8), **vars(change))
    box = change.box(("Mass", x, y, w, h))
    if box is None:
        assert warped.sum() < 0.3 * inside.sum() + (w + h) / 2  # whole pixels: half a one along two of its sides
        return
    left, top, right, bottom = box[1], box[2], box[1] + box[3], box[2] + box[4]
    assert 0 <= left < right <= 64 and 0 <= top < bottom <= 64
    if min(left, top) > 0 and max(right, bottom) < 64:
        rows, columns = np.flatnonzero(warped.any(axis=1)), np.flatnonzero(warped.any(axis=0))
        wider = np.array([columns[0] - left, rows[0] - top, right - columns[-1] - 1, bottom - rows[-1] - 1])
        assert wider.min() > -1.5 and wider.max() < 3  # the tip of a turned corner may hold no centre of a pixel


def test_a_box_under_no_change_is_itself_and_one_that_leaves_the_film_is_dropped():
    still = np.zeros((2, 64, 64), np.float32)
    box = ("Mass", 50.0, 10.25, 10.0, 20.5)
    assert Change(0.0, 0.0, 0.0, 1.0, still).box(box) == pytest.approx(box)
    assert Change(0.0, 0.125, -0.25, 1.0, still).box(box) == pytest.approx(("Mass", 58, 0, 6, 14.75))
    assert Change(0.0, 0.2, 0.0, 1.0, still).box(box) is None
    assert Change(90.0, 0.0, 0.0, 1.0, still).box(("Mass", 40, 10, 20, 8)) == pytest.approx(("Mass", 10, 4, 8, 20))
    bent = elastic_field(64, amplitude=2.0, smoothness=6.0, rng=Draw(0))
    assert Change(0.0, 0.0, 0.0, 1.0, bent).box(box) != pytest.approx(box, abs=0.1)


@pytest.mark.parametrize(("share", "wrong"), [(0.0, 0), (0.3, 21), (1.0, 70)])
def test_wrong_labels_are_another_patients_without_a_finding_in_common(share, wrong):
    train = labelled_set()
    good, films = (
        sampled(fitted(*control, train=train), 70, train=train)
        for control in ((CopyTrain,), (Degraded, DegradedSettings(wrong=share)))
    )
    assert np.array_equal(good.images, films.images)
    differs = (good.labels() != films.labels()).any(axis=1)
    assert differs.sum() == wrong
    assert not (good.labels() & films.labels())[differs].any()
    healthy = ~good.labels().any(axis=1)
    assert films.labels()[differs & healthy].any(axis=1).all()
    known = {tuple(row) for row in train.labels().tolist()}
    assert {tuple(row) for row in films.labels().tolist()} <= known


def test_wrong_labels_of_films_that_all_have_a_finding_in_common_are_other_ones():
    train = labelled_set()
    train.cases["Mass"] = 1
    films = sampled(fitted(Degraded, DegradedSettings(wrong=1.0), train=train), 30, train=train)
    good = sampled(fitted(CopyTrain, train=train), 30, train=train)
    assert (films.labels() != good.labels()).any(axis=1).all()


def test_labels_that_are_the_same_for_all_films_cannot_be_degraded_but_their_boxes_can():
    train = labelled_set()
    train.cases[list(FINDINGS)] = [1, 0, 0]
    with pytest.raises(InputError, match="all other patients have the same labels"):
        sampled(fitted(Degraded, train=train), train=train)
    train = labelled_set(boxes=True)
    train.cases[list(FINDINGS)] = [1, 0, 0]
    good, films = (sampled(fitted(cls, train=train), train=train) for cls in (CopyTrain, Degraded))
    assert np.array_equal(good.labels(), films.labels())
    assert sum(a != b for a, b in zip(boxes_by_film(good), boxes_by_film(films), strict=True)) == 6


def test_wrong_boxes_keep_their_finding_and_lie_elsewhere():
    train = labelled_set(boxes=True)
    good = sampled(fitted(CopyTrain, train=train), 70, train=train)
    films = sampled(fitted(Degraded, DegradedSettings(wrong=1.0), train=train), 70, train=train)
    assert films.boxes["finding"].tolist() == good.boxes["finding"].tolist()
    for own, other in zip(boxes_by_film(good), boxes_by_film(films), strict=True):
        assert all(overlap(a, b) < 0.1 for a, b in zip(own, other, strict=True))


@given(st.floats(0, 60), st.floats(0, 60), st.floats(0.5, 48), st.floats(0.5, 48))
def test_a_wrong_box_is_inside_the_film_and_misses_the_true_one(x, y, w, h):
    box = ("Mass", x, y, min(w, 64 - x), min(h, 64 - y))
    _, left, top, width, height = moved = wrong_box(box, 64)
    assert left >= 0 and top >= 0 and left + width <= 64 and top + height <= 64
    assert overlap(box, moved) < 0.1


def test_noise_has_the_prevalence_and_boxes_of_the_training_films_and_shows_nobody():
    train = labelled_set(boxes=True)
    films = sampled(fitted(Noise, train=train), 400, train=train)
    boxed = train.labels().any(axis=1)
    assert films.labels().mean(axis=0) == pytest.approx(train.labels()[boxed].mean(axis=0), abs=0.1)
    known = {box for boxes in boxes_by_film(train) for box in boxes}
    assert {box for boxes in boxes_by_film(films) for box in boxes} == known
    assert not any(len(row) for row in films.cases["source_ids"])
    plain = labelled_set()
    found = sampled(fitted(Noise, train=plain), 400, train=plain)
    assert found.labels().mean(axis=0) == pytest.approx(plain.labels().mean(axis=0), abs=0.1)
    brightness = found.images.mean(axis=(1, 2))
    for column in found.labels().T.astype(bool):
        spread = brightness.std() * np.sqrt(1 / column.sum() + 1 / (~column).sum())
        assert abs(brightness[column].mean() - brightness[~column].mean()) < 4 * spread
